// Which ICMP errors are believed and passed on (RFC 5508 REQ-3 and §7, RFC 6633).
#include <gtest/gtest.h>

#include "test/packet/icmp_errors.h"

namespace sluice::test {
namespace {

template <typename T>
class IcmpBelief : public testing::Test {
 public:
  static constexpr Family F = T::kFamily;
  static constexpr Balancer::Arrival kFromServers{.worker = 0, .port = 1, .segment = 0};

  /// An error of that kind of a router on the servers' side, towards a source address of sluice's.
  static PacketBuilder of_router(const base::Endpoint& local, const ErrorKind& kind) {
    return error_of<F>(Net<F>::router(), local.address.template as<F>(), Balancer::server_mac(9), 1, kind);
  }
};
TYPED_TEST_SUITE(IcmpBelief, Families);

TYPED_TEST(IcmpBelief, WrongChecksumsAreDropped) {  // RFC 5508 REQ-3
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (const ErrorKind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    auto up = TestFixture::of_router(flow.local, kind).raw(quote_of(flow.forwarded.out));
    auto down = error_of<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 0, kind)
                    .raw(quote_of(flow.replied.out, kIp<F> + 8));
    EXPECT_TRUE(b.send(up, TestFixture::kFromServers).forwarded());
    EXPECT_TRUE(b.send(down).forwarded());
    EXPECT_TRUE(b.send(up.bad_checksum(), TestFixture::kFromServers).dropped(DropReason::icmp_bad_checksum));
    EXPECT_TRUE(b.send(down.bad_checksum()).dropped(DropReason::icmp_bad_checksum));
  }
}

TYPED_TEST(IcmpBelief, WrongChecksumsEndNoAttempt) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(2);
  service.retries = 3;
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  const Outcome syn = c.client(SYN);
  ASSERT_TRUE(syn.forwarded());
  auto error = TestFixture::of_router(c.local(), kHostUnreachable).raw(quote_of(syn.out));
  EXPECT_TRUE(b.send(PacketBuilder(error).bad_checksum(), TestFixture::kFromServers)
                  .dropped(DropReason::icmp_bad_checksum));
  EXPECT_TRUE(b.take_stored().empty()) << "no other server is tried";
  EXPECT_EQ(c.state(), FlowState::syn_sent);
  EXPECT_TRUE(b.send(error, TestFixture::kFromServers).dropped(DropReason::retried))
      << "the right one counts";
  const auto again = b.take_stored();
  ASSERT_EQ(again.size(), 1U);
  c.reached(again[0].seen(), Connection<F>::kClientIsn);
  c.finish_handshake();
}

TYPED_TEST(IcmpBelief, EveryByteIsVerified) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const auto query =
      from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).payload(1'400 - kIp<F>);
  const Outcome sent = b.send(query);
  ASSERT_TRUE(sent.forwarded());
  const Bytes error =
      TestFixture::of_router(sent.seen().from(), kPortUnreachable).raw(quote_of(sent.out)).bytes();
  EXPECT_TRUE(b.send(error, TestFixture::kFromServers).forwarded());
  // Its own header's fields but for addresses, hop limit and lengths, then all that is quoted.
  for (std::size_t i = 14 + kIp<F> + 1; i < error.size(); i += i < 120 ? 1 : 61) {
    const std::size_t quoted = i - (14 + kIp<F> + 8);
    const bool leads_elsewhere = i >= 14 + kIp<F> + 8 && quoted < kIp<F> + 8;
    if (leads_elsewhere) continue;  // another flow, or none
    Bytes corrupt = error;
    corrupt[i] ^= std::byte{0x20};
    EXPECT_TRUE(b.send(corrupt, TestFixture::kFromServers).dropped(DropReason::icmp_bad_checksum)) << i;
  }
  Bytes corrupt = error;
  corrupt.back() ^= std::byte{1};
  EXPECT_TRUE(b.send(corrupt, TestFixture::kFromServers).dropped(DropReason::icmp_bad_checksum));
  // Longer than any error should be, and than a buffer: it cannot be verified where it stands.
  EXPECT_TRUE(b.send(error, {.worker = 0, .port = 1, .segment = 512}).dropped(DropReason::icmp_malformed));
}

TEST(IcmpBeliefIpv4, WrongChecksumsOfIpHeadersAreDropped) {  // RFC 5508 REQ-3a
  constexpr Family F = Family::v4;
  constexpr std::size_t kChecksum = 10;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (const std::size_t n : {std::size_t{28}, std::size_t{60}}) {
    Bytes quote = quote_of(flow.forwarded.out, n);
    quote[kChecksum] ^= std::byte{1};
    const auto error = IcmpBelief<OverIpv4>::of_router(flow.local, kPortUnreachable).raw(quote);
    EXPECT_TRUE(b.send(error, {0, 1, 0}).dropped(DropReason::icmp_bad_checksum)) << n;
  }
  Bytes outer =
      IcmpBelief<OverIpv4>::of_router(flow.local, kPortUnreachable).raw(quote_of(flow.forwarded.out)).bytes();
  outer[14 + kChecksum] ^= std::byte{1};
  EXPECT_TRUE(b.send(outer, {0, 1, 0}).dropped(DropReason::icmp_bad_checksum));
}

TYPED_TEST(IcmpBelief, TransportChecksumsOfQuotesAreNotLookedAt) {  // RFC 5508 REQ-3c
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(), web<F>()});
  const Bytes wrong =
      from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).payload(60).bad_checksum().bytes();
  const Outcome sent = b.send(wrong);
  ASSERT_TRUE(sent.forwarded());
  Connection<F> c(b, 0, 40'000);
  c.open();
  const PacketBuilder segment = c.client_packet(ACK, 200).bad_checksum();
  const Outcome tcp = c.send_client(segment);
  for (const std::size_t l4 : {std::size_t{8}, std::size_t{20}, std::size_t{1000}}) {
    SCOPED_TRACE(l4);
    const Outcome o = b.send(
        TestFixture::of_router(sent.seen().from(), kPortUnreachable).raw(quote_of(sent.out, kIp<F> + l4)),
        TestFixture::kFromServers);
    ASSERT_TRUE(o.forwarded()) << o;
    EXPECT_EQ(quoted(o.seen()).checksum, see(wrong).checksum) << "as the client had sent it";
    const Outcome t = b.send(TestFixture::of_router(c.local(), kTooBig).raw(quote_of(tcp.out, kIp<F> + l4)),
                             TestFixture::kFromServers);
    ASSERT_TRUE(t.forwarded()) << t;
    if (l4 >= 20) {
      EXPECT_EQ(quoted(t.seen()).checksum, see(segment.bytes()).checksum);
    }
  }
}

TYPED_TEST(IcmpBelief, OptionsOfQuotesAreSteppedOver) {  // RFC 5508 REQ-3b
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  PacketBuilder query = from_client<F>(Net<F>::client(), Net<F>::vip());
  if constexpr (F == Family::v4) {
    query.options(40);
  } else {
    query.hop_by_hop(16).dest_opts(24);
  }
  query.udp(5'000, kPort).payload(60);
  const Outcome sent = b.send(query);
  ASSERT_TRUE(sent.forwarded()) << sent;
  const std::size_t cut = kIp<F> + 40 + 8;
  for (const std::size_t n : {cut, std::size_t{1000}}) {
    const Outcome o =
        b.send(TestFixture::of_router(sent.seen().from(), kPortUnreachable).raw(quote_of(sent.out, n)),
               TestFixture::kFromServers);
    ASSERT_TRUE(o.forwarded()) << o;
    EXPECT_EQ(quoted(o.seen()).from(), (base::Endpoint{Net<F>::client(), 5'000}));
    EXPECT_EQ(quoted(o.seen()).to(), (base::Endpoint{Net<F>::vip(), kPort}));
    EXPECT_EQ(quoted(o.seen()).checksum, see(query.bytes()).checksum);
  }
  EXPECT_EQ(
      b.send(TestFixture::of_router(sent.seen().from(), kPortUnreachable).raw(quote_of(sent.out, cut - 1)),
             TestFixture::kFromServers)
          .verdict,
      Verdict::punt)
      << "not even the ports are there";
}

TYPED_TEST(IcmpBelief, WithSourceRoutesGoNoFurther) {  // RFC 5508 §7.3
  constexpr Family F = TypeParam::kFamily;
  const auto with_route = [](PacketBuilder packet, unsigned kind) {
    if constexpr (F == Family::v4) {
      const Bytes options{std::byte{1}, std::byte(kind), std::byte{7}, std::byte{4},
                          std::byte{8}, std::byte{8},    std::byte{8}, std::byte{8}};
      return packet.options(options);
    } else {
      return packet.routing(24, kind == 7 ? 0 : 1);
    }
  };
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (const unsigned kind : {131U, 137U, 7U}) {  // LSRR, SSRR, record route
    SCOPED_TRACE(kind);
    const DropReason expected = kind == 7 ? DropReason::none : DropReason::source_routed;
    PacketBuilder outer = with_ip<F>(eth(Balancer::server_mac(9), Balancer::port_mac(1)), Net<F>::router(),
                                     flow.local.address.template as<F>());
    outer = with_route(outer, kind);
    if constexpr (F == Family::v4) {
      outer.icmp(3, 3);
    } else {
      outer.icmp6(1, 4);
    }
    EXPECT_EQ(b.send(outer.raw(quote_of(flow.forwarded.out)), TestFixture::kFromServers).reason, expected);

    auto query = from_client<F>(Net<F>::client(), Net<F>::vip());
    const Outcome sent = b.send(with_route(query, kind).udp(5'000, kPort).payload(20));
    ASSERT_TRUE(sent.forwarded()) << "of a flow that is known";
    EXPECT_EQ(b.send(TestFixture::of_router(flow.local, kPortUnreachable).raw(quote_of(sent.out)),
                     TestFixture::kFromServers)
                  .reason,
              expected);
  }
}

TEST(IcmpBeliefIpv4, SourceQuenchIsTheKernelsWhichIgnoresIt) {  // RFC 6633
  constexpr Family F = Family::v4;
  constexpr ErrorKind kSourceQuench{"source quench", 4, 0, 0, 0, 0};
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  for (const auto& error :
       {IcmpBelief<OverIpv4>::of_router(flow.local, kSourceQuench).raw(quote_of(flow.forwarded.out)),
        error_of<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 1, kSourceQuench)
            .raw(quote_of(flow.replied.out))}) {
    EXPECT_EQ(b.send(error, {0, 1, 0}).verdict, Verdict::punt);
  }
}

TYPED_TEST(IcmpBelief, QuotesOfFirstFragmentsAreTranslated) {  // case 2
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  const UdpFlow<F> flow(b);
  // What a router that fragments makes of a packet of ours.
  const Bytes query = with_ip<F>(eth(), flow.local.address.template as<F>(), Net<F>::server(flow.server))
                          .udp(flow.local.port, kServerPort)
                          .payload(1'000)
                          .bytes();
  const std::vector<Bytes> pieces = fragments(query, 600, 77);
  ASSERT_EQ(pieces.size(), 2U);
  const auto about = [&](const Bytes& piece) {
    return TestFixture::of_router(flow.local, kTtlExceeded).raw(quote_of(piece, 548));
  };
  const Outcome o = b.send(about(pieces[0]), TestFixture::kFromServers);
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(quoted(o.seen()).from(), (base::Endpoint{Net<F>::client(), 5'000}));
  EXPECT_EQ(quoted(o.seen()).to(), (base::Endpoint{Net<F>::vip(), kPort}));

  const Outcome later = b.send(about(pieces[1]), TestFixture::kFromServers);
  EXPECT_EQ(later.verdict, Verdict::punt) << "nothing in it tells whose it is";
  EXPECT_EQ(later.reason, DropReason::icmp_malformed);
}

TYPED_TEST(IcmpBelief, HairpinnedErrorsAreTranslated) {  // RFC 5508 REQ-7, RFC 7857 §12
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto self = Net<F>::server();  // the client is the only server
  const auto link = eth(Balancer::server_mac(0), Balancer::port_mac(1));
  const auto query = with_ip<F>(link, self, Net<F>::vip()).udp(5'000, kPort).payload(20);
  const Outcome sent = b.send(query, TestFixture::kFromServers);
  ASSERT_TRUE(sent.forwarded());
  const base::Endpoint local = sent.seen().from();
  EXPECT_NE(local.address, base::IpAddress(self)) << "RFC 4787 REQ-9a: of the NAT's external endpoint";
  const auto reply = with_ip<F>(link, self, Net<F>::vip()).udp(kServerPort, local.port).payload(30);
  const Outcome replied = b.send(reply, TestFixture::kFromServers);
  ASSERT_TRUE(replied.forwarded());
  EXPECT_EQ(replied.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(replied.seen().to(), (base::Endpoint{self, 5'000}));

  const auto error = [&](const Bytes& about) {
    return b.send(
        error_about<F>(self, Net<F>::vip(), Balancer::server_mac(0), 1, kPortUnreachable, about, kIp<F> + 8),
        TestFixture::kFromServers);
  };
  const Outcome of_server = error(sent.out);
  ASSERT_TRUE(of_server.forwarded()) << of_server;
  EXPECT_EQ(of_server.seen().src, base::IpAddress(Net<F>::vip()));
  EXPECT_EQ(of_server.seen().dst, base::IpAddress(self));
  EXPECT_EQ(quoted(of_server.seen()).from(), (base::Endpoint{self, 5'000})) << "as it had sent it";
  EXPECT_EQ(quoted(of_server.seen()).to(), (base::Endpoint{Net<F>::vip(), kPort}));

  const Outcome of_client = error(replied.out);
  ASSERT_TRUE(of_client.forwarded()) << of_client;
  EXPECT_EQ(of_client.seen().src, local.address);
  EXPECT_EQ(of_client.seen().dst, base::IpAddress(self));
  EXPECT_EQ(quoted(of_client.seen()).from(), (base::Endpoint{self, kServerPort}));
  EXPECT_EQ(quoted(of_client.seen()).to(), local);
}

}  // namespace
}  // namespace sluice::test
