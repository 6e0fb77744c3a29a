// RSTs that sluice sends of its own accord: what they say, and to whom (RFC 9293 §3.10.7, RFC 5961 §3.2).
#include "dp/own_reset.h"

#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

using dp::ResetResult;
using dp::ResetTo;

template <typename T>
class OwnReset : public testing::Test {};
TYPED_TEST_SUITE(OwnReset, Families);

template <Family F>
ResetResult post(Balancer& b, const Connection<F>& c, ResetTo to) {
  auto& flows = b.worker().flows<F>();
  const auto found = flows.find(c.key(), flows.hash(c.key()));
  EXPECT_TRUE(found);
  return dp::post_resets<F>(found.flow, to, b.snapshot(), b.worker(), b.now());
}

template <Family F>
void expect_from_vip(const Outcome& o, const Connection<F>& c) {
  const Seen seen = o.seen();
  EXPECT_EQ(o.port, 0);
  EXPECT_EQ(seen.src_mac, Balancer::port_mac(0));
  EXPECT_EQ(seen.dst_mac, Balancer::kGatewayMac);
  EXPECT_EQ(seen.from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(seen.to(), (base::Endpoint{c.address(), c.port()}));
  EXPECT_TRUE(seen.payload.empty());
  EXPECT_EQ(seen.ttl, 64);
}

template <Family F>
void expect_to_server(const Outcome& o, const Connection<F>& c) {
  const Seen seen = o.seen();
  EXPECT_EQ(o.port, 1);
  EXPECT_EQ(seen.src_mac, Balancer::port_mac(1));
  EXPECT_EQ(seen.dst_mac, Balancer::server_mac(c.server_number()));
  EXPECT_EQ(seen.from(), c.local());
  EXPECT_EQ(seen.to(), (base::Endpoint{Net<F>::server(c.server_number()), kServerPort}));
  EXPECT_TRUE(seen.payload.empty());
}

TYPED_TEST(OwnReset, OfAQuietConnectionCarriesWhatEachEndExpectsNext) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(PSH | ACK, 300).forwarded());
  EXPECT_TRUE(c.server(PSH | ACK, 1'400).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  expect_from_vip(own[0], c);
  EXPECT_EQ(own[0].seen().flags, RST | ACK);
  EXPECT_EQ(own[0].seen().seq, c.peer_next_);
  EXPECT_EQ(own[0].seen().ack, c.next_);
  expect_to_server(own[1], c);
  EXPECT_EQ(own[1].seen().flags, RST | ACK);
  EXPECT_EQ(own[1].seen().seq, c.next_ + c.shift());
  EXPECT_EQ(own[1].seen().ack, c.peer_next_);
  EXPECT_EQ(c.state(), FlowState::established) << "the caller ends it";
}

TYPED_TEST(OwnReset, WithDataInFlightCarriesWhatTheReceiverHasAcknowledged) {  // RFC 5961 §3.2
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint32_t client_read = c.peer_next_, server_read = c.next_;
  EXPECT_TRUE(c.server(PSH | ACK, 1'400).forwarded());
  EXPECT_TRUE(c.send_client(c.client_packet(PSH | ACK, 500).ack(client_read)).forwarded());
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().seq, client_read);
  EXPECT_EQ(own[1].seen().seq, server_read);
}

TYPED_TEST(OwnReset, OfAConnectionThatIsRenumbered) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  Connection<F> first(b, 0, 40'000);
  first.open();
  first.close_by_server();
  Connection<F> c(b, 1, 40'000, 77);  // the same port pair, numbered beyond the old connection
  c.open();
  ASSERT_NE(c.shift(), 0U);
  EXPECT_TRUE(c.client(PSH | ACK, 100).forwarded());
  EXPECT_TRUE(c.server(PSH | ACK, 200).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().seq, c.peer_next_);
  EXPECT_EQ(own[0].seen().ack, c.next_);
  EXPECT_EQ(own[1].seen().seq, c.next_ + c.shift());
  EXPECT_EQ(own[1].seen().ack, c.peer_next_);
}

TYPED_TEST(OwnReset, OfAClientThatWaitsForItsSynAckAcknowledgesTheSyn) {  // RFC 9293 §3.10.7.3
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000, 0xffff'ffff);
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(post(b, c, ResetTo::client), ResetResult::done);
  EXPECT_EQ(post(b, c, ResetTo::server), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  expect_from_vip(own[0], c);
  EXPECT_EQ(own[0].seen().flags, RST | ACK);
  EXPECT_EQ(own[0].seen().ack, 0U) << "ISN + 1";
  expect_to_server(own[1], c);
  EXPECT_EQ(own[1].seen().flags, RST) << "there is nothing of the server's to acknowledge";
  EXPECT_EQ(own[1].seen().seq, 0U);
}

TYPED_TEST(OwnReset, OfAnUnfinishedHandshakeFitsWhetherTheSynAckArrivedOrNot) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn();
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().flags, RST | ACK);
  EXPECT_EQ(own[0].seen().seq, Connection<F>::kServerIsn + 1) << "to a client that has the SYN-ACK";
  EXPECT_EQ(own[0].seen().ack, Connection<F>::kClientIsn + 1) << "to one that has not";
  EXPECT_EQ(own[1].seen().flags, RST | ACK);
  EXPECT_EQ(own[1].seen().seq, Connection<F>::kClientIsn + 1);
  EXPECT_EQ(own[1].seen().ack, Connection<F>::kServerIsn + 1);
}

TYPED_TEST(OwnReset, WhenBothOpenAtOnce) {  // RFC 9293 §3.5
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000, 0x8000'0000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.peer_next_ = 777;
  EXPECT_TRUE(c.server(SYN).forwarded());
  ASSERT_EQ(c.state(), FlowState::syn_received);
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().seq, 778U);
  EXPECT_EQ(own[0].seen().ack, 0x8000'0001U);
  EXPECT_EQ(own[1].seen().seq, 0x8000'0001U);
  EXPECT_EQ(own[1].seen().ack, 778U);
}

TYPED_TEST(OwnReset, LeavesByTheTagsOfItsNextHop) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.set_tags(Balancer::kGateway, {100, 7});
  b.set_tags(Balancer::kFirstServer, {30});
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().tags, (std::vector<std::uint16_t>{100, 7}));
  EXPECT_EQ(own[1].seen().tags, (std::vector<std::uint16_t>{30}));
  EXPECT_EQ(own[0].seen().flags, RST | ACK);
}

TYPED_TEST(OwnReset, WaitsForANextHopThatIsAskedFor) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::no_hop);
  EXPECT_TRUE(b.take_own().empty()) << "all or none";
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  b.add_route({c.address(), F == Family::v4 ? std::uint8_t{32} : std::uint8_t{128}}, dp::RouteKind::on_link);
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::no_hop);
  EXPECT_TRUE(b.take_own().empty());
  const auto request = b.worker().neighbour_requests->pop();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->address, base::IpAddress(c.address()));
  b.learn(c.address(), Balancer::kFirstServer + 9);
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().dst_mac, Balancer::server_mac(9));
}

TYPED_TEST(OwnReset, GoesToTheOneThatCanBeReached) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto state : {dp::AdjacencyState::failed, dp::AdjacencyState::gone}) {
    Balancer b;
    b.configure({web<F>(1)});
    Connection<F> c(b, 0, 40'000);
    c.open();
    b.set_state(Balancer::kFirstServer, state);
    EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
    const auto own = b.take_own();
    ASSERT_EQ(own.size(), 1U);
    expect_from_vip(own[0], c);
  }
}

TYPED_TEST(OwnReset, NeedsRoomInTheOutbox) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.hold_outboxes(true);
  unsigned posted = 0;
  while (post(b, c, ResetTo::both) == ResetResult::done) ++posted;
  EXPECT_EQ(posted, dp::Outbox::kCapacity / 2);
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::no_room);
  b.hold_outboxes(false);
  EXPECT_EQ(b.take_own().size(), dp::Outbox::kCapacity);
  EXPECT_EQ(post(b, c, ResetTo::both), ResetResult::done);
}

}  // namespace
}  // namespace sluice::test
