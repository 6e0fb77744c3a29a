// ICMP errors through the balancer and from it (facts: nat cases 2 and 10).
#include <gtest/gtest.h>

#include "test/packet/icmp_errors.h"

namespace sluice::test {
namespace {

template <typename T>
class IcmpError : public testing::Test {};
TYPED_TEST_SUITE(IcmpError, Families);

TYPED_TEST(IcmpError, OfServerAboutUdpReachesTheClientAsOfTheVip) {  // VPP: icmp_error
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (const ErrorKind& kind : kKinds) {
    for (const std::size_t l4 :
         {std::size_t{8}, std::size_t{20}, std::size_t{1000}}) {  // RFC 792: 8 at least
      SCOPED_TRACE(std::string(kind.name) + ", bytes of L4 quoted: " + std::to_string(l4));
      const Outcome o =
          b.send(error_about<F>(Net<F>::server(flow.server), flow.local.address.template as<F>(),
                                Balancer::server_mac(flow.server), 1, kind, flow.forwarded.out, kIp<F> + l4),
                 {.worker = 0, .port = 1, .segment = 0});
      ASSERT_TRUE(o.forwarded()) << o;
      const Seen outer = o.seen();
      EXPECT_EQ(outer.src, base::IpAddress(Net<F>::vip()));
      EXPECT_EQ(outer.dst, base::IpAddress(Net<F>::client()));
      EXPECT_EQ(outer.icmp_type, F == Family::v4 ? kind.type4 : kind.type6);
      EXPECT_EQ(outer.icmp_code, F == Family::v4 ? kind.code4 : kind.code6);
      EXPECT_EQ(outer.icmp_rest, kind.rest);
      EXPECT_EQ(o.port, 0);
      const Seen inner = quoted(outer);
      EXPECT_EQ(inner.from(), (base::Endpoint{Net<F>::client(), 5'000}));
      EXPECT_EQ(inner.to(), (base::Endpoint{Net<F>::vip(), kPort}));
      EXPECT_EQ(inner.checksum, see(flow.sent).checksum) << "as the client had computed it";
    }
  }
}

TYPED_TEST(IcmpError, OfRouterTowardsTheServerKeepsTheRoutersAddress) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  const Outcome o = b.send(error_about<F>(Net<F>::router(), flow.local.address.template as<F>(),
                                          Balancer::server_mac(9), 1, kTtlExceeded, flow.forwarded.out, 1000),
                           {.worker = 0, .port = 1, .segment = 0});
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::router())) << "traceroute shows who it was";
  EXPECT_EQ(o.seen().dst, base::IpAddress(Net<F>::client()));
  EXPECT_EQ(quoted(o.seen()).to(), (base::Endpoint{Net<F>::vip(), kPort}));
}

TYPED_TEST(IcmpError, OfClientAboutUdpReachesTheServerAsOfTheLocalAddress) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (const ErrorKind& kind : kKinds) {
    for (const std::size_t l4 : {std::size_t{8}, std::size_t{1000}}) {
      SCOPED_TRACE(kind.name);
      const Outcome o = b.send(error_about<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 0, kind,
                                              flow.replied.out, kIp<F> + l4));
      ASSERT_TRUE(o.forwarded()) << o;
      const Seen outer = o.seen();
      EXPECT_EQ(outer.src, flow.local.address);
      EXPECT_EQ(outer.dst, base::IpAddress(Net<F>::server(flow.server)));
      EXPECT_EQ(outer.icmp_type, F == Family::v4 ? kind.type4 : kind.type6);
      EXPECT_EQ(outer.icmp_code, F == Family::v4 ? kind.code4 : kind.code6);
      EXPECT_EQ(outer.icmp_rest, kind.rest);
      EXPECT_EQ(o.port, 1);
      const Seen inner = quoted(outer);
      EXPECT_EQ(inner.from(), (base::Endpoint{Net<F>::server(flow.server), kServerPort}));
      EXPECT_EQ(inner.to(), flow.local);
      EXPECT_EQ(inner.checksum, see(flow.reply).checksum);
    }
  }
}

TYPED_TEST(IcmpError, OfRouterTowardsTheClientReachesTheServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  const Outcome o = b.send(error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::kGatewayMac, 0, kTooBig,
                                          flow.replied.out, kIp<F> + 8));
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::router()));
  EXPECT_EQ(o.seen().icmp_rest, 1400U) << "path MTU discovery of the server works";
  EXPECT_EQ(quoted(o.seen()).to(), flow.local);
}

TYPED_TEST(IcmpError, AboutUdpWithoutChecksum) {
  constexpr Family F = TypeParam::kFamily;
  if constexpr (F == Family::v4) {
    Balancer b;
    b.configure({dns<F>()});
    const Outcome out = b.send(
        from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).no_udp_checksum().payload(60));
    ASSERT_TRUE(out.forwarded());
    const Outcome o = b.send(error_about<F>(out.seen().dst.v4(), out.seen().src.v4(), Balancer::server_mac(0),
                                            1, kPortUnreachable, out.out, 28),
                             {.worker = 0, .port = 1, .segment = 0});
    ASSERT_TRUE(o.forwarded());
    EXPECT_EQ(quoted(o.seen()).checksum, 0);
  }
}

TYPED_TEST(IcmpError, AboutTcpBothWays) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const PacketBuilder sent = c.client_packet(ACK, 200);
  const Outcome to_server = c.send_client(sent);
  c.next_ += 200;
  const PacketBuilder answered = c.server_packet(ACK, 300);
  const Outcome to_client = c.send_server(answered);
  for (const std::size_t l4 : {std::size_t{8}, std::size_t{14}, std::size_t{20}, std::size_t{1000}}) {
    SCOPED_TRACE(l4);
    const Outcome up = b.send(error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::server_mac(7), 1,
                                             kTooBig, to_server.out, kIp<F> + l4),
                              {.worker = 0, .port = 1, .segment = 0});
    ASSERT_TRUE(up.forwarded()) << up;
    const Seen client_reads = quoted(up.seen());
    EXPECT_EQ(client_reads.from(), (base::Endpoint{c.address(), c.port()}));
    EXPECT_EQ(client_reads.to(), (base::Endpoint{Net<F>::vip(), kPort}));
    EXPECT_EQ(client_reads.seq, see(sent.bytes()).seq) << "else the client does not believe it (RFC 5927)";
    if (l4 >= 20) {
      EXPECT_EQ(client_reads.checksum, see(sent.bytes()).checksum);
    }

    const Outcome down = b.send(error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::kGatewayMac, 0,
                                               kTooBig, to_client.out, kIp<F> + l4));
    ASSERT_TRUE(down.forwarded()) << down;
    const Seen server_reads = quoted(down.seen());
    EXPECT_EQ(server_reads.to(), c.local());
    EXPECT_EQ(server_reads.seq, see(answered.bytes()).seq);
    if (l4 >= 20) {
      EXPECT_EQ(server_reads.ack, see(answered.bytes()).ack);
      EXPECT_EQ(server_reads.checksum, see(answered.bytes()).checksum);
    }
  }
  EXPECT_EQ(c.state(), FlowState::established) << "errors are hints, no orders (RFC 5927)";
}

TYPED_TEST(IcmpError, AboutARenumberedConnectionIsRenumberedToo) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.source_ports = {20'000, 20'000};  // the same pair each time
  b.configure({service});
  Connection<F> old(b, 0, 40'000, 4'000'000);
  old.open();
  old.close_by_server();
  Connection<F> c(b, 1, 41'000, 1'000);
  b.advance(11'000);
  c.open();
  ASSERT_NE(c.shift(), 0U);
  const PacketBuilder sent = c.client_packet(ACK, 200);
  const Outcome to_server = c.send_client(sent);
  c.next_ += 200;
  const PacketBuilder answered = c.server_packet(ACK, 300);
  const Outcome to_client = c.send_server(answered);
  for (const std::size_t l4 : {std::size_t{8}, std::size_t{12}, std::size_t{20}, std::size_t{1000}}) {
    SCOPED_TRACE(l4);
    const Outcome up = b.send(error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::server_mac(7), 1,
                                             kTooBig, to_server.out, kIp<F> + l4),
                              {.worker = 0, .port = 1, .segment = 0});
    ASSERT_TRUE(up.forwarded()) << up;
    EXPECT_EQ(quoted(up.seen()).seq, see(sent.bytes()).seq);
    if (l4 >= 20) {
      EXPECT_EQ(quoted(up.seen()).checksum, see(sent.bytes()).checksum);
    }
    const Outcome down = b.send(error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::kGatewayMac, 0,
                                               kTooBig, to_client.out, kIp<F> + l4));
    ASSERT_TRUE(down.forwarded()) << down;
    EXPECT_EQ(quoted(down.seen()).seq, see(answered.bytes()).seq);
    if (l4 >= 12) {
      EXPECT_EQ(quoted(down.seen()).ack, see(answered.bytes()).ack);
    }
    if (l4 >= 20) {
      EXPECT_EQ(quoted(down.seen()).checksum, see(answered.bytes()).checksum);
    }
  }
}

TYPED_TEST(IcmpError, AboutAnUnknownFlowIsDropped) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(), web<F>()});
  const Bytes never_sent = from_client<F>(Net<F>::vip(), Net<F>::server()).udp(20'500, kServerPort).bytes();
  EXPECT_TRUE(b.send(error_about<F>(Net<F>::server(), Net<F>::vip(), Balancer::server_mac(0), 1,
                                    kPortUnreachable, never_sent, 1000),
                     {0, 1, 0})
                  .dropped(DropReason::icmp_no_flow));
  const Bytes never_replied = from_client<F>(Net<F>::vip(), Net<F>::client()).tcp(kPort, 1'234, ACK).bytes();
  EXPECT_TRUE(b.send(error_about<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 0,
                                    kPortUnreachable, never_replied, 1000))
                  .dropped(DropReason::icmp_no_flow));
  // A port that is neither a service's nor one of ours: the kernel's own traffic.
  const Bytes of_kernel = from_client<F>(Net<F>::vip(), Net<F>::client()).tcp(22, 1'234, ACK).bytes();
  const Outcome o = b.send(error_about<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 0,
                                          kPortUnreachable, of_kernel, 1000));
  EXPECT_EQ(o.verdict, Verdict::punt);
  EXPECT_EQ(o.reason, DropReason::icmp_no_flow);
}

TYPED_TEST(IcmpError, WithAForeignInnerSourceIsNotBelieved) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  // Quotes a packet that the VIP cannot have sent.
  const Bytes other = from_client<F>(Net<F>::stranger(), Net<F>::server(flow.server))
                          .udp(flow.local.port, kServerPort)
                          .payload(60)
                          .bytes();
  const Outcome o = b.send(error_about<F>(Net<F>::server(flow.server), Net<F>::vip(), Balancer::server_mac(0),
                                          1, kPortUnreachable, other, 1000),
                           {0, 1, 0});
  EXPECT_EQ(o.verdict, Verdict::punt);
  EXPECT_EQ(o.reason, DropReason::icmp_malformed);
}

TYPED_TEST(IcmpError, CutShortIsTheKernels) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (std::size_t n = 0; n < kIp<F> + 8; ++n) {
    const Outcome o =
        b.send(error_about<F>(Net<F>::server(flow.server), Net<F>::vip(), Balancer::server_mac(0), 1,
                              kPortUnreachable, flow.forwarded.out, n),
               {0, 1, 0});
    EXPECT_EQ(o.verdict, Verdict::punt) << n;
    EXPECT_EQ(o.reason, DropReason::icmp_malformed) << n;
  }
}

TYPED_TEST(IcmpError, PaddingIsNoPartOfTheQuote) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const Outcome sent = c.client(ACK, 200);
  // 8 bytes of TCP are quoted; where its checksum would be there is padding, which must stay as it is.
  Bytes error = error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::server_mac(7), 1, kTooBig, sent.out,
                               kIp<F> + 8);
  error.resize(error.size() + 24, std::byte{0x5a});
  const Outcome o = b.send(error, {.worker = 0, .port = 1, .segment = 0});
  ASSERT_TRUE(o.forwarded());
  const Bytes tail(o.out.end() - 24, o.out.end());
  EXPECT_EQ(tail, Bytes(24, std::byte{0x5a}));
}

TYPED_TEST(IcmpError, QueriesAreTheKernels) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(), dns<F>()});
  const std::uint8_t echo = F == Family::v4 ? 8 : 128;
  PacketBuilder ping = from_client<F>(Net<F>::client(), Net<F>::vip());
  if constexpr (F == Family::v4) {
    ping.icmp(echo, 0, 0x0001'0001);
  } else {
    ping.icmp6(echo, 0, 0x0001'0001);
  }
  EXPECT_EQ(b.send(ping.payload(56).padding(4)).verdict, Verdict::punt);
}

TYPED_TEST(IcmpError, PathMtuBelowTheMinimumIsNotPassedOn) {  // case 10
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  constexpr std::uint32_t kLeast = F == Family::v4 ? 68 : 1280;
  // Between the least that IPv4 allows and the 576 bytes that every host takes there are few links, but some;
  // what a host makes of such a number is its own affair (Linux goes no lower than net.ipv4.route.min_pmtu).
  for (const std::uint32_t mtu : {kLeast - 1, kLeast, kLeast + 1, kLeast + 228, kLeast + 507}) {
    ErrorKind kind = kTooBig;
    kind.rest = mtu;
    const Outcome o = b.send(error_about<F>(Net<F>::router(), flow.local.address.template as<F>(),
                                            Balancer::server_mac(7), 1, kind, flow.forwarded.out, 1000),
                             {.worker = 0, .port = 1, .segment = 0});
    if (mtu < kLeast) {
      EXPECT_TRUE(o.dropped(DropReason::icmp_malformed)) << mtu;
    } else {
      EXPECT_TRUE(o.forwarded()) << mtu;
    }
  }
}

// Errors that the balancer itself sends.

TYPED_TEST(IcmpError, TooBigForTheServersLinkIsToldToTheClient) {  // case 10
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 1400);
  Connection<F> c(b, 0, 40'000);
  c.open();
  constexpr std::size_t kFits = 1400 - kIp<F> - 20;
  PacketBuilder fits = c.client_packet(ACK, kFits), too_big = c.client_packet(ACK, kFits + 1);
  if constexpr (F == Family::v4) {
    fits.df();
    too_big.df();
  }
  EXPECT_TRUE(c.send_client(fits).forwarded());
  const Outcome o = b.send(too_big);
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.reason, DropReason::icmp_sent);
  const Seen error = o.seen();
  EXPECT_EQ(error.src, base::IpAddress(Net<F>::vip()));
  EXPECT_EQ(error.dst, base::IpAddress(Net<F>::client()));
  EXPECT_EQ(error.dst_mac, Balancer::kGatewayMac);
  EXPECT_EQ(error.icmp_type, F == Family::v4 ? 3 : 2);
  EXPECT_EQ(error.icmp_code, F == Family::v4 ? 4 : 0);
  EXPECT_EQ(error.icmp_rest, 1400U);
  // What is quoted is the packet as the client sent it, TTL and all.
  const Bytes original = too_big.ip_bytes();
  ASSERT_LE(error.payload.size(), original.size());
  EXPECT_TRUE(std::equal(error.payload.begin(), error.payload.end(), original.begin()));
  EXPECT_EQ(error.ip_length, F == Family::v4 ? 576U : 1280U) << "RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)";
}

TYPED_TEST(IcmpError, TooBigForTheClientsLinkIsToldToTheServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.set_mtu(Balancer::kGateway, 1300);
  Connection<F> c(b, 0, 40'000);
  c.open();
  PacketBuilder data = c.server_packet(ACK, 1400);
  if constexpr (F == Family::v4) data.df();
  const Outcome o = b.send(data, {.worker = 0, .port = 1, .segment = 0});
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.port, 1);
  EXPECT_EQ(o.seen().src, c.local().address);
  EXPECT_EQ(o.seen().dst, base::IpAddress(Net<F>::server()));
  EXPECT_EQ(o.seen().icmp_rest, 1300U);
  EXPECT_EQ(quoted(o.seen()).to(), c.local());
}

TYPED_TEST(IcmpError, TtlThatRunsOutHereIsToldToTheSender) {  // VPP: ttl_1, ttl_2
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}}) {
    const auto packet = from_client<F>(Net<F>::client(), Net<F>::vip()).ttl(ttl).udp(5'000, kPort).payload(9);
    const Outcome o = b.send(packet);
    ASSERT_TRUE(o.reflected()) << o;
    const Seen error = o.seen();
    EXPECT_EQ(error.icmp_type, F == Family::v4 ? 11 : 3);
    EXPECT_EQ(error.icmp_code, 0);
    EXPECT_EQ(error.payload, packet.ip_bytes());
  }
  const Outcome two =
      b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).ttl(2).udp(5'000, kPort).payload(9));
  ASSERT_TRUE(two.forwarded());
  EXPECT_EQ(two.seen().ttl, 1);
}

TYPED_TEST(IcmpError, SentCarryTheDscpOfWhatCausedThem) {  // RFC 5508 §7.7
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(), web<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 1400);
  for (const unsigned dscp : {0U, 1U, 46U, 63U}) {
    for (const unsigned ecn : {0U, 1U, 2U, 3U}) {
      SCOPED_TRACE("DSCP " + std::to_string(dscp) + ", ECN " + std::to_string(ecn));
      const auto tos = static_cast<std::uint8_t>(dscp << 2 | ecn);
      const Outcome expired = b.send(
          from_client<F>(Net<F>::client(), Net<F>::vip()).tos(tos).ttl(1).udp(5'000, kPort).payload(9));
      ASSERT_TRUE(expired.reflected()) << expired;
      EXPECT_EQ(expired.seen().tos, dscp << 2) << "and is not ECN-capable (RFC 3168 §5)";
      EXPECT_EQ(quoted(expired.seen()).tos, tos);
    }
  }
  Connection<F> c(b, 0, 40'000);
  c.open();
  PacketBuilder too_big = c.client_packet(ACK, 1400).tos(46 << 2);
  if constexpr (F == Family::v4) too_big.df();
  const Outcome o = b.send(too_big);
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.seen().tos, 46U << 2);
}

TYPED_TEST(IcmpError, NeverAboutAnError) {  // RFC 1812 §4.3.2.7
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  const auto error = [&](std::uint8_t ttl) {
    Bytes quote(flow.forwarded.out.begin() + 14, flow.forwarded.out.end());
    PacketBuilder packet = from_server<F>(flow.server, flow.local.address.template as<F>()).ttl(ttl);
    if constexpr (F == Family::v4) {
      packet.df().icmp(3, 3);
    } else {
      packet.icmp6(1, 4);
    }
    return packet.raw(quote).bytes();
  };
  EXPECT_TRUE(b.send(error(1), {0, 1, 0}).dropped(DropReason::ttl_expired));
  b.set_state(Balancer::kGateway, dp::AdjacencyState::failed);
  EXPECT_TRUE(b.send(error(64), {0, 1, 0}).dropped(DropReason::neighbour_failed));
  b.set_state(Balancer::kGateway, dp::AdjacencyState::reachable);
  b.set_mtu(Balancer::kGateway, 68);
  EXPECT_TRUE(b.send(error(64), {0, 1, 0}).dropped(DropReason::too_big));
}

TYPED_TEST(IcmpError, SentAreLimited) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.icmp_per_second = 10;
  Balancer b(options);
  b.configure({dns<F>(), web<F>()});
  const auto expiring = from_client<F>(Net<F>::client(), Net<F>::vip()).ttl(1).udp(5'000, kPort);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(b.send(expiring).reflected()) << i;
  EXPECT_TRUE(b.send(expiring).dropped(DropReason::ttl_expired));
  b.advance(100);
  EXPECT_TRUE(b.send(expiring).reflected());
  EXPECT_TRUE(b.send(expiring).dropped(DropReason::ttl_expired));
}

}  // namespace
}  // namespace sluice::test
