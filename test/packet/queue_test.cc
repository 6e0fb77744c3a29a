// SYNs that are held because no server has a place for them.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Queue : public testing::Test {};
TYPED_TEST_SUITE(Queue, Families);

constexpr std::uint16_t kClientPort = 40'000;

Balancer::Options with_workers(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  return options;
}

template <Family F>
config::ForwardingService limited(unsigned servers, std::uint32_t maxconn) {
  auto service = web<F>(servers);
  for (auto& s : service.servers) s.maxconn = maxconn;
  return service;
}

template <Family F>
PacketBuilder syn_of(unsigned client, std::uint32_t isn = 1'000) {
  return from_client<F>(Net<F>::client(client), Net<F>::vip()).tcp(kClientPort, kPort, SYN).seq(isn);
}

/// A client's SYN at any worker.
template <Family F>
Outcome knock(Balancer& b, unsigned client) {
  return b.send(syn_of<F>(client), {.worker = client % b.workers(), .port = 0, .segment = 0});
}

/// The clients whose SYNs have reached a server since this was last asked.
template <Family F>
std::vector<unsigned> let_in(Balancer& b) {
  std::vector<unsigned> clients;
  for (const Outcome& o : b.take_stored()) {
    if (!o.forwarded()) continue;
    const base::Endpoint local = o.seen().from();
    for (unsigned w = 0; w < b.workers(); ++w) {
      const auto& flows = b.worker(w).flows<F>();
      for (std::uint32_t n = 0; n < flows.used_records(); ++n) {
        const auto& flow = flows.flow(n);
        if (flow.state == FlowState::unused || flow.local_port.host() != local.port ||
            base::IpAddress(flow.server) != o.seen().dst) {
          continue;
        }
        for (unsigned c = 0; c < 200; ++c) {
          if (flow.client == Net<F>::client(c)) clients.push_back(c);
        }
      }
    }
  }
  return clients;
}

std::uint64_t waiting(Balancer& b) {
  std::uint64_t n = 0;
  for (unsigned w = 0; w < b.workers(); ++w) n += b.worker(w).syns.queued();
  return n;
}

template <Family F>
Connection<F> connected(Balancer& b, unsigned client) {
  Connection<F> c(b, client, kClientPort);
  c.open();
  return c;
}

TYPED_TEST(Queue, OneTooManyIsHeldUntilAPlaceIsFreeHoweverThatComes) {
  constexpr Family F = TypeParam::kFamily;
  using Ending = void (*)(Connection<F>&, Balancer&);
  const Ending endings[] = {
      [](Connection<F>& c, Balancer&) { c.close(); },
      [](Connection<F>& c, Balancer&) { c.close_by_server(); },
      [](Connection<F>& c, Balancer&) { EXPECT_TRUE(c.client(RST | ACK).forwarded()); },
      [](Connection<F>& c, Balancer&) { EXPECT_TRUE(c.server(RST | ACK).forwarded()); },
      [](Connection<F>&, Balancer& b) { b.advance(7'000); },  // idle
  };
  for (const Ending ending : endings) {
    Balancer b;
    auto service = limited<F>(1, 10);
    service.timeouts.client = config::Milliseconds(5'000);
    service.timeouts.queue = config::Milliseconds(60'000);
    b.configure({service});
    std::vector<Connection<F>> open;
    for (unsigned n = 0; n < 10; ++n) open.push_back(connected<F>(b, n));
    b.advance(1'000);
    for (unsigned n = 1; n < 10; ++n) EXPECT_TRUE(open[n].client(ACK, 1).forwarded());

    Connection<F> eleventh(b, 10, kClientPort);
    EXPECT_EQ(eleventh.client(SYN).verdict, Verdict::hold);
    EXPECT_EQ(b.flows(), 10U);
    EXPECT_EQ(waiting(b), 1U);
    ending(open[0], b);
    const auto stored = b.take_stored();
    ASSERT_GE(stored.size(), 1U);
    ASSERT_TRUE(stored[0].forwarded()) << stored[0];
    EXPECT_EQ(stored[0].seen().flags, SYN);
    EXPECT_EQ(waiting(b), 0U);
    eleventh.reached(stored[0].seen(), Connection<F>::kClientIsn);
    eleventh.finish_handshake();
    EXPECT_TRUE(eleventh.client(ACK, 100).forwarded());
    EXPECT_TRUE(eleventh.server(ACK, 100).forwarded());
    eleventh.close();
  }
}

TYPED_TEST(Queue, RetransmissionIsAbsorbedAndTheNewestCopyGoes) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>(1, 1);
  service.timeouts.queue = config::Milliseconds(60'000);
  b.configure({service});
  auto first = connected<F>(b, 0);
  const auto with_time = [](std::uint32_t time) { return syn_of<F>(1).mss(1440).timestamps(time, 0); };
  EXPECT_EQ(b.send(with_time(100)).verdict, Verdict::hold);
  b.advance(1'000);
  EXPECT_EQ(b.send(with_time(1'100)).verdict, Verdict::hold);
  b.advance(2'000);
  EXPECT_EQ(b.send(with_time(3'100)).verdict, Verdict::hold);
  EXPECT_EQ(waiting(b), 1U);
  EXPECT_EQ(b.worker().syns.queue(dp::queue_of_service(0)).entered.get(), 1U);
  first.close();
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].seen().options, see(with_time(3'100).bytes()).options);
}

TYPED_TEST(Queue, IsFirstInFirstOutOverAllWorkers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(4));
  b.configure({limited<F>(2, 1)});
  std::vector<Connection<F>> open;
  for (unsigned n = 0; n < 2; ++n) open.push_back(connected<F>(b, n));
  std::vector<unsigned> expected;
  std::vector<bool> holders(4);
  for (unsigned n = 2; n < 30; ++n) {
    const Outcome o = knock<F>(b, n);
    ASSERT_EQ(o.verdict, Verdict::hold);
    holders[o.worker] = true;
    expected.push_back(n);
  }
  EXPECT_EQ(holders, std::vector<bool>(4, true));
  std::vector<unsigned> order;
  open[0].close(), open[1].close();
  while (true) {
    const auto now_in = let_in<F>(b);
    if (now_in.empty()) break;
    for (const unsigned n : now_in) {
      order.push_back(n);
      EXPECT_LE(b.load().open.taken(), 2U);
      // Its server answers no more: the client gives up, which frees the place for the next.
      EXPECT_TRUE(
          b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).tcp(kClientPort, kPort, RST).seq(1'001))
              .forwarded());
    }
  }
  EXPECT_EQ(order, expected);
}

TYPED_TEST(Queue, EndsWithAResetAtTheTimeout) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(2));
  auto service = limited<F>(1, 1);
  service.timeouts.queue = config::Milliseconds(3'000);
  b.configure({service});
  (void)connected<F>(b, 0);
  EXPECT_EQ(b.send(syn_of<F>(1, 77)).verdict, Verdict::hold);
  b.advance(1'000);
  EXPECT_EQ(b.send(syn_of<F>(2, 78)).verdict, Verdict::hold);
  b.advance(1'990, 10);
  EXPECT_EQ(b.take_stored().size(), 0U);
  b.advance(20, 10);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  const Outcome& o = stored[0];
  ASSERT_TRUE(o.reflected());
  EXPECT_EQ(o.reason, DropReason::queue_timeout);
  const Seen rst = o.seen();
  EXPECT_EQ(rst.flags, RST | ACK);
  EXPECT_EQ(rst.seq, 0U);
  EXPECT_EQ(rst.ack, 78U);
  EXPECT_EQ(rst.from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(rst.to(), (base::Endpoint{Net<F>::client(1), kClientPort}));
  EXPECT_EQ(rst.dst_mac, Balancer::kGatewayMac);
  EXPECT_EQ(waiting(b), 1U) << "the other one came later";
  b.advance(1'000);
  EXPECT_EQ(waiting(b), 0U);
  std::uint64_t timed_out = 0;
  for (unsigned w = 0; w < 2; ++w)
    timed_out += b.worker(w).syns.queue(dp::queue_of_service(0)).timed_out.get();
  EXPECT_EQ(timed_out, 2U);
}

TYPED_TEST(Queue, DefaultsToTheConnectTimeout) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>(1, 1)});
  (void)connected<F>(b, 0);
  EXPECT_EQ(knock<F>(b, 1).verdict, Verdict::hold);
  b.advance(4'900, 100);
  EXPECT_EQ(waiting(b), 1U);
  b.advance(200, 100);
  EXPECT_EQ(waiting(b), 0U);
}

TYPED_TEST(Queue, AffinityWaitsForItsServerUpToMaxqueue) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(3));
  auto service = limited<F>(2, 1);
  service.balance = config::Balance::hash;
  service.hash_key = config::HashKey::source_port;  // many clients of one server
  service.timeouts.queue = config::Milliseconds(600'000);
  for (auto& s : service.servers) s.maxqueue = 2;
  b.configure({service});
  const auto of_port = [](std::uint16_t port) {
    return from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(port, kPort, SYN).seq(1'000);
  };
  // Ports whose server is the same, found by asking a balancer without limits.
  std::vector<std::uint16_t> ports;
  {
    Balancer free;
    auto unlimited = service;
    for (auto& s : unlimited.servers) s.maxconn = 0;
    free.configure({unlimited});
    for (std::uint16_t port = 1'000; ports.size() < 8; ++port) {
      if (number_of_server<F>(free.send(of_port(port)).seen().dst) == 0) ports.push_back(port);
    }
  }
  const auto send = [&](unsigned i) {
    return b.send(of_port(ports[i]), {.worker = i % 3, .port = 0, .segment = 0});
  };
  const std::uint16_t s0 = b.server_slot("web", "s0"), s1 = b.server_slot("web", "s1");
  EXPECT_TRUE(send(0).forwarded());
  EXPECT_EQ(send(1).verdict, Verdict::hold) << "though the other server is free";
  EXPECT_EQ(send(2).verdict, Verdict::hold);
  EXPECT_EQ(b.load().servers[s0].waiting.taken(), 2U);
  const Outcome third = send(3);
  ASSERT_TRUE(third.forwarded()) << "its server's queue is full: the next that has room";
  EXPECT_EQ(number_of_server<F>(third.seen().dst), 1U);
  EXPECT_EQ(send(4).verdict, Verdict::hold) << "no room anywhere: the service's own queue";
  EXPECT_EQ(b.load().servers[s0].waiting.taken(), 2U);
  EXPECT_EQ(b.load().servers[s1].waiting.taken(), 0U);
  EXPECT_EQ(b.load().services[0].waiting.taken(), 1U);
  const auto give_up = [&](unsigned i) {
    EXPECT_TRUE(b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(ports[i], kPort, RST).seq(1'001))
                    .forwarded());
  };
  const auto next = [&] {
    const auto stored = b.take_stored();
    return stored.empty() || !stored.back().forwarded() ? Balancer::kServers
                                                        : number_of_server<F>(stored.back().seen().dst);
  };
  give_up(0);
  EXPECT_EQ(next(), 0U) << "the first that waits for it";
  EXPECT_EQ(b.load().servers[s0].waiting.taken(), 1U);
  give_up(3);
  (void)b.take_stored();
  EXPECT_EQ(b.load().services[0].waiting.taken(), 0U) << "now its own server's queue has room";
  give_up(1);
  EXPECT_EQ(next(), 0U);
  give_up(2);
  EXPECT_EQ(next(), 0U);
  EXPECT_EQ(waiting(b), 0U);
}

TYPED_TEST(Queue, HoldsForTheLimitsOfServiceAndInstance) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool of_service : {true, false}) {
    Balancer b(with_workers(2));
    auto service = web<F>(3);
    if (of_service) service.maxconn = 4;
    b.configure({service});
    if (!of_service) b.set_maxconn(4);
    std::vector<Connection<F>> open;
    for (unsigned n = 0; n < 4; ++n) open.push_back(connected<F>(b, n));
    for (unsigned n = 4; n < 8; ++n) EXPECT_EQ(knock<F>(b, n).verdict, Verdict::hold);
    open[2].close();
    EXPECT_EQ(let_in<F>(b), (std::vector<unsigned>{4}));
    open[0].close();
    EXPECT_EQ(let_in<F>(b), (std::vector<unsigned>{5}));
  }
}

TYPED_TEST(Queue, ReloadThatRaisesTheLimitLetsThemIn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(4));
  b.configure({limited<F>(2, 1)});
  for (unsigned n = 0; n < 2; ++n) (void)connected<F>(b, n);
  for (unsigned n = 2; n < 8; ++n) EXPECT_EQ(knock<F>(b, n).verdict, Verdict::hold);
  b.configure({limited<F>(2, 3)});
  EXPECT_EQ(let_in<F>(b), (std::vector<unsigned>{2, 3, 4, 5}));
  EXPECT_EQ(b.load().open.taken(), 6U);
  b.configure({limited<F>(2, 0)});
  EXPECT_EQ(let_in<F>(b), (std::vector<unsigned>{6, 7}));
}

TYPED_TEST(Queue, WhoWaitsForAServerThatLeavesWaitsForAny) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool removed : {true, false}) {
    Balancer b(with_workers(2));
    auto service = limited<F>(2, 1);
    service.balance = config::Balance::source;
    b.configure({service});
    // One client in each place, then clients that wait for either server.
    unsigned n = 0;
    while (b.flows() < 2) (void)knock<F>(b, n++);
    const unsigned first = n;
    while (n < first + 10) EXPECT_EQ(knock<F>(b, n++).verdict, Verdict::hold);
    const std::uint16_t s0 = b.server_slot("web", "s0");
    EXPECT_GT(b.load().servers[s0].waiting.taken(), 0U);
    auto less = service;
    if (removed) {
      less.servers.erase(less.servers.begin());
    } else {
      less.servers[0].weight = 0;
    }
    less.servers.back().maxconn = 100;
    const std::uint64_t waited = waiting(b);
    b.configure({less});
    const auto stored = b.take_stored();
    std::uint64_t went = 0;
    for (const Outcome& o : stored) {
      if (!o.forwarded()) continue;
      ++went;
      EXPECT_EQ(number_of_server<F>(o.seen().dst), 1U);
    }
    EXPECT_EQ(went, waited);
    EXPECT_EQ(waiting(b), 0U);
    EXPECT_EQ(b.load().servers[s0].waiting.taken(), 0U);
  }
}

TYPED_TEST(Queue, IsCountedWhenItsServerLeaves) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(2));
  auto service = limited<F>(2, 1);
  service.balance = config::Balance::source;
  b.configure({service});
  unsigned n = 0;
  while (b.flows() < 2) (void)knock<F>(b, n++);
  for (const unsigned end = n + 10; n < end; ++n) EXPECT_EQ(knock<F>(b, n).verdict, Verdict::hold);
  const std::uint16_t s0 = b.server_slot("web", "s0"), s1 = b.server_slot("web", "s1");
  EXPECT_EQ(b.transitions().of(s0), config::Transition{}) << "it was there from the beginning";
  const std::uint32_t waited = b.load().servers[s0].waiting.taken();
  ASSERT_GT(waited, 0U);
  auto less = service;
  less.servers[0].weight = 0;
  b.configure({less});
  const config::Transition left{.generation = b.snapshot().generation, .sessions = 1, .requeued = waited};
  EXPECT_EQ(b.transitions().of(s0), left);
  EXPECT_EQ(b.transitions().of(s1), config::Transition{});
  less.servers[1].maxconn = 2;
  b.configure({less});
  EXPECT_EQ(b.transitions().of(s0), left) << "another change";
}

TYPED_TEST(Queue, IsCountedWhenAServerJoinsAsFarAsThereIsRoom) {
  constexpr Family F = TypeParam::kFamily;
  struct Case {
    std::uint32_t waiting, maxconn, of_service, of_instance;
    std::array<std::uint64_t, 2> requeued;  // s1, s2
  };
  for (const Case& c : {Case{5, 3, 0, 0, {3, 2}}, Case{2, 3, 0, 0, {2, 0}}, Case{5, 0, 0, 0, {5, 0}},
                        Case{5, 3, 5, 0, {3, 1}}, Case{5, 3, 0, 3, {2, 0}}, Case{0, 3, 0, 0, {0, 0}}}) {
    Balancer b(with_workers(2));
    auto service = limited<F>(3, 1);
    for (unsigned s : {1U, 2U}) service.servers[s].weight = 0;
    b.configure({service});
    for (unsigned n = 0; n < 1 + c.waiting; ++n) (void)knock<F>(b, n);
    EXPECT_EQ(waiting(b), c.waiting);
    service.maxconn = c.of_service;
    if (c.of_instance != 0) b.set_maxconn(c.of_instance);
    for (unsigned s : {1U, 2U}) {
      service.servers[s].weight = 16;
      service.servers[s].maxconn = c.maxconn;
    }
    b.configure({service});
    std::array<std::uint64_t, 2> requeued{};
    for (const char* name : {"s1", "s2"}) {
      const config::Transition transition = b.transitions().of(b.server_slot("web", name));
      EXPECT_EQ(transition.generation, b.snapshot().generation);
      EXPECT_EQ(transition.sessions, 0U);
      requeued[name[1] - '1'] = transition.requeued;
    }
    EXPECT_EQ(requeued, c.requeued);
    EXPECT_EQ(b.load().open.taken(), 1 + c.requeued[0] + c.requeued[1]) << "as many as did go";
  }
}

TYPED_TEST(Queue, IsRefusedWhenTheLastServerLeaves) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto policy : {config::NoServer::reset, config::NoServer::drop, config::NoServer::fail_open}) {
    Balancer b;
    auto service = limited<F>(1, 1);
    service.no_server = policy;
    b.configure({service});
    (void)connected<F>(b, 0);
    EXPECT_EQ(knock<F>(b, 1).verdict, Verdict::hold);
    service.servers[0].weight = 0;
    b.configure({service});
    const auto stored = b.take_stored();
    ASSERT_EQ(stored.size(), 1U);
    EXPECT_EQ(stored[0].reason, DropReason::no_server);
    EXPECT_EQ(stored[0].reflected(), policy != config::NoServer::drop);
    EXPECT_EQ(b.send(syn_of<F>(2)).reflected(), policy != config::NoServer::drop) << "and new ones, too";
  }
}

TYPED_TEST(Queue, OfAServiceThatIsGoneGoesToItsSuccessorOrIsRefused) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>(1, 1)});
  (void)connected<F>(b, 0);
  EXPECT_EQ(knock<F>(b, 1).verdict, Verdict::hold);
  EXPECT_EQ(knock<F>(b, 2).verdict, Verdict::hold);
  auto successor = web<F>(2);
  successor.name = "other";
  successor.servers.erase(successor.servers.begin());
  b.configure({successor});
  EXPECT_EQ(let_in<F>(b), (std::vector<unsigned>{1, 2}));
  EXPECT_EQ(b.counts("other", "s1").fresh, 2U);

  successor.servers[0].maxconn = 1;
  b.configure({successor});
  EXPECT_EQ(knock<F>(b, 3).verdict, Verdict::hold);
  b.configure({});
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].reason, DropReason::no_server) << "as long as the service drains";
  EXPECT_TRUE(stored[0].reflected());
}

TYPED_TEST(Queue, ClientThatBeginsAnewKeepsItsPlace) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>(1, 1)});
  auto open = connected<F>(b, 0);
  EXPECT_EQ(b.send(syn_of<F>(1, 1'000)).verdict, Verdict::hold);
  EXPECT_EQ(b.send(syn_of<F>(2, 1'000)).verdict, Verdict::hold);
  EXPECT_EQ(b.send(syn_of<F>(1, 555'000)).verdict, Verdict::hold);
  EXPECT_EQ(waiting(b), 2U);
  open.close();
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].seen().seq, 555'000U) << "the older number is nobody's any more";
}

TYPED_TEST(Queue, ClientsResetEndsTheWaitIfItFollowsTheSyn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>(1, 1)});
  (void)connected<F>(b, 0);
  EXPECT_EQ(b.send(syn_of<F>(1, 1'000)).verdict, Verdict::hold);
  const auto reset = [&](std::uint32_t seq) {
    return b.send(from_client<F>(Net<F>::client(1), Net<F>::vip()).tcp(kClientPort, kPort, RST).seq(seq));
  };
  for (const std::uint32_t blind : {0U, 999U, 1'002U, 500'000U}) {
    EXPECT_TRUE(reset(blind).dropped(DropReason::stray_reset));
    EXPECT_EQ(waiting(b), 1U);
  }
  EXPECT_TRUE(reset(1'001).dropped(DropReason::stray_reset));
  EXPECT_EQ(waiting(b), 0U);
}

TYPED_TEST(Queue, OtherSegmentsOfAWaitingClientAreUnknown) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>(1, 1)});
  (void)connected<F>(b, 0);
  EXPECT_EQ(knock<F>(b, 1).verdict, Verdict::hold);
  const Outcome o =
      b.send(from_client<F>(Net<F>::client(1), Net<F>::vip()).tcp(kClientPort, kPort, ACK).seq(9).ack(4'711));
  ASSERT_TRUE(o.reflected());
  EXPECT_EQ(o.seen().seq, 4'711U);
  EXPECT_EQ(waiting(b), 1U);
}

TYPED_TEST(Queue, IsBoundedAndTakesNoLongSyns) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.half_open_per_worker = 8;
  Balancer b(options);
  b.configure({limited<F>(1, 1)});
  (void)connected<F>(b, 0);
  EXPECT_TRUE(b.send(syn_of<F>(1).payload(100)).dropped(DropReason::queue_full));
  const Outcome in_segments = b.send(syn_of<F>(1).bytes(), {.worker = 0, .port = 0, .segment = 60});
  EXPECT_EQ(in_segments.verdict, F == Family::v4 ? Verdict::hold : Verdict::drop);
  for (unsigned n = 1; n < 9; ++n) EXPECT_EQ(knock<F>(b, n).verdict, Verdict::hold) << n;
  EXPECT_TRUE(knock<F>(b, 9).dropped(DropReason::queue_full));
  EXPECT_EQ(knock<F>(b, 8).verdict, Verdict::hold) << "who waits already may repeat itself";
}

TYPED_TEST(Queue, TheLongestHeadersThatFitAreKeptByteByByte) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>(1, 1);
  b.configure({service});
  auto open = connected<F>(b, 0);
  const auto syn = syn_of<F>(1).mss(1440).window_scale(7).timestamps(1, 0).payload(
      128 - 14 - (F == Family::v4 ? 20 : 40) - 40);
  const Bytes frame = syn.bytes();
  ASSERT_LE(frame.size(), 128U);
  EXPECT_EQ(b.send(frame).verdict, Verdict::hold);
  open.close();
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].out.size(), frame.size());
  EXPECT_EQ(stored[0].seen().options, see(frame).options);
  EXPECT_EQ(stored[0].seen().payload, see(frame).payload);
}

TYPED_TEST(Queue, ManyThatWaitForALeavingServerMoveAtOnce) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.half_open_per_worker = 20'000;
  options.limits.flows_per_worker = 30'000;
  options.limits.syn_backlog = 20'000;
  Balancer b(options);
  auto service = limited<F>(2, 1);
  service.balance = config::Balance::source;
  b.configure({service});
  for (unsigned n = 0; n < 20'000; ++n) {
    (void)b.send(syn_of<F>(n));
  }
  EXPECT_GT(waiting(b), 19'000U);
  service.servers[1].weight = 0;
  b.configure({service});
  EXPECT_EQ(
      b.load().services[0].waiting.taken() + b.load().servers[b.server_slot("web", "s0")].waiting.taken(),
      waiting(b));
  b.advance(6'000);
  EXPECT_EQ(waiting(b), 0U);
}

}  // namespace
}  // namespace sluice::test
