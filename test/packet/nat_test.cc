// The rewrite itself: checksums, source ports, link headers, odd IP headers (facts: nat cases 1, 6, 7, 9, 11,
// 12).
#include <set>

#include <gtest/gtest.h>

#include "dp/parse.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Nat : public testing::Test {};
TYPED_TEST_SUITE(Nat, Families);

template <Family F>
PacketBuilder query(unsigned client, std::uint16_t port = 5'000) {
  return from_client<F>(Net<F>::client(client), Net<F>::vip()).udp(port, kPort);
}

// Case 1.

TYPED_TEST(Nat, EveryUdpChecksumIsUpdatedRightly) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  std::set<std::uint16_t> in, out;
  for (unsigned word = 0; word < 0x10000; ++word) {
    const std::string payload{static_cast<char>(word >> 8), static_cast<char>(word & 0xff)};
    const Bytes frame = query<F>(0).payload(payload).bytes();
    const Outcome o = b.send(frame);  // verifies the checksum that leaves
    ASSERT_TRUE(o.forwarded());
    in.insert(see(frame).checksum);
    out.insert(o.seen().checksum);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(in.size(), 0xffffU) << "all values but 0, which UDP does not send";
  EXPECT_EQ(out.size(), 0xffffU);
  EXPECT_FALSE(out.contains(0)) << "RFC 768: a computed 0 is sent as 0xffff";
  EXPECT_TRUE(out.contains(0xffff));
}

TEST(NatIpv4, EveryIpAndTcpChecksumIsUpdatedRightly) {
  constexpr Family F = Family::v4;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  std::set<std::uint16_t> out;
  for (unsigned word = 0; word < 0x10000; ++word) {
    const Outcome o = b.send(
        c.client_packet(ACK).id(static_cast<std::uint16_t>(word)).window(static_cast<std::uint16_t>(word)));
    ASSERT_TRUE(o.forwarded());
    out.insert(o.seen().checksum);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(out.size(), 0xffffU);
}

TEST(NatIpv4, UdpWithoutChecksumStaysWithout) {
  constexpr Family F = Family::v4;
  Balancer b;
  b.configure({dns<F>()});
  const Outcome o = b.send(query<F>(0).no_udp_checksum().payload("hello"));
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().checksum, 0);
}

TYPED_TEST(Nat, WrongChecksumStaysWrong) {  // updated, not computed anew: the receiver must see the damage
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(), web<F>()});
  const Outcome udp = b.send(query<F>(0).payload("x").bad_checksum());
  ASSERT_TRUE(udp.forwarded());
  EXPECT_FALSE(check(udp.out).empty());
  Connection<F> c(b, 0, 1'234);
  c.open();
  const Outcome tcp = b.send(c.client_packet(ACK, 1).bad_checksum());
  ASSERT_TRUE(tcp.forwarded());
  EXPECT_FALSE(check(tcp.out).empty());
}

TYPED_TEST(Nat, UdpBothWays) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const Outcome o = b.send(query<F>(3).payload("question"));
  ASSERT_TRUE(o.forwarded());
  const Seen asked = o.seen();
  EXPECT_EQ(asked.src, base::IpAddress(Net<F>::vip()));
  EXPECT_TRUE(kSourcePorts.contains(asked.sport));
  EXPECT_EQ(asked.to(), (base::Endpoint{Net<F>::server(), kServerPort}));
  const Outcome r =
      b.send(from_server<F>(0, Net<F>::vip()).udp(kServerPort, asked.sport).payload("answer"), {0, 1, 0});
  ASSERT_TRUE(r.forwarded());
  EXPECT_EQ(r.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(r.seen().to(), (base::Endpoint{Net<F>::client(3), 5'000}));
  const auto counts = b.counts("dns", "s0");
  EXPECT_EQ(counts.packets_in, 1U);
  EXPECT_EQ(counts.packets_out, 1U);
  EXPECT_EQ(counts.bytes_in, asked.ip_length);
  EXPECT_EQ(counts.bytes_out, r.seen().ip_length);
  b.advance(119'000);
  EXPECT_EQ(b.flows(), 1U);
  b.advance(1'500);
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Nat, EdgePorts) {  // VPP: edge_ports
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.source_ports = {65'534, 65'535};
  b.configure({service});
  EXPECT_TRUE(b.send(query<F>(0, 0)).forwarded());
  const Outcome o = b.send(query<F>(0, 65'535));
  ASSERT_TRUE(o.forwarded());
  const Outcome r = b.send(from_server<F>(0, Net<F>::vip()).udp(kServerPort, o.seen().sport), {0, 1, 0});
  ASSERT_TRUE(r.forwarded());
  EXPECT_EQ(r.seen().dport, 65'535);
  EXPECT_TRUE(b.send(query<F>(0, 1)).dropped(DropReason::no_source_port));
}

TYPED_TEST(Nat, UnknownProtocolsAreTheKernels) {  // VPP: unknown_proto
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>()});
  for (const std::uint8_t protocol : {2, 47, 50, 132, 255}) {
    EXPECT_EQ(b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).protocol(protocol).payload(40)).verdict,
              Verdict::punt);
  }
}

// Case 6: the same pair of ports again while the server holds it in TIME_WAIT.

template <Family F>
struct OnePort {
  OnePort() {
    auto service = web<F>(1);
    service.source_ports = {20'000, 20'000};
    b.configure({service});
  }
  Balancer b;
};

TYPED_TEST(Nat, ReusedPairIsNumberedBeyondTheOldConnection) {
  constexpr Family F = TypeParam::kFamily;
  OnePort<F> world;
  Balancer& b = world.b;
  Connection<F> old(b, 0, 40'000, 3'000'000'000);
  old.open();
  EXPECT_TRUE(old.client(ACK, 1000).forwarded());
  old.close_by_server();
  const std::uint32_t server_read = old.next_;
  b.advance(11'000);
  ASSERT_EQ(b.flows(), 0U);

  Connection<F> c(b, 1, 41'000, 2'999'999'000);  // numbered below what the server has read
  const PacketBuilder syn = c.client_packet(SYN).mss(1460).sack_permitted().timestamps(5, 0).window_scale(7);
  const Outcome first = c.send_client(syn);
  ASSERT_TRUE(first.forwarded());
  EXPECT_GT(static_cast<std::int32_t>(first.seen().seq - server_read), 0) << "RFC 9293 §3.6.1";
  EXPECT_FALSE(first.seen().has_option(8))
      << "no timestamp that could be older than the last (RFC 7323 §5.5)";
  EXPECT_TRUE(first.seen().has_option(2));
  EXPECT_TRUE(first.seen().has_option(3));
  EXPECT_TRUE(first.seen().has_option(4));
  b.advance(1'000);
  const Outcome second = c.send_client(syn);
  ASSERT_TRUE(second.forwarded());
  EXPECT_FALSE(second.seen().has_option(8)) << "nor in the SYN retransmitted";
  EXPECT_EQ(second.seen().seq, first.seen().seq);
  ++c.next_;

  c.answer_syn(77);  // Connection verifies the numbers of every packet from here to the end
  ASSERT_NE(c.shift(), 0U);
  EXPECT_TRUE(c.client(ACK).forwarded());
  const std::uint32_t sent = c.next_;
  EXPECT_TRUE(c.client(PSH | ACK, 1'400).forwarded());
  // The server is missing two stretches: its SACK blocks are in its own numbering.
  PacketBuilder sack = c.server_packet(ACK).ack(sent + c.shift() + 500);
  const std::uint32_t base = sent + c.shift();
  sack.sack_blocks({{base + 600, base + 800}, {base + 1'000, base + 1'400}});
  const Outcome o = c.send_server(sack);
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().sack_edges(),
            (std::vector<std::uint32_t>{sent + 600, sent + 800, sent + 1'000, sent + 1'400}));
  // The client's SACK blocks speak of the server's numbers, which are the same on both sides.
  EXPECT_TRUE(c.server(ACK, 1'400).forwarded());
  const Outcome up = c.send_client(c.client_packet(ACK).sack_blocks({{100, 200}}));
  EXPECT_EQ(up.seen().sack_edges(), (std::vector<std::uint32_t>{100, 200}));
  EXPECT_TRUE(c.client(ACK).forwarded());
  c.close();
}

TYPED_TEST(Nat, ResetOfTheServerOnARenumberedConnection) {
  constexpr Family F = TypeParam::kFamily;
  OnePort<F> world;
  Balancer& b = world.b;
  Connection<F> old(b, 0, 40'000, 3'000'000'000);
  old.open();
  old.close_by_server();
  b.advance(11'000);
  Connection<F> c(b, 1, 41'000, 5);
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.server(RST | ACK).forwarded()) << "refused: acknowledges the translated SYN";
  EXPECT_EQ(c.state(), FlowState::reset);
  EXPECT_EQ(b.counts("web", "s0").failed, 1U);
}

TYPED_TEST(Nat, SequenceThatIsBeyondAlreadyIsKept) {
  constexpr Family F = TypeParam::kFamily;
  OnePort<F> world;
  Balancer& b = world.b;
  Connection<F> old(b, 0, 40'000, 1'000);
  old.open();
  old.close_by_server();
  b.advance(11'000);
  Connection<F> c(b, 1, 41'000, 9'000'000);
  const Outcome o = c.send_client(c.client_packet(SYN).timestamps(1, 0));
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(c.shift(), 0U);
  EXPECT_FALSE(o.seen().has_option(8));
}

TYPED_TEST(Nat, PairThatTheServerHasForgottenIsUsedAsItIs) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool after_time_wait : {true, false}) {
    OnePort<F> world;
    Balancer& b = world.b;
    Connection<F> old(b, 0, 40'000, 3'000'000'000);
    old.open();
    if (after_time_wait) {
      old.close_by_server();
      b.advance(300'000);
    } else {
      old.close();  // the client closed first: the server does not keep the pair
      b.advance(11'000);
    }
    Connection<F> c(b, 1, 41'000, 5);
    const Outcome o = c.send_client(c.client_packet(SYN).timestamps(1, 0));
    ASSERT_TRUE(o.forwarded());
    EXPECT_EQ(c.shift(), 0U);
    EXPECT_TRUE(o.seen().has_option(8));
  }
}

TYPED_TEST(Nat, PortsAreUsedInTheOrderInWhichTheyCameBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.source_ports = {20'000, 20'009};
  b.configure({service});
  std::vector<std::uint16_t> order;
  for (unsigned n = 0; n < 10; ++n) {
    order.push_back(b.send(query<F>(n)).seen().sport);
    b.advance(1'000, 1'000);
  }
  EXPECT_EQ(std::set<std::uint16_t>(order.begin(), order.end()).size(), 10U);
  b.advance(121'000);
  ASSERT_EQ(b.flows(), 0U);
  for (unsigned n = 0; n < 10; ++n) EXPECT_EQ(b.send(query<F>(n)).seen().sport, order[n]);
}

// Case 7.

TYPED_TEST(Nat, ExhaustionIsCountedAndPasses) {  // VPP: out_of_ports, ports_exhausted
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.source_ports = {20'000, 20'009};
  b.configure({service});
  for (unsigned n = 0; n < 10; ++n) EXPECT_TRUE(b.send(query<F>(n)).forwarded()) << n;
  EXPECT_TRUE(b.send(query<F>(10)).dropped(DropReason::no_source_port));
  EXPECT_TRUE(b.send(query<F>(3)).forwarded()) << "flows that are there go on";
  EXPECT_EQ(b.flows(), 10U);
  b.advance(122'000);
  EXPECT_TRUE(b.send(query<F>(10)).forwarded());
}

TYPED_TEST(Nat, SamePortServesDifferentServers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(3);
  service.source_ports = {20'000, 20'009};
  b.configure({service});
  std::set<std::pair<std::string, std::uint16_t>> pairs;
  for (unsigned n = 0; n < 30; ++n) {
    const Outcome o = b.send(query<F>(n));
    ASSERT_TRUE(o.forwarded()) << n;
    pairs.insert({o.seen().dst.to_string(), o.seen().sport});
  }
  EXPECT_EQ(pairs.size(), 30U);
  EXPECT_TRUE(b.send(query<F>(30)).dropped(DropReason::no_source_port));
}

TYPED_TEST(Nat, SecondLocalAddressDoublesThePorts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.local_addresses = {Net<F>::vip(7), Net<F>::vip(8)};
  service.source_ports = {20'000, 20'009};
  b.configure({service});
  std::set<base::Endpoint> locals;
  for (unsigned n = 0; n < 20; ++n) {
    const Outcome o = b.send(query<F>(n));
    ASSERT_TRUE(o.forwarded()) << n;
    locals.insert(o.seen().from());
    const Outcome r =
        b.send(from_server<F>(0, o.seen().src.template as<F>()).udp(kServerPort, o.seen().sport), {0, 1, 0});
    ASSERT_TRUE(r.forwarded()) << r;
    EXPECT_EQ(r.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  }
  EXPECT_EQ(locals.size(), 20U);
}

TYPED_TEST(Nat, ServicesThatShareAServerNeverShareAPair) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto one = dns<F>(1), other = dns<F>(1);
  other.name = "other";
  other.vip.port = 81;
  one.source_ports = other.source_ports = {20'000, 20'009};
  b.configure({one, other});
  std::set<std::uint16_t> ports;
  for (unsigned n = 0; n < 5; ++n) {
    ports.insert(b.send(query<F>(n)).seen().sport);
    ports.insert(b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).udp(5'000, 81)).seen().sport);
  }
  EXPECT_EQ(ports.size(), 10U);
  EXPECT_TRUE(b.send(query<F>(10)).dropped(DropReason::no_source_port));
}

TYPED_TEST(Nat, TcpAndUdpHaveTheirOwnPorts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto udp = dns<F>(1), tcp = web<F>(1);
  udp.source_ports = tcp.source_ports = {20'000, 20'000};
  b.configure({udp, tcp});
  EXPECT_TRUE(b.send(query<F>(0)).forwarded());
  Connection<F> c(b, 0, 40'000);
  c.open();
}

TYPED_TEST(Nat, PortsOfServicesAreNoSourcePorts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto a = dns<F>(1), other = dns<F>(1);
  other.name = "other";
  other.vip.port = 20'003;
  a.source_ports = other.source_ports = {20'000, 20'009};
  b.configure({a, other});
  for (unsigned n = 0; n < 9; ++n) {
    const Outcome o = b.send(query<F>(n));
    ASSERT_TRUE(o.forwarded()) << n;
    EXPECT_NE(o.seen().sport, 20'003);
  }
  EXPECT_TRUE(b.send(query<F>(9)).dropped(DropReason::no_source_port));
}

TYPED_TEST(Nat, PortsOfTheKernelAreNoSourcePorts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.kernel_ports = dp::KernelPorts({21'000, 29'999}, {});
  Balancer b(options);
  auto service = dns<F>(1);
  service.source_ports = {20'990, 30'009};
  b.configure({service});
  // 20 ports are left, before and behind a long stretch: none of the clients may be turned away.
  for (unsigned n = 0; n < 20; ++n) {
    const Outcome o = b.send(query<F>(n));
    ASSERT_TRUE(o.forwarded()) << n << ": " << o;
    EXPECT_FALSE(o.seen().sport >= 21'000 && o.seen().sport <= 29'999);
  }
  EXPECT_TRUE(b.send(query<F>(20)).dropped(DropReason::no_source_port));
  // What a server sends to such a port is an answer to the kernel.
  EXPECT_EQ(b.send(from_server<F>(0, Net<F>::vip()).udp(kServerPort, 22'000), {0, 1, 0}).verdict,
            Verdict::punt);
}

// Case 9.

TYPED_TEST(Nat, Hairpin) {  // VPP: hairpinning, self_twice_nat
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  const auto self = Net<F>::server();  // the client is the only server
  const auto link = eth(Balancer::server_mac(0), Balancer::port_mac(1));
  const auto syn = with_ip<F>(link, self, Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1);
  const Outcome o = b.send(syn, {0, 1, 0});
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.port, 1);
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip())) << "not its own address: it would drop that";
  EXPECT_EQ(o.seen().dst, base::IpAddress(self));
  const Outcome r =
      b.send(with_ip<F>(link, self, Net<F>::vip()).tcp(kServerPort, o.seen().sport, SYN | ACK).seq(9).ack(2),
             {0, 1, 0});
  ASSERT_TRUE(r.forwarded());
  EXPECT_EQ(r.port, 1);
  EXPECT_EQ(r.seen().dst_mac, Balancer::server_mac(0));
  EXPECT_EQ(r.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(r.seen().to(), (base::Endpoint{self, 40'000}));
}

TYPED_TEST(Nat, HairpinOfUdp) {  // RFC 4787 REQ-9, 9a
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto self = Net<F>::server();
  const auto packet = with_ip<F>(eth(Balancer::server_mac(0), Balancer::port_mac(1)), self, Net<F>::vip());
  const Outcome o = b.send(PacketBuilder(packet).udp(5'000, kPort).payload(20), {0, 1, 0});
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.port, 1);
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip())) << "of the external endpoint";
  EXPECT_TRUE(kSourcePorts.contains(o.seen().sport));
  EXPECT_EQ(o.seen().to(), (base::Endpoint{self, kServerPort}));
  const Outcome r = b.send(PacketBuilder(packet).udp(kServerPort, o.seen().sport).payload(30), {0, 1, 0});
  ASSERT_TRUE(r.forwarded()) << r;
  EXPECT_EQ(r.port, 1);
  EXPECT_EQ(r.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(r.seen().to(), (base::Endpoint{self, 5'000}));
}

TYPED_TEST(Nat, DscpAndEcnAreKept) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1), web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const Outcome o = b.send(query<F>(0));
  ASSERT_TRUE(o.forwarded());
  const auto answer = from_server<F>(0, Net<F>::vip()).udp(kServerPort, o.seen().sport);
  for (unsigned tos = 0; tos < 256; ++tos) {
    const auto field = static_cast<std::uint8_t>(tos);
    EXPECT_EQ(b.send(query<F>(0).tos(field)).seen().tos, tos);
    EXPECT_EQ(b.send(PacketBuilder(answer).tos(field), {0, 1, 0}).seen().tos, tos);
    EXPECT_EQ(c.send_client(c.client_packet(ACK).tos(field)).seen().tos, tos);
    EXPECT_EQ(c.send_server(c.server_packet(ACK).tos(field)).seen().tos, tos);
  }
  // What negotiates ECN (RFC 3168 §6.1), and tells of it.
  Connection<F> ecn(b, 1, 40'000);
  EXPECT_EQ(ecn.client(SYN | ECE | CWR).seen().flags, SYN | ECE | CWR);
  ecn.peer_next_ = 9;
  EXPECT_EQ(ecn.server(SYN | ACK | ECE).seen().flags, SYN | ACK | ECE);
  EXPECT_EQ(ecn.client(ACK | CWR, 10).seen().flags, ACK | CWR);
}

// Case 11.

TYPED_TEST(Nat, TagsInAndOut) {
  constexpr Family F = TypeParam::kFamily;
  const std::vector<std::vector<std::uint16_t>> kinds{{}, {7}, {100, 7}};
  for (const auto& in : kinds) {
    for (const auto& out : kinds) {
      SCOPED_TRACE(std::to_string(in.size()) + " tags in, " + std::to_string(out.size()) + " out");
      Balancer b;
      b.configure({dns<F>(1)});
      b.set_tags(Balancer::kFirstServer, out);
      PacketBuilder frame = eth(Balancer::kGatewayMac, Balancer::port_mac(0));
      if (in.size() == 2) frame.qinq(in[0]);
      if (!in.empty()) frame.vlan(in.back());
      frame = with_ip<F>(frame, Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).payload("hi").padding(9);
      const Outcome o = b.send(frame);
      ASSERT_TRUE(o.forwarded()) << o;
      EXPECT_EQ(o.seen().tags, out);
      EXPECT_EQ(o.seen().payload, Bytes({std::byte{'h'}, std::byte{'i'}}));
      EXPECT_EQ(o.seen().type, F == Family::v4 ? 0x0800U : 0x86ddU);
      // What is turned round keeps the tags that it came with.
      const Outcome expired = b.send(frame.ttl(1));
      ASSERT_TRUE(expired.reflected());
      EXPECT_EQ(expired.seen().tags, in);
    }
  }
}

TYPED_TEST(Nat, PaddingCountsForNothing) {  // VPP: icmp_echo_reply_trailer
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const dp::Flow<F> before = *c.flow();
  EXPECT_TRUE(c.send_client(c.client_packet(ACK).padding(6)).forwarded());
  EXPECT_EQ(c.flow()->end, before.end) << "padding is no data";
  EXPECT_TRUE(c.send_client(c.client_packet(FIN | ACK).padding(17)).forwarded());
  ++c.next_;
  EXPECT_EQ(c.flow()->end[0], c.next_);
  const Outcome reset =
      b.send(from_client<F>(Net<F>::client(5), Net<F>::vip()).tcp(9, kPort, FIN).seq(70).padding(6));
  ASSERT_TRUE(reset.reflected());
  EXPECT_EQ(reset.seen().ack, 71U);
  EXPECT_EQ(reset.seen().trailer, 0U);
  const auto short_ttl =
      from_client<F>(Net<F>::client(5), Net<F>::vip()).ttl(1).tcp(9, kPort, SYN).padding(6);
  const Outcome expired = b.send(short_ttl);
  ASSERT_TRUE(expired.reflected());
  EXPECT_EQ(expired.seen().payload, short_ttl.ip_bytes());
}

TYPED_TEST(Nat, ThreeTagsAreTheKernels) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto frame = with_ip<F>(eth(Balancer::kGatewayMac, Balancer::port_mac(0)).qinq(1).vlan(2).vlan(3),
                                Net<F>::client(), Net<F>::vip())
                         .udp(1, kPort);
  EXPECT_EQ(b.send(frame).verdict, Verdict::punt);
}

// Case 12.

TEST(NatIpv4, OptionsAreSteppedOver) {
  constexpr Family F = Family::v4;
  Balancer b;
  b.configure({dns<F>(1), web<F>(1)});
  for (std::size_t n = 4; n <= 40; n += 4) {
    const Outcome o =
        b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).options(n).udp(5'000, kPort).payload(n));
    ASSERT_TRUE(o.forwarded()) << n;
    EXPECT_EQ(o.seen().to(), (base::Endpoint{Net<F>::server(), kServerPort}));
    EXPECT_EQ(o.seen().payload, pattern(n));
    // An answer of our own is made without them.
    const Outcome reset =
        b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).options(n).tcp(1, kPort, ACK).payload(n));
    ASSERT_TRUE(reset.reflected());
    EXPECT_EQ(reset.seen().ip_length, 40U);
    const Outcome expired = b.send(
        from_client<F>(Net<F>::client(), Net<F>::vip()).ttl(1).options(n).udp(5'000, kPort).payload(n));
    ASSERT_TRUE(expired.reflected());
    EXPECT_EQ(quoted(expired.seen()).sport, 5'000) << "quoted with its options";
  }
}

TEST(NatIpv6, ExtensionHeadersAreSteppedOverUpToEight) {
  constexpr Family F = Family::v6;
  Balancer b;
  b.configure({dns<F>(1)});
  for (unsigned headers = 0; headers <= 9; ++headers) {
    PacketBuilder frame = from_client<F>(Net<F>::client(), Net<F>::vip());
    for (unsigned i = 0; i < headers; ++i) frame.dest_opts(8 * (i % 3 + 1));
    const Outcome o = b.send(frame.udp(5'000, kPort).payload("x"));
    if (headers <= dp::kMaxExtensionHeaders) {
      ASSERT_TRUE(o.forwarded()) << headers << ": " << o;
      EXPECT_EQ(o.seen().to(), (base::Endpoint{Net<F>::server(), kServerPort}));
    } else {
      EXPECT_EQ(o.verdict, Verdict::punt) << o;
      EXPECT_EQ(o.reason, DropReason::too_many_headers) << "where there is no kernel to hand it to";
    }
  }
}

TEST(NatIpv6, EveryKindOfExtensionHeader) {
  constexpr Family F = Family::v6;
  Balancer b;
  b.configure({dns<F>(1), web<F>(1)});
  const auto ip = from_client<F>(Net<F>::client(), Net<F>::vip());
  EXPECT_TRUE(b.send(PacketBuilder(ip).hop_by_hop(16).udp(1, kPort)).forwarded());
  EXPECT_TRUE(b.send(PacketBuilder(ip).routing(24).udp(1, kPort)).forwarded());
  EXPECT_TRUE(b.send(PacketBuilder(ip).hop_by_hop(8).dest_opts(8).routing(8).dest_opts(8).tcp(1, kPort, SYN))
                  .forwarded());
  const Outcome atomic = b.send(PacketBuilder(ip).fragment(0, false, 99).udp(1, kPort).payload("whole"));
  EXPECT_TRUE(atomic.forwarded()) << "RFC 6946: an atomic fragment is a whole packet: " << atomic;
}

TYPED_TEST(Nat, FrameInSeveralSegments) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto packet = query<F>(0).payload(1'200);
  const Outcome o = b.send(packet, {.worker = 0, .port = 0, .segment = 128});  // verified whole
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().payload, pattern(1'200));
  const Outcome expired = b.send(query<F>(0).ttl(1).payload(1'200), {.worker = 0, .port = 0, .segment = 128});
  ASSERT_TRUE(expired.reflected());
  EXPECT_EQ(expired.seen().payload.size(), 114U) << "quotes what lies together";
}

}  // namespace
}  // namespace sluice::test
