// How connections end that nobody closes: after which silence, and that both ends hear of it.
#include <gtest/gtest.h>

#include "dp/flow/flow_life.h"
#include "test/packet/icmp_errors.h"

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

template <typename T>
class Timeouts : public testing::Test {};
TYPED_TEST_SUITE(Timeouts, Families);

/// "web" with timeouts that tell one another apart.
template <Family F>
config::ForwardingService timed(unsigned servers = 1) {
  auto service = web<F>(servers);
  service.timeouts.connect = seconds(5);
  service.timeouts.client = seconds(300);
  service.timeouts.server = seconds(200);
  return service;
}

std::uint64_t drops(Balancer& b, DropReason reason) {
  return b.worker().counters.drops[static_cast<std::size_t>(reason)].get();
}

/// The RSTs that ended one connection: exactly what its ends expect next.
template <Family F>
void expect_both_told(Balancer& b, const Connection<F>& c) {
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  const Seen client = own[0].seen(), server = own[1].seen();
  EXPECT_EQ(client.to(), (base::Endpoint{c.address(), c.port()}));
  EXPECT_EQ(client.from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(client.flags, RST | ACK);
  EXPECT_EQ(client.seq, c.peer_next_);
  EXPECT_EQ(client.ack, c.next_);
  EXPECT_EQ(server.to(), (base::Endpoint{Net<F>::server(c.server_number()), kServerPort}));
  EXPECT_EQ(server.from(), c.local());
  EXPECT_EQ(server.flags, RST | ACK);
  EXPECT_EQ(server.seq, c.next_ + c.shift());
  EXPECT_EQ(server.ack, c.peer_next_);
}

/// The connection lives for `timeout` from now, give or take the wheel's grain, and no longer.
template <Family F>
void expect_to_end_after(Balancer& b, const Connection<F>& c, std::chrono::milliseconds timeout) {
  const FlowState state = c.state();
  b.advance(static_cast<std::uint64_t>(timeout.count()) - 1);
  EXPECT_EQ(c.state(), state);
  EXPECT_TRUE(b.take_own().empty());
  b.advance(300, 100);
  EXPECT_EQ(c.state(), FlowState::unused);
}

TYPED_TEST(Timeouts, OfAnEstablishedConnectionIsTheLessOfClientAndServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  expect_to_end_after(b, c, seconds(200));
  expect_both_told(b, c);
  EXPECT_EQ(b.worker().counters.timed_out.get(), 1U);
  EXPECT_EQ(b.worker().counters.killed.get(), 0U);
  EXPECT_EQ(b.counts("web", "s0").ended, 1U);
  EXPECT_EQ(b.counts("web", "s0").failed, 0U);
}

TYPED_TEST(Timeouts, TunnelReplacesClientAndServer) {
  constexpr Family F = TypeParam::kFamily;
  for (const seconds tunnel : {seconds(20), seconds(900)}) {
    Balancer b;
    auto service = timed<F>();
    service.timeouts.tunnel = tunnel;
    b.configure({service});
    Connection<F> c(b, 0, 40'000);
    c.open();
    expect_to_end_after(b, c, tunnel);
    expect_both_told(b, c);
  }
}

TYPED_TEST(Timeouts, ServerFinHoldsOnceTheClientHasClosed) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = timed<F>();
  service.timeouts.server_fin = seconds(7);
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.advance(100'000);
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  ASSERT_EQ(c.state(), FlowState::fin_client);
  expect_to_end_after(b, c, seconds(7));
  expect_both_told(b, c);
}

TYPED_TEST(Timeouts, ClientFinHoldsOnceTheServerHasClosed) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = timed<F>();
  service.timeouts.client_fin = seconds(9);
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  ASSERT_EQ(c.state(), FlowState::fin_server);
  expect_to_end_after(b, c, seconds(9));
  expect_both_told(b, c);
}

TYPED_TEST(Timeouts, HalfClosedConnectionsKeepTheOpenOnesTimeoutByDefault) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_client : {true, false}) {
    Balancer b;
    b.configure({timed<F>()});
    Connection<F> c(b, 0, 40'000);
    c.open();
    EXPECT_TRUE((by_client ? c.client(FIN | ACK) : c.server(FIN | ACK)).forwarded());
    EXPECT_TRUE((by_client ? c.server(ACK) : c.client(ACK)).forwarded());
    expect_to_end_after(b, c, seconds(200));
    expect_both_told(b, c);
  }
}

TYPED_TEST(Timeouts, ClosedConnectionsAreForgottenInSilence) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> closed(b, 0, 40'000), reset(b, 1, 40'000);
  closed.open().close();
  EXPECT_TRUE(reset.open().client(RST | ACK).forwarded());
  b.advance(30'000);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_TRUE(b.take_own().empty());
  EXPECT_EQ(b.worker().counters.timed_out.get(), 0U);
}

TYPED_TEST(Timeouts, LastAckThatNeverComes) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  ASSERT_EQ(c.state(), FlowState::closing);
  expect_to_end_after(b, c, milliseconds(dp::kClosingMs));
  EXPECT_EQ(b.take_own().size(), 2U);
}

TYPED_TEST(Timeouts, UnfinishedHandshakeIsEndedAtBothEnds) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn();
  ASSERT_EQ(c.state(), FlowState::syn_received);
  expect_to_end_after(b, c, seconds(5));
  expect_both_told(b, c);
}

TYPED_TEST(Timeouts, UnfinishedHandshakesTellClientsWithinTheLimitOnly) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.rst_per_second = 3;
  Balancer b(options);
  b.configure({timed<F>()});
  for (unsigned n = 0; n < 10; ++n) {
    Connection<F> c(b, n, 40'000);
    EXPECT_TRUE(c.client(SYN).forwarded());
    c.answer_syn();
  }
  b.advance(6'000);
  EXPECT_EQ(b.flows(), 0U);
  unsigned to_clients = 0, to_servers = 0;
  for (const Outcome& o : b.take_own()) ++(o.port == 0 ? to_clients : to_servers);
  EXPECT_EQ(to_clients, 3U) << "whoever sends SYNs in another's name must not be able to flood him";
  EXPECT_EQ(to_servers, 10U);
  EXPECT_EQ(drops(b, DropReason::reset_limited), 7U);
}

TYPED_TEST(Timeouts, OfUdpEndsInSilence) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.timeouts.udp = seconds(30);
  b.configure({service});
  const auto query = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(9, kPort);
  EXPECT_TRUE(b.send(query).forwarded());
  b.advance(29'000);
  EXPECT_TRUE(b.send(query).forwarded());
  b.advance(29'000);
  EXPECT_EQ(b.flows(), 1U);
  b.advance(2'000);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_TRUE(b.take_own().empty());
}

TYPED_TEST(Timeouts, OfUdpIsTwoMinutesByDefault) {  // RFC 4787 REQ-5
  constexpr Family F = TypeParam::kFamily;
  for (const bool answered : {false, true}) {
    Balancer b;
    b.configure({dns<F>(1)});
    const Outcome o = b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).udp(9, kPort));
    ASSERT_TRUE(o.forwarded());
    if (answered) {
      EXPECT_TRUE(
          b.send(from_server<F>(0, Net<F>::vip()).udp(kServerPort, o.seen().sport), {0, 1, 0}).forwarded());
    }
    b.advance(119'999);
    EXPECT_EQ(b.flows(), 1U);
    b.advance(300, 100);
    EXPECT_EQ(b.flows(), 0U);
  }
}

TYPED_TEST(Timeouts, EitherDirectionRefreshesUdp) {  // RFC 4787 REQ-6, 6a
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_server : {false, true}) {
    Balancer b;
    auto service = dns<F>(1);
    service.timeouts.udp = seconds(30);
    b.configure({service});
    const auto query = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(9, kPort);
    const Outcome o = b.send(query);
    ASSERT_TRUE(o.forwarded());
    const auto answer = from_server<F>(0, Net<F>::vip()).udp(kServerPort, o.seen().sport);
    for (int i = 0; i < 4; ++i) {
      b.advance(29'000);
      EXPECT_TRUE((by_server ? b.send(answer, {0, 1, 0}) : b.send(query)).forwarded()) << i;
    }
    b.advance(30'300, 100);
    EXPECT_EQ(b.flows(), 0U);
  }
}

TYPED_TEST(Timeouts, IcmpErrorsRefreshNothing) {  // RFC 7857 §7.1
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(3);
  service.timeouts.udp = seconds(30);
  b.configure({service, timed<F>()});
  const UdpFlow<F> udp(b);
  Connection<F> c(b, 0, 40'000);
  c.open();
  const Outcome segment = c.client(ACK, 100);
  for (int i = 0; i < 3; ++i) {
    b.advance(9'900);
    EXPECT_TRUE(b.send(error_about<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 0,
                                      kPortUnreachable, udp.replied.out, kIp<F> + 8))
                    .forwarded());
  }
  b.advance(600, 100);
  EXPECT_EQ(b.flows(), 1U) << "that of TCP";
  b.advance(169'500);
  EXPECT_TRUE(b.send(error_about<F>(Net<F>::router(), Net<F>::vip(), Balancer::server_mac(0), 1, kTtlExceeded,
                                    segment.out, kIp<F> + 8),
                     {0, 1, 0})
                  .forwarded());
  b.advance(400, 100);
  EXPECT_EQ(c.state(), FlowState::unused);
}

TYPED_TEST(Timeouts, ResetsThatAreNotBelievedRefreshNothing) {  // RFC 7857 §7.1
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_client : {true, false}) {
    Balancer b;
    b.configure({timed<F>()});
    Connection<F> c(b, 0, 40'000);
    c.open();
    b.advance(199'000);
    const Outcome o = by_client ? c.send_client(c.client_packet(RST).seq(c.next_ + 9))
                                : c.send_server(c.server_packet(RST).seq(c.peer_next_ + 9));
    EXPECT_TRUE(o.forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
    b.advance(1'300, 100);
    EXPECT_EQ(c.state(), FlowState::unused);
    expect_both_told(b, c);
  }
}

TYPED_TEST(Timeouts, AnySegmentRefreshesByDefault) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  for (int i = 0; i < 5; ++i) {  // a keepalive and its answer, one each way in turn
    b.advance(150'000);
    EXPECT_TRUE((i % 2 == 0 ? c.client(ACK) : c.server(ACK)).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
  }
  expect_to_end_after(b, c, seconds(200));
}

TYPED_TEST(Timeouts, OnlyDataRefreshesIfSoConfigured) {  // HAProxy sees no bare ACKs
  constexpr Family F = TypeParam::kFamily;
  auto service = timed<F>();
  service.idle_refresh = config::IdleRefresh::data;
  {
    Balancer b;
    b.configure({service});
    Connection<F> c(b, 0, 40'000);
    c.open();
    b.advance(100'000);
    EXPECT_TRUE(c.client(ACK).forwarded());
    EXPECT_TRUE(c.server(ACK).forwarded());
    // RFC 9293 §3.8.4: a keepalive is one below, with or without a byte that was acknowledged long ago.
    EXPECT_TRUE(c.send_client(c.client_packet(ACK).seq(c.next_ - 1)).forwarded());
    EXPECT_TRUE(c.send_server(c.server_packet(ACK, 1).seq(c.peer_next_ - 1)).forwarded());
    b.advance(99'000);
    EXPECT_EQ(c.state(), FlowState::established);
    b.advance(1'300, 100);
    EXPECT_EQ(c.state(), FlowState::unused);
    expect_both_told(b, c);
  }
  for (const bool by_client : {true, false}) {
    Balancer b;
    b.configure({service});
    Connection<F> c(b, 0, 40'000);
    c.open();
    b.advance(150'000);
    EXPECT_TRUE((by_client ? c.client(PSH | ACK, 10) : c.server(PSH | ACK, 10)).forwarded());
    EXPECT_TRUE((by_client ? c.server(ACK) : c.client(ACK)).forwarded());
    expect_to_end_after(b, c, seconds(200));
    expect_both_told(b, c);
  }
  {
    Balancer b;
    b.configure({service});
    Connection<F> c(b, 0, 40'000);
    c.open();
    b.advance(150'000);
    EXPECT_TRUE(c.client(FIN | ACK).forwarded());
    expect_to_end_after(b, c, seconds(200));
  }
}

TYPED_TEST(Timeouts, WhatRefreshesMayChangeUnderOpenConnections) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = timed<F>();
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  service.idle_refresh = config::IdleRefresh::data;
  b.configure({service});
  b.advance(140'000);  // each flow is looked at once per turn of the wheel
  EXPECT_TRUE(c.client(PSH | ACK, 1).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  b.advance(150'000);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
  b.advance(51'000);
  EXPECT_EQ(c.state(), FlowState::unused);
}

TYPED_TEST(Timeouts, ShorterOnesHoldForOpenConnections) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = timed<F>();
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  service.timeouts.tunnel = seconds(1);
  b.configure({service});
  b.advance(132'000);
  EXPECT_EQ(c.state(), FlowState::unused);
  expect_both_told(b, c);
}

TYPED_TEST(Timeouts, FullOutboxPostponesTheEndAndLosesNone) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>(3)});
  constexpr unsigned kMany = dp::Outbox::kCapacity + 50;
  for (unsigned n = 0; n < kMany; ++n) Connection<F>(b, n, 40'000).open();
  b.hold_outboxes(true);
  b.advance(250'000);
  EXPECT_EQ(b.flows(), kMany - dp::Outbox::kCapacity / 2);
  b.advance(10'000);
  EXPECT_EQ(b.flows(), kMany - dp::Outbox::kCapacity / 2);
  b.hold_outboxes(false);
  std::size_t told = b.take_own().size();
  b.advance(1'000);
  told += b.take_own().size();
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(told, 2U * kMany);
  EXPECT_EQ(b.worker().counters.timed_out.get(), kMany);
}

TYPED_TEST(Timeouts, EndWaitsForTheNextHopOfAClientLongSilent) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  // The kernel has forgotten the neighbour since.
  b.add_route({c.address(), F == Family::v4 ? std::uint8_t{32} : std::uint8_t{128}}, dp::RouteKind::on_link);
  b.advance(201'000);
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(b.take_own().empty());
  ASSERT_TRUE(b.worker().neighbour_requests->pop().has_value());
  b.learn(c.address(), Balancer::kFirstServer + 9);
  b.advance(500, 100);
  EXPECT_EQ(c.state(), FlowState::unused);
  expect_both_told(b, c);
}

TYPED_TEST(Timeouts, EndDoesNotWaitForANextHopForEver) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.add_route({c.address(), F == Family::v4 ? std::uint8_t{32} : std::uint8_t{128}}, dp::RouteKind::on_link);
  b.advance(200'000 + 10'000, 100);
  EXPECT_EQ(c.state(), FlowState::unused);
  EXPECT_TRUE(b.take_own().empty());
  EXPECT_EQ(drops(b, DropReason::neighbour_timeout), 1U);
}

TYPED_TEST(Timeouts, ConnectionThatSpeaksUpWhileItsEndWaitsLivesOn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  b.advance(201'000);
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  b.advance(100'000);
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(b.take_own().empty());
}

// Flows that are to end before their time.

template <Family F>
dp::Killing kill(Balancer& b, const dp::FlowKey<F>& key) {
  auto& flows = b.worker().flows<F>();
  const auto found = flows.find(key, flows.hash(key));
  EXPECT_TRUE(found);
  return dp::kill_flow<F>(found.flow, b.snapshot(), b.worker(), b.now());
}

TYPED_TEST(Timeouts, KilledConnectionIsToldAndForgotten) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(PSH | ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_EQ(kill<F>(b, c.key()), dp::Killing::done);
  expect_both_told(b, c);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(b.worker().counters.killed.get(), 1U);
  // The challenge ACK of an end that was ahead of what was seen is answered with what it asks for.
  const Outcome challenge = b.send(c.client_packet(ACK).ack(c.peer_next_ + 500));
  ASSERT_TRUE(challenge.reflected());
  EXPECT_EQ(challenge.seen().flags, RST);
  EXPECT_EQ(challenge.seen().seq, c.peer_next_ + 500);
}

TYPED_TEST(Timeouts, KilledConnectionThatIsClosedGoesInSilence) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>(), dns<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open().close();
  EXPECT_EQ(kill<F>(b, c.key()), dp::Killing::done);
  EXPECT_TRUE(b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).udp(9, kPort)).forwarded());
  const dp::FlowKey<F> udp{Net<F>::client(), Net<F>::vip(), base::Be16{9}, base::Be16{kPort},
                           base::IpProto::udp};
  EXPECT_EQ(kill<F>(b, udp), dp::Killing::done);
  EXPECT_TRUE(b.take_own().empty());
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(b.worker().counters.killed.get(), 2U);
}

TYPED_TEST(Timeouts, KilledConnectionWhoseEndWaitsGoesThoughItSpeaksUp) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  EXPECT_EQ(kill<F>(b, c.key()), dp::Killing::started);
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_TRUE(b.take_own().empty());
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  b.advance(500, 100);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(b.take_own().size(), 2U);
  EXPECT_EQ(b.worker().counters.killed.get(), 1U);
}

TYPED_TEST(Timeouts, KilledConnectionWhoseEndWaitsGoesThoughItBeginsToClose) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({timed<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  EXPECT_EQ(kill<F>(b, c.key()), dp::Killing::started);
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  b.advance(500, 100);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(b.take_own().size(), 2U);
  EXPECT_EQ(b.worker().counters.killed.get(), 1U);
}

}  // namespace
}  // namespace sluice::test
