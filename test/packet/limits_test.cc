// What is bounded: half-open flows, the table, RSTs, time; and next hops that are not there (nat cases 14 and
// 15).
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "dp/flow/flow_life.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Limits : public testing::Test {};
TYPED_TEST_SUITE(Limits, Families);

template <Family F>
PacketBuilder syn_of(unsigned client) {
  return from_client<F>(Net<F>::client(client), Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1);
}

Balancer::Options tiny(std::uint32_t flows, std::uint32_t half_open) {
  Balancer::Options options;
  options.limits.flows_per_worker = flows;
  options.limits.half_open_per_worker = half_open;
  return options;
}

// Case 14.

TYPED_TEST(Limits, UnresolvedServerParksThePacket) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  const Bytes syn = syn_of<F>(0).bytes();
  EXPECT_EQ(b.send(syn).verdict, Verdict::park);  // unchanged: the fixture looks
  EXPECT_EQ(b.flows(), 1U) << "its flow is there already";
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  const Outcome released = b.send(syn);
  ASSERT_TRUE(released.forwarded());
  EXPECT_EQ(released.seen().dst_mac, Balancer::server_mac(0));
  EXPECT_EQ(b.flows(), 1U);
  EXPECT_EQ(b.counts("web", "s0").fresh, 1U);
  EXPECT_EQ(b.counts("web", "s0").packets_in, 1U) << "counted when it left";
}

TYPED_TEST(Limits, UnknownNeighbourIsAskedForOnceAndParks) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto client = Net<F>::stranger();  // on the servers' link
  const Outcome asked = b.send(from_client<F>(client, Net<F>::vip()).udp(9, kPort));
  ASSERT_TRUE(asked.forwarded());
  const Bytes reply = from_server<F>(0, Net<F>::vip()).udp(kServerPort, asked.seen().sport).bytes();
  EXPECT_EQ(b.send(reply, {0, 1, 0}).verdict, Verdict::park);
  const auto request = b.worker().neighbour_requests->pop();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->address, base::IpAddress(client));
  EXPECT_EQ(request->ifindex, 2U);
  b.learn(client, Balancer::kFirstServer + 5);
  const Outcome released = b.send(reply, {0, 1, 0});
  ASSERT_TRUE(released.forwarded());
  EXPECT_EQ(released.seen().dst_mac, Balancer::server_mac(5));
}

TYPED_TEST(Limits, RequestsForNeighboursAreBounded) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  for (unsigned n = 0; n < 300; ++n) {
    const Outcome asked = b.send(from_client<F>(Net<F>::stranger(n), Net<F>::vip()).udp(9, kPort));
    ASSERT_TRUE(asked.forwarded());
    const auto reply = from_server<F>(0, Net<F>::vip()).udp(kServerPort, asked.seen().sport);
    EXPECT_EQ(b.send(reply, {0, 1, 0}).verdict, Verdict::park) << "also where the queue of requests is full";
  }
}

TYPED_TEST(Limits, FailedNextHopIsRefused) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::failed);
  const Outcome o = b.send(syn_of<F>(0));
  ASSERT_TRUE(o.reflected());
  EXPECT_EQ(o.reason, DropReason::neighbour_failed);
  EXPECT_EQ(o.seen().icmp_type, F == Family::v4 ? 3 : 1);
  EXPECT_EQ(o.seen().icmp_code, F == Family::v4 ? 1 : 3);
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  EXPECT_TRUE(b.send(syn_of<F>(0)).forwarded()) << "the SYN retransmitted gets through";
}

TYPED_TEST(Limits, NextHopOfAClientThatMovedIsLookedUpAgain) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  b.add_route({c.address(), F == Family::v4 ? std::uint8_t{32} : std::uint8_t{128}}, dp::RouteKind::on_link);
  b.learn(c.address(), Balancer::kFirstServer + 9);
  const Outcome o = c.server(ACK, 10);
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().dst_mac, Balancer::server_mac(9));
}

TYPED_TEST(Limits, NextHopThatIsGoneIsLookedUpAgainWithinTheEpoch) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto client = Net<F>::stranger();
  b.learn(client, Balancer::kFirstServer + 5);
  const Outcome asked = b.send(from_client<F>(client, Net<F>::vip()).udp(9, kPort));
  const Bytes reply = from_server<F>(0, Net<F>::vip()).udp(kServerPort, asked.seen().sport).bytes();
  ASSERT_TRUE(b.send(reply, {0, 1, 0}).forwarded());
  // The neighbour is known under another number now; the epoch moves at most ten times a second.
  b.rename_neighbour(client, Balancer::kFirstServer + 6);
  b.set_state(Balancer::kFirstServer + 5, dp::AdjacencyState::gone);
  const Outcome o = b.send(reply, {0, 1, 0});
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().dst_mac, Balancer::server_mac(6));
}

TYPED_TEST(Limits, DestinationsWithoutAWay) {
  constexpr Family F = TypeParam::kFamily;
  constexpr std::uint8_t kLength = F == Family::v4 ? 32 : 128;
  const auto client = Net<F>::client(3);
  struct Row {
    dp::RouteKind kind;
    bool told;
  };
  for (const Row row : {Row{dp::RouteKind::blackhole, false}, Row{dp::RouteKind::unreachable, true},
                        Row{dp::RouteKind::local, true}, Row{dp::RouteKind::foreign, true}}) {
    Balancer b;
    b.configure({dns<F>(1)});
    b.add_route({client, kLength}, row.kind);
    const Outcome asked = b.send(from_client<F>(client, Net<F>::vip()).udp(9, kPort));
    ASSERT_TRUE(asked.forwarded());
    const Outcome o =
        b.send(from_server<F>(0, Net<F>::vip()).udp(kServerPort, asked.seen().sport), {0, 1, 0});
    EXPECT_EQ(o.reason, DropReason::no_route);
    EXPECT_EQ(o.verdict, row.told ? Verdict::reflect : Verdict::drop);
  }
}

TYPED_TEST(Limits, ServerWithoutARoute) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.add_route({Net<F>::server(), F == Family::v4 ? std::uint8_t{32} : std::uint8_t{128}},
              dp::RouteKind::unreachable);
  b.configure({web<F>(1)});
  const Outcome o = b.send(syn_of<F>(0));
  EXPECT_TRUE(o.reflected());
  EXPECT_EQ(o.reason, DropReason::no_route);
}

// Case 15: floods.

TYPED_TEST(Limits, HalfOpenFlowsMakeRoomOldestFirst) {  // VPP: lru_cleanup
  constexpr Family F = TypeParam::kFamily;
  Balancer b(tiny(64, 10));
  b.configure({web<F>(1)});
  for (unsigned n = 0; n < 25; ++n) {
    EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
    for (unsigned old = 0; old <= n; ++old) {  // all within one slot of the wheel
      const Connection<F> c(b, old, 40'000);
      EXPECT_EQ(c.state() == FlowState::syn_sent, old + 10 > n) << old << " of " << n;
    }
  }
  EXPECT_EQ(b.flows(), 10U);
}

TYPED_TEST(Limits, HalfOpenFlowsThatAreTooManyAreDroppedIfSoConfigured) {
  constexpr Family F = TypeParam::kFamily;
  auto options = tiny(64, 10);
  options.limits.syn_overflow = config::SynOverflow::drop;
  Balancer b(options);
  b.configure({web<F>(1)});
  for (unsigned n = 0; n < 10; ++n) EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
  EXPECT_TRUE(b.send(syn_of<F>(10)).dropped(DropReason::half_open_full));
  EXPECT_TRUE(b.send(syn_of<F>(3)).forwarded());
  b.advance(6'000);
  EXPECT_TRUE(b.send(syn_of<F>(10)).forwarded());
}

TYPED_TEST(Limits, FloodNeverTouchesEstablishedFlows) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(tiny(64, 64));
  b.configure({web<F>(1)});
  std::vector<Connection<F>> open;
  for (unsigned n = 0; n < 40; ++n) open.push_back(Connection<F>(b, n, 50'000).open());
  for (unsigned n = 0; n < 1'000; ++n) EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
  EXPECT_EQ(b.flows(), 64U);
  for (auto& c : open) {
    EXPECT_EQ(c.state(), FlowState::established);
    EXPECT_TRUE(c.client(ACK, 1).forwarded());
  }
}

TYPED_TEST(Limits, ClosedFlowsGoBeforeHalfOpenOnes) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(tiny(8, 8));
  b.configure({web<F>(1)});
  Connection<F> closed(b, 100, 50'000);
  closed.open().close();
  for (unsigned n = 0; n < 7; ++n) EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
  EXPECT_TRUE(b.send(syn_of<F>(7)).forwarded());
  EXPECT_EQ(closed.state(), FlowState::unused);
  EXPECT_EQ(b.flows(FlowClass::half_open), 8U);
}

TYPED_TEST(Limits, FullTableRefusesNewFlowsOnly) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(tiny(8, 8));
  b.configure({web<F>(1)});
  std::vector<Connection<F>> open;
  for (unsigned n = 0; n < 8; ++n) open.push_back(Connection<F>(b, n, 50'000).open());
  EXPECT_TRUE(b.send(syn_of<F>(9)).dropped(DropReason::flow_table_full));
  for (auto& c : open) EXPECT_TRUE(c.server(ACK, 1).forwarded());
  open[0].close();
  EXPECT_TRUE(b.send(syn_of<F>(9)).forwarded());
}

TYPED_TEST(Limits, FlowThatIsEvictedWithinABurstDoesNotLendItsRecord) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(tiny(64, 1));
  b.configure({web<F>(1)});
  const auto outcomes = b.burst({syn_of<F>(0).bytes(), syn_of<F>(1).bytes(), syn_of<F>(2).bytes()}, {});
  std::set<std::uint16_t> ports;
  for (const Outcome& o : outcomes) {
    ASSERT_TRUE(o.forwarded());
    ports.insert(o.seen().sport);
  }
  EXPECT_EQ(ports.size(), 3U) << "each SYN left from the port of its own flow";
}

TYPED_TEST(Limits, ResetsAreLimited) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.rst_per_second = 10;
  Balancer b(options);
  b.configure({web<F>(1)});
  const auto stray = from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(1, kPort, ACK);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(b.send(stray).reflected());
  EXPECT_TRUE(b.send(stray).dropped(DropReason::reset_limited));
  b.advance(1'000);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(b.send(stray).reflected());
  EXPECT_TRUE(b.send(stray).dropped(DropReason::reset_limited));
}

// Time.

TYPED_TEST(Limits, ClockMayWrap) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.start = {0xffff'ffff - 3'000};
  Balancer b(options);
  b.configure({web<F>(1)});
  Connection<F> half(b, 0, 40'000), open(b, 1, 40'000), closed(b, 2, 40'000);
  EXPECT_TRUE(half.client(SYN).forwarded());
  open.open();
  closed.open().close();
  b.advance(4'500, 100);
  EXPECT_LT(b.now().ms, 10'000U);
  EXPECT_EQ(half.state(), FlowState::syn_sent);
  EXPECT_EQ(closed.state(), FlowState::time_wait);
  b.advance(700, 100);
  EXPECT_EQ(half.state(), FlowState::unused);
  b.advance(6'000, 100);
  EXPECT_EQ(closed.state(), FlowState::unused);
  EXPECT_EQ(open.state(), FlowState::established);
  b.advance(3'585'000);
  EXPECT_EQ(open.state(), FlowState::established);
  b.advance(5'000);
  EXPECT_EQ(open.state(), FlowState::unused);
}

TYPED_TEST(Limits, TimersCatchUpAfterAStall) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint32_t stall : {300U, 5'000U, 66'000U, 131'072U, 132'000U, 400'000U}) {
    SCOPED_TRACE(stall);
    Balancer b;
    b.configure({web<F>(1)});
    for (unsigned n = 0; n < 20; ++n) {
      Connection<F> c(b, n, 40'000);
      c.open();
      b.advance(50, 50);
    }
    const base::Tick now = b.now() + stall;
    // Each flow is looked at once; nobody runs after its own tail.
    auto& w = b.worker();
    unsigned looks = 0;
    while (true) {
      const std::uint32_t before_v4 = w.flows_v4.due(now), before_v6 = w.flows_v6.due(now);
      if (before_v4 == dp::kNoFlow && before_v6 == dp::kNoFlow) break;
      dp::expire_flows(b.snapshot(), w, now, 1);
      ASSERT_LT(++looks, 20U * 5) << "flows are re-armed where they come up again at once";
    }
    EXPECT_EQ(b.flows(), 20U);
  }
}

TYPED_TEST(Limits, LongestTimeout) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.timeouts.client = service.timeouts.server = config::Milliseconds{std::int64_t{1} << 40};
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.advance(2'000'000'000, 100'000);  // 23 days
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(c.client(ACK).forwarded());
  b.advance(2'000'000'000, 100'000);
  EXPECT_EQ(c.state(), FlowState::established);
}

// A row for each reason that the packet path can give and that has none above or in the other files.

TYPED_TEST(Limits, ImpossibleHeaders) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1), dns<F>(1)});
  const auto ip = from_client<F>(Net<F>::client(), Net<F>::vip());
  const auto tcp = PacketBuilder(ip).tcp(1, kPort, SYN), udp = PacketBuilder(ip).udp(1, kPort).payload(10);
  constexpr std::size_t kHeaders = 14 + (F == Family::v4 ? 20 : 40);
  for (const std::uint8_t words : {0, 4, 6, 15}) {
    EXPECT_TRUE(b.send(PacketBuilder(tcp).data_offset(words)).verdict == Verdict::drop) << int{words};
  }
  EXPECT_TRUE(b.send(PacketBuilder(tcp).data_offset(4)).dropped(DropReason::bad_l4_header));
  EXPECT_TRUE(b.send(PacketBuilder(tcp).data_offset(15).padding(60)).dropped(DropReason::bad_l4_header));
  EXPECT_TRUE(b.send(PacketBuilder(tcp).data_offset(15)).dropped(DropReason::truncated));
  EXPECT_TRUE(b.send(PacketBuilder(udp).udp_length(7)).dropped(DropReason::bad_l4_header));
  EXPECT_TRUE(b.send(PacketBuilder(udp).udp_length(19)).dropped(DropReason::bad_l4_header));
  EXPECT_TRUE(b.send(PacketBuilder(udp).cut(kHeaders + 12)).dropped(DropReason::truncated));
  EXPECT_TRUE(b.send(PacketBuilder(tcp).cut(kHeaders + 19)).dropped(DropReason::truncated));
  EXPECT_TRUE(b.send(PacketBuilder(tcp).cut(13)).dropped(DropReason::truncated));
  if constexpr (F == Family::v4) {
    EXPECT_TRUE(b.send(PacketBuilder(tcp).ihl(4)).verdict != Verdict::forward);
    EXPECT_TRUE(b.send(PacketBuilder(tcp).version(5)).verdict != Verdict::forward);
    EXPECT_TRUE(b.send(PacketBuilder(tcp).total_length(19)).dropped(DropReason::bad_ip_header));
  } else {
    EXPECT_TRUE(b.send(PacketBuilder(tcp).version(4)).verdict != Verdict::forward);
  }
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Limits, ReplyWithoutAFlow) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  EXPECT_TRUE(b.send(from_server<F>(0, Net<F>::vip()).udp(kServerPort, 20'500), {0, 1, 0})
                  .dropped(DropReason::no_flow));
}

TYPED_TEST(Limits, NoRoomBeforeTheFrameForTheLinkHeader) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_tags(Balancer::kFirstServer, {100, 7});
  Bytes frame = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(1, kPort).payload(20).bytes();
  dp::Packet p;
  p.bytes = frame;
  p.frame_length = static_cast<std::uint32_t>(frame.size());
  dp::process_burst({&p, 1}, dp::Origin::port, b.snapshot(), b.worker(), b.now());
  EXPECT_EQ(p.verdict, Verdict::drop);
  EXPECT_EQ(p.reason, DropReason::too_big);
}

}  // namespace
}  // namespace sluice::test
