// How many connections a client may have at one time: each takes a place, and gives it back once.
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dp/flow/flow_life.h"
#include "test/packet/client_world.h"

namespace sluice::test {
namespace {

template <typename T>
class ClientPlaces : public testing::Test {};
TYPED_TEST_SUITE(ClientPlaces, Families);

// ---------------------------------------------------------------- connections at one time

TYPED_TEST(ClientPlaces, MaxconnIsOneOverAllWorkers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(4));
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 10})});
  unsigned in = 0;
  for (std::uint16_t port = 1; port <= 40; ++port) {
    const Outcome o = knock<F>(b, 0, port);
    in += o.forwarded() ? 1 : 0;
    EXPECT_TRUE(o.forwarded() || o.reason == DropReason::client_maxconn) << o;
  }
  EXPECT_EQ(in, 10U);
  EXPECT_EQ(counted(b), (Counted{.over_maxconn = 30}));
  EXPECT_TRUE(knock<F>(b, 1, 1).forwarded()) << "of another client";
}

TYPED_TEST(ClientPlaces, SynsAgainAreNotCountedAgain) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {}, .deny = {}, .rate = 2, .burst = 2, .maxconn = 2})});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(b.send(syn_of<F>(0)).forwarded());
  EXPECT_TRUE(b.send(syn_of<F>(0, 7)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(0, 8)).reason, DropReason::client_maxconn);
}

template <Family F>
struct Ending {
  const char* how;
  void (*end)(Connection<F>&, Balancer&);
};
template <Family F>
std::vector<Ending<F>> endings() {
  return {
      {"closed by the client", [](Connection<F>& c, Balancer&) { c.close(); }},
      {"closed by the server", [](Connection<F>& c, Balancer&) { c.close_by_server(); }},
      {"reset by the client",
       [](Connection<F>& c, Balancer&) { EXPECT_TRUE(c.client(RST | ACK).forwarded()); }},
      {"reset by the server",
       [](Connection<F>& c, Balancer&) { EXPECT_TRUE(c.server(RST | ACK).forwarded()); }},
      {"killed",
       [](Connection<F>& c, Balancer& b) {
         dp::WorkerState& w = b.worker();
         const auto found = w.flows<F>().find(c.key(), w.flows<F>().hash(c.key()));
         ASSERT_TRUE(found);
         EXPECT_EQ(dp::kill_flow<F>(found.flow, b.snapshot(), w, b.now()), dp::Killing::done);
       }},
  };
}

TYPED_TEST(ClientPlaces, EachWayToEndGivesThePlaceBackOnce) {
  constexpr Family F = TypeParam::kFamily;
  for (const Ending<F>& ending : endings<F>()) {
    SCOPED_TRACE(ending.how);
    Balancer b;
    b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 2})});
    Connection<F> first(b, 0, 1), second(b, 0, 2);
    first.open();
    second.open();
    EXPECT_EQ(b.send(syn_of<F>(0, 3)).reason, DropReason::client_maxconn);
    ending.end(first, b);
    EXPECT_TRUE(b.send(syn_of<F>(0, 3)).forwarded());
    EXPECT_EQ(b.send(syn_of<F>(0, 4)).reason, DropReason::client_maxconn) << "one place, not more";
    b.advance(15'000);  // the first flow's record goes, too
    EXPECT_LE(b.client_places(0), 2U);
  }
}

TYPED_TEST(ClientPlaces, IdleConnectionsGiveTheirPlacesBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 2});
  service.timeouts.client = service.timeouts.server = config::Milliseconds(5'000);
  b.configure({service});
  Connection<F> first(b, 0, 1), second(b, 0, 2);
  first.open();
  second.open();
  b.advance(3'000);
  EXPECT_TRUE(second.client(ACK, 1).forwarded());
  b.advance(3'000);
  EXPECT_EQ(first.state(), FlowState::unused);
  EXPECT_TRUE(b.send(syn_of<F>(0, 3)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(0, 4)).reason, DropReason::client_maxconn);
}

TYPED_TEST(ClientPlaces, UnansweredAndEvictedHandshakesGiveTheirsBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.half_open_per_worker = 64;
  options.limits.syn_backlog = 63;
  Balancer b(options);
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 1});
  service.syn_cookies = config::SynCookies::off;
  b.configure({service});
  EXPECT_TRUE(b.send(syn_of<F>(0)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(0, 7)).reason, DropReason::client_maxconn);
  for (unsigned n = 1; n <= 64; ++n) EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
  EXPECT_TRUE(b.send(syn_of<F>(0, 7)).forwarded()) << "the first was evicted";
  EXPECT_EQ(b.client_places(0), 64U);
  b.advance(6'000);
  EXPECT_EQ(b.client_places(0), 0U) << "nobody answered";
  EXPECT_TRUE(b.send(syn_of<F>(0, 8)).forwarded());
}

TYPED_TEST(ClientPlaces, WhoWaitsHoldsAPlaceUntilItLeavesTheQueue) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 2}, 1);
  service.servers[0].maxconn = 1;
  service.timeouts.queue = config::Milliseconds(3'000);
  b.configure({service});
  Connection<F> other(b, 9, kClientPort);
  other.open();
  EXPECT_EQ(b.send(syn_of<F>(0, 1)).verdict, Verdict::hold);
  EXPECT_EQ(b.send(syn_of<F>(0, 2)).verdict, Verdict::hold);
  EXPECT_EQ(b.send(syn_of<F>(0, 1)).verdict, Verdict::hold) << "again";
  EXPECT_EQ(b.send(syn_of<F>(0, 3)).reason, DropReason::client_maxconn);
  // The client gives one up; another takes its place.
  EXPECT_EQ(b.send(from_client<F>(Net<F>::client(0), Net<F>::vip()).tcp(2, kPort, RST).seq(1'001)).reason,
            DropReason::stray_reset);
  EXPECT_EQ(b.send(syn_of<F>(0, 3)).verdict, Verdict::hold);
  EXPECT_EQ(b.send(syn_of<F>(0, 4)).reason, DropReason::client_maxconn);
  // One gets to the server, and keeps its place; the other waits in vain.
  other.close();
  EXPECT_EQ(b.send(syn_of<F>(0, 4)).reason, DropReason::client_maxconn);
  b.advance(4'000);
  EXPECT_EQ(b.send(syn_of<F>(0, 4)).verdict, Verdict::hold);
  EXPECT_EQ(b.send(syn_of<F>(0, 5)).reason, DropReason::client_maxconn);
  EXPECT_EQ(b.client_places(0), 2U);
}

TYPED_TEST(ClientPlaces, AnotherAttemptIsTheSameConnection) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool redispatch : {true, false}) {
    Balancer b;
    auto service = limited<F>({.allow = {}, .deny = {}, .rate = 1, .burst = 1, .maxconn = 1});
    service.retries = 3;
    service.redispatch = redispatch;
    b.configure({service});
    Connection<F> c(b, 0, kClientPort);
    EXPECT_TRUE(c.client(SYN).forwarded());
    EXPECT_TRUE(c.send_server(c.server_packet(RST | ACK).seq(0)).dropped(DropReason::retried));
    EXPECT_EQ(b.send(syn_of<F>(0, 7)).reason, DropReason::client_maxconn) << "between attempts, too";
    b.advance(1'000);
    ASSERT_FALSE(b.take_stored().empty());
    EXPECT_EQ(b.send(syn_of<F>(0, 7)).reason, DropReason::client_maxconn);
    EXPECT_EQ(b.client_places(0), 1U);
    EXPECT_EQ(counted(b), (Counted{.over_maxconn = 2}));
    b.advance(60'000);
    EXPECT_EQ(b.client_places(0), 0U);
  }
}

TYPED_TEST(ClientPlaces, RefusalThatIsFinalGivesThePlaceBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 1})});
  Connection<F> c(b, 0, kClientPort);
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.send_server(c.server_packet(RST | ACK).seq(0)).forwarded());
  EXPECT_TRUE(b.send(syn_of<F>(0, 7)).forwarded());
}

TYPED_TEST(ClientPlaces, WhatFindsNoServerTakesNoPlace) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 1});
  for (auto& s : service.servers) s.weight = 0;
  b.configure({service});
  for (std::uint16_t port = 1; port < 5; ++port)
    EXPECT_EQ(b.send(syn_of<F>(0, port)).reason, DropReason::no_server);
  EXPECT_EQ(b.client_places(0), 0U);
}

TYPED_TEST(ClientPlaces, WhatFindsNoServerTakesNoToken) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto no_server : {config::NoServer::reset, config::NoServer::drop}) {
    Balancer b;
    auto service = limited<F>({.allow = {}, .deny = {}, .rate = 1, .burst = 2});
    service.no_server = no_server;
    auto without = service;
    for (auto& s : without.servers) s.weight = 0;
    b.configure({without});
    for (int n = 0; n < 9; ++n) EXPECT_EQ(b.send(syn_of<F>(0)).reason, DropReason::no_server);
    b.configure({service});
    EXPECT_TRUE(b.send(syn_of<F>(0, 1)).forwarded());
    EXPECT_TRUE(b.send(syn_of<F>(0, 2)).forwarded());
    EXPECT_EQ(b.send(syn_of<F>(0, 3)).reason, DropReason::client_rate);
  }
}

TYPED_TEST(ClientPlaces, WhatFindsNoRoomTakesNoTokenAndNoPlace) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .rate = 1, .burst = 3});
  service.source_ports = {20'000, 20'000};
  service.servers.resize(1);
  b.configure({service});
  Connection<F> other(b, 9, kClientPort);
  other.open();
  for (int n = 0; n < 9; ++n) EXPECT_EQ(b.send(syn_of<F>(0)).reason, DropReason::no_source_port);
  EXPECT_EQ(b.client_places(0), 1U);
  service.source_ports = {20'000, 20'100};
  b.configure({service});
  for (std::uint16_t port = 1; port <= 3; ++port) EXPECT_TRUE(b.send(syn_of<F>(0, port)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(0, 4)).reason, DropReason::client_rate);
}

TYPED_TEST(ClientPlaces, AddressesOfOnePrefixAreOneClient) {
  constexpr Family F = TypeParam::kFamily;
  constexpr std::uint8_t kBits = F == Family::v4 ? 32 : 128;
  Balancer b;
  // Numbers of addresses are one more than those of clients: 0..254 share all but eight bits.
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 2, .prefix = kBits - 8})});
  Connection<F> first(b, 3, 1), second(b, 254, 2);
  first.open();
  second.open();
  EXPECT_EQ(b.send(syn_of<F>(99)).reason, DropReason::client_maxconn);
  EXPECT_TRUE(b.send(syn_of<F>(255)).forwarded()) << "of the next network";
  second.close();
  EXPECT_TRUE(b.send(syn_of<F>(99)).forwarded());
  EXPECT_EQ(b.client_places(0), 3U);
}

TYPED_TEST(ClientPlaces, ConnectionThatAServerBeginsOnAClosedOneCounts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 1})});
  Connection<F> c(b, 0, kClientPort);
  c.open();
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  const std::uint32_t last_ack = c.next_;
  // The client's next SYN overtakes the server's last ACK.
  c.next_ += 5'000;
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.send_server(c.server_packet(ACK).ack(last_ack)).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
  EXPECT_EQ(b.client_places(0), 0U);
  c.answer_syn(100);
  EXPECT_EQ(c.state(), FlowState::syn_received);
  EXPECT_EQ(b.client_places(0), 1U);
  EXPECT_EQ(b.send(syn_of<F>(0, 7)).reason, DropReason::client_maxconn);
  EXPECT_TRUE(c.client(ACK).forwarded());
  c.close();
  EXPECT_EQ(b.client_places(0), 0U);
}

TYPED_TEST(ClientPlaces, ResetThatWasNotBelievedMakesNoRoomForMore) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool of_client : {true, false}) {
    Balancer b;
    auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = of_client ? 1U : 0U});
    service.maxconn = of_client ? 0 : 1;
    b.configure({service});
    Connection<F> first(b, 0, 1), second(b, 0, 2);
    first.open();
    EXPECT_TRUE(first.client(RST | ACK).forwarded());
    second.open();
    // The first goes on all the same: it is the one too many now.
    const Outcome o = first.client(ACK, 100);
    EXPECT_TRUE(o.dropped(of_client ? DropReason::client_maxconn : DropReason::servers_full)) << o;
    EXPECT_EQ(first.state(), FlowState::unused);
    const auto own = b.take_own();
    ASSERT_EQ(own.size(), 2U) << "both ends are told";
    for (const Outcome& each : own) EXPECT_TRUE((each.seen().flags.bits & RST.bits) != 0);
    EXPECT_EQ(b.load().open.taken(), 1U);
    EXPECT_TRUE(second.client(ACK, 10).forwarded());
  }
}

TYPED_TEST(ClientPlaces, ConnectionInAClosingOneIsJudgedLikeAnyOther) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool denied : {true, false}) {
    Balancer b;
    auto service = limited<F>({.allow = {}, .deny = {}, .rate = 1, .burst = 2});
    b.configure({service});
    Connection<F> c(b, 0, kClientPort);
    c.open();
    EXPECT_TRUE(c.server(FIN | ACK).forwarded());
    EXPECT_TRUE(c.client(FIN | ACK).forwarded());
    EXPECT_EQ(c.state(), FlowState::closing);
    c.next_ += 5'000;
    if (denied) {
      service.clients.deny = {clients_net<F>()};
      b.configure({service});
      EXPECT_EQ(c.client(SYN).reason, DropReason::client_denied);
    } else {
      EXPECT_TRUE(c.client(SYN).forwarded()) << "the second token";
      EXPECT_EQ(c.client(SYN).reason, DropReason::client_rate);
    }
    EXPECT_EQ(c.state(), FlowState::closing);
    EXPECT_EQ(b.client_places(0), 1U);
  }
}

TYPED_TEST(ClientPlaces, DatagramFlowsCountUntilTheyExpire) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>();
  service.clients = {.allow = {}, .deny = {}, .maxconn = 2};
  service.timeouts.udp = config::Milliseconds(10'000);
  b.configure({service});
  const auto datagram = [](std::uint16_t port) {
    return from_client<F>(Net<F>::client(), Net<F>::vip()).udp(port, kPort).payload(20);
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(b.send(datagram(1)).forwarded());
  EXPECT_TRUE(b.send(datagram(2)).forwarded());
  EXPECT_EQ(b.send(datagram(3)).reason, DropReason::client_maxconn);
  b.advance(12'000);
  EXPECT_TRUE(b.send(datagram(3)).forwarded());
}

// ---------------------------------------------------------------- reload

TYPED_TEST(ClientPlaces, CountsGoOnWhenLimitsChange) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(2));
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 5})});
  for (std::uint16_t port = 1; port <= 4; ++port) EXPECT_TRUE(knock<F>(b, 0, port).forwarded());
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 2})});
  EXPECT_EQ(b.client_places(0), 4U) << "live ones stay";
  EXPECT_EQ(knock<F>(b, 0, 5).reason, DropReason::client_maxconn);
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 5})});
  EXPECT_TRUE(knock<F>(b, 0, 5).forwarded());
  EXPECT_EQ(knock<F>(b, 0, 6).reason, DropReason::client_maxconn);
  b.configure({limited<F>({})});
  EXPECT_TRUE(knock<F>(b, 0, 6).forwarded()) << "no limit, and not counted";
  b.configure({limited<F>({.allow = {}, .deny = {}, .maxconn = 6})});
  EXPECT_TRUE(knock<F>(b, 0, 7).forwarded());
  EXPECT_EQ(knock<F>(b, 0, 8).reason, DropReason::client_maxconn);
  b.advance(6'000);
  EXPECT_EQ(b.client_places(0), 0U);
}

TYPED_TEST(ClientPlaces, TableKeepsItsSizeAndPrefixAsLongAsItsService) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 5, .table = 64});
  b.configure({service});
  const auto refusal = [&](const config::Clients& clients) {
    auto other = service;
    other.clients = clients;
    const auto compiled = b.compiler().compile({.services = {other}}, {});
    return compiled ? std::string() : compiled.error().message;
  };
  EXPECT_EQ(
      refusal({.allow = {}, .deny = {}, .maxconn = 5, .table = 65}),
      "service \"web\": its table has room for 64 clients until sluice-dp starts anew, since connections "
      "are counted by it: restart sluice, or leave clients.table at 64");
  EXPECT_THAT(refusal({.allow = {}, .deny = {}, .maxconn = 5, .table = 64, .prefix = 24}),
              testing::HasSubstr("until sluice-dp starts anew"));
  EXPECT_EQ(refusal({.allow = {}, .deny = {}, .maxconn = 5, .table = 60}), "") << "the same when rounded";
  EXPECT_EQ(refusal({.allow = {}, .deny = {}, .table = 128}), "") << "not in use";
  EXPECT_THAT(refusal({.allow = {}, .deny = {}, .maxconn = 5, .table = 128}),
              testing::HasSubstr("64 clients"))
      << "nor is it another after a while without limits";
  service.mode = config::Mode::dnat;
  EXPECT_EQ(refusal({.allow = {}, .deny = {}, .maxconn = 5, .table = 128}), "") << "another service to dp";
}

TYPED_TEST(ClientPlaces, FlowsOfARemovedServiceGiveTheirPlacesBackWhenItComesAgain) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  const auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 2});
  b.configure({service});
  Connection<F> first(b, 0, 1), second(b, 0, 2);
  first.open();
  second.open();
  b.configure({});
  b.settle();
  first.close();
  b.configure({service});
  EXPECT_TRUE(b.send(syn_of<F>(0, 3)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(0, 4)).reason, DropReason::client_maxconn);
  EXPECT_EQ(b.client_places(0), 2U);
}

TYPED_TEST(ClientPlaces, SlotOfAnotherServiceBeginsWithoutClients) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 1}, 1);
  service.servers[0].maxconn = 1;
  b.configure({service});
  Connection<F> other(b, 9, kClientPort);
  other.open();
  EXPECT_EQ(b.send(syn_of<F>(0)).verdict, Verdict::hold);
  EXPECT_EQ(b.client_places(0), 2U);
  // Who waits there is judged anew by the service that has the endpoint now.
  auto heir = service;
  heir.name = "heir";
  heir.clients.deny = {clients_net<F>()};
  b.configure({heir});
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].reason, DropReason::client_denied);
  EXPECT_EQ(b.client_places(0), 1U);
  other.close();
  b.advance(20'000);
  b.settle();
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(ClientPlaces, RemovedServersConnectionsCountUntilTheyEnd) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 1}, 2);
  b.configure({service});
  Connection<F> c(b, 0, kClientPort);
  c.open();
  std::erase_if(service.servers,
                [&](const auto& s) { return s.name == "s" + std::to_string(c.server_number()); });
  b.configure({service});
  EXPECT_EQ(b.send(syn_of<F>(0, 7)).reason, DropReason::client_maxconn);
  c.close();
  EXPECT_TRUE(b.send(syn_of<F>(0, 7)).forwarded());
}

}  // namespace
}  // namespace sluice::test
