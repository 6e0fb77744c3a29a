// What `sluice explain` tells of a packet comes true when the packet comes.
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dp/control/explain_jobs.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

using config::Claim;
using config::Explanation;
using config::Fate;
using config::Obstacle;
using config::Standing;

template <typename T>
class Explain : public testing::Test {};
TYPED_TEST_SUITE(Explain, Families);

/// As the control thread asks: the worker that owns the packet answers.
Explanation ask(Balancer& b, const config::FiveTuple& tuple) {
  std::optional<Explanation> told;
  dp::ExplainJobs jobs([&](std::size_t worker, dp::ExplainQuery* query) {
    query->answer(b.snapshot(), b.worker(static_cast<unsigned>(worker)), b.now());
    return true;
  });
  const auto asked = jobs.explain(tuple, [&](const Explanation& explanation) { told = explanation; });
  EXPECT_TRUE(asked) << asked.error().message;
  const dp::KernelTables kernel;
  const dp::ExplainContext context{
      b.compiler(), *b.snapshot().services, b.load(), kernel, {"clients", "servers"}};
  for (int step = 0; step < 2; ++step) jobs.step(b.snapshot(), b.worker(), context);
  EXPECT_TRUE(told) << "the answer is there as soon as the worker has found it";
  return told.value_or(Explanation{});
}

template <Family F>
config::FiveTuple client_tuple(unsigned client, std::uint16_t port = 40'000,
                               config::Protocol protocol = config::Protocol::tcp) {
  return {protocol, {Net<F>::client(client), port}, {Net<F>::vip(), kPort}};
}

template <Family F>
PacketBuilder first_packet(const config::FiveTuple& tuple) {
  PacketBuilder p = from_client<F>(tuple.source.address.as<F>(), tuple.destination.address.as<F>());
  if (tuple.protocol == config::Protocol::udp)
    return p.udp(tuple.source.port, tuple.destination.port).payload(20);
  return p.tcp(tuple.source.port, tuple.destination.port, SYN).seq(1'000);
}

Fate fate_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::forward: return Fate::forward;
    case Verdict::reflect: return Fate::answer;
    case Verdict::hold: return Fate::hold;
    case Verdict::park: return Fate::park;
    case Verdict::punt: return Fate::kernel;
    default: return Fate::drop;
  }
}

std::string reason_of(const Outcome& outcome) {
  const bool fails = outcome.verdict == Verdict::drop || outcome.verdict == Verdict::reflect;
  return fails ? std::string(dp::info(outcome.reason).name) : std::string();
}

/// Explains a packet that begins a connection, sends it, and holds the one against the other.
template <Family F>
Explanation come_true(Balancer& b, const config::FiveTuple& tuple, unsigned at_worker = 0) {
  const Explanation told = ask(b, tuple);
  const Outcome got =
      b.send(first_packet<F>(tuple), {.worker = at_worker % b.workers(), .port = 0, .segment = 0});
  EXPECT_EQ(told.claim, Claim::service);
  EXPECT_EQ(told.worker, got.worker);
  if (!told.start) {
    ADD_FAILURE() << "nothing is said of a first packet";
    return told;
  }
  EXPECT_EQ(told.start->fate, fate_of(got.verdict)) << got;
  EXPECT_EQ(told.start->reason, reason_of(got));
  if (!got.forwarded()) return told;
  const Seen seen = got.seen();
  EXPECT_EQ(told.start->server, "s" + std::to_string(number_of_server<F>(seen.dst)));
  EXPECT_EQ(told.start->source, seen.from());
  EXPECT_EQ(told.start->towards_server.mac, seen.dst_mac.to_string());
  EXPECT_EQ(told.start->towards_server.port, "servers");
  for (const config::ExplainedServer& server : told.start->servers)
    EXPECT_EQ(server.standing == Standing::chosen, server.name == told.start->server) << server.name;
  return told;
}

const config::ExplainedServer& server_named(const Explanation& told, const std::string& name) {
  for (const config::ExplainedServer& server : told.start->servers) {
    if (server.name == name) return server;
  }
  ADD_FAILURE() << "no server " << name;
  return told.start->servers.front();
}

TYPED_TEST(Explain, SynThatACookieAnswers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>();
  service.syn_cookies = config::SynCookies::always;
  b.configure({service});
  const config::FiveTuple tuple = client_tuple<F>(0);
  const Explanation told = ask(b, tuple);
  ASSERT_TRUE(told.start);
  EXPECT_TRUE(told.start->by_cookie);
  const Outcome answer = b.send(first_packet<F>(tuple));
  ASSERT_TRUE(answer.reflected());
  PacketBuilder ack = from_client<F>(tuple.source.address.as<F>(), tuple.destination.address.as<F>());
  ack.tcp(tuple.source.port, tuple.destination.port, ACK).seq(1'001).ack(answer.seen().seq + 1);
  const Outcome syn = b.send(ack);
  ASSERT_TRUE(syn.forwarded()) << syn;
  EXPECT_EQ(told.start->server, "s" + std::to_string(number_of_server<F>(syn.seen().dst)));
  EXPECT_EQ(told.start->source, syn.seen().from());
  EXPECT_FALSE(ask(b, client_tuple<F>(0)).start) << "it has a flow now";
}

struct Way {
  config::Balance balance;
  config::HashKey key;
};
constexpr Way kWays[] = {{config::Balance::roundrobin, {}},
                         {config::Balance::leastconn, {}},
                         {config::Balance::source, {}},
                         {config::Balance::hash, config::HashKey::source},
                         {config::Balance::hash, config::HashKey::source_port},
                         {config::Balance::hash, config::HashKey::five_tuple},
                         {config::Balance::random, {}},
                         {config::Balance::first, {}}};

template <Family F>
config::ForwardingService by(const Way& way, const std::vector<std::uint32_t>& weights,
                             config::Protocol protocol = config::Protocol::tcp) {
  auto service = protocol == config::Protocol::udp ? dns<F>(0) : web<F>(0);
  service.balance = way.balance;
  service.hash_key = way.key;
  for (unsigned n = 0; n < weights.size(); ++n) service.servers.push_back(server<F>(n, weights[n]));
  return service;
}

Balancer::Options with_workers(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  return options;
}

TYPED_TEST(Explain, ForetellsTheServerOfEverySchedule) {
  constexpr Family F = TypeParam::kFamily;
  for (const Way& way : kWays) {
    for (const unsigned workers : {1U, 3U}) {
      for (const auto protocol : {config::Protocol::tcp, config::Protocol::udp}) {
        Balancer b(with_workers(workers));
        b.configure({by<F>(way, {3, 1, 2, 0}, protocol)});
        for (unsigned n = 0; n < 60; ++n) {
          const auto told =
              come_true<F>(b, client_tuple<F>(n, static_cast<std::uint16_t>(40'000 + n), protocol), n);
          ASSERT_FALSE(testing::Test::HasFailure())
              << config::name_of(way.balance) << ", " << workers << " workers, client " << n;
          EXPECT_EQ(server_named(told, "s3").standing, Standing::no_weight);
          EXPECT_EQ(told.start->schedule->balance, way.balance);
        }
        // Others end: the numbers that leastconn and random go by are no longer even.
        b.advance(6'000);
        for (unsigned n = 60; n < 70; ++n) come_true<F>(b, client_tuple<F>(n, 40'000, protocol), n);
      }
    }
  }
}

TYPED_TEST(Explain, ForetellsWhoIsPassedOver) {
  constexpr Family F = TypeParam::kFamily;
  for (const Way& way : kWays) {
    Balancer b(with_workers(2));
    auto service = by<F>(way, {1, 1, 1, 1});
    for (unsigned n = 0; n < 4; ++n) {
      service.servers[n].maxconn = 3 * n + 1;
      service.servers[n].maxqueue = 1;
    }
    b.configure({service});
    bool passed = false;
    for (unsigned n = 0; n < 40; ++n) {
      const auto told = come_true<F>(b, client_tuple<F>(n, 40'000), n);
      ASSERT_FALSE(testing::Test::HasFailure()) << config::name_of(way.balance) << ", client " << n;
      for (const config::ExplainedServer& server : told.start->servers) {
        if (server.standing != Standing::full) continue;
        passed = true;
        EXPECT_EQ(server.connections, server.maxconn) << server.name;
      }
    }
    EXPECT_TRUE(passed) << config::name_of(way.balance);
  }
}

TYPED_TEST(Explain, RandomNamesTheTwo) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({by<F>({config::Balance::random, {}}, {1, 1, 1})});
  for (unsigned n = 0; n < 50; ++n) {
    const auto told = come_true<F>(b, client_tuple<F>(n));
    EXPECT_THAT(told.start->schedule->drawn, testing::Contains(told.start->server));
  }
}

TYPED_TEST(Explain, TellsTheSlotOfAHash) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({by<F>({config::Balance::source, {}}, {1, 1, 1})});
  const auto& order = b.snapshot().services->services[0].choices->order;
  for (unsigned n = 0; n < 20; ++n) {
    const auto told = ask(b, client_tuple<F>(n));
    ASSERT_EQ(told.start->schedule->slots, order.size());
    EXPECT_EQ(b.compiler().servers()[order[told.start->schedule->slot]]->server, told.start->server);
    EXPECT_EQ(ask(b, client_tuple<F>(n, 50'000)).start->schedule->slot, told.start->schedule->slot);
  }
}

/// Everything that a worker could be seen to have done.
std::vector<std::uint64_t> traces(Balancer& b) {
  std::vector<std::uint64_t> all{b.flows(), b.leased_ports(), b.load().open.taken()};
  for (unsigned w = 0; w < b.workers(); ++w) {
    const dp::WorkerState& worker = b.worker(w);
    all.insert(all.end(), worker.cursors.begin(), worker.cursors.end());
    all.push_back(worker.random);
    all.push_back(worker.syns.queued());
    all.push_back(worker.syns.used());
    for (const auto& drops : worker.counters.drops) all.push_back(drops.get());
    for (const auto& server : worker.servers) {
      all.push_back(server.connections_new.get());
      all.push_back(server.packets[0].get());
    }
  }
  for (const auto& server : b.load().servers) {
    all.push_back(server.open.taken());
    all.push_back(server.waiting.taken());
  }
  return all;
}

TYPED_TEST(Explain, ChangesNothing) {
  constexpr Family F = TypeParam::kFamily;
  for (const Way& way : kWays) {
    Balancer asked(with_workers(2)), quiet(with_workers(2));
    for (Balancer* b : {&asked, &quiet}) b->configure({by<F>(way, {3, 1, 2})});
    for (unsigned n = 0; n < 20; ++n) {
      const auto before = traces(asked);
      for (unsigned i = 0; i < 100; ++i) (void)ask(asked, client_tuple<F>(n + i));
      ASSERT_EQ(traces(asked), before) << config::name_of(way.balance);
      const Bytes syn = first_packet<F>(client_tuple<F>(n)).bytes();
      EXPECT_EQ(asked.send(syn).out, quiet.send(syn).out) << config::name_of(way.balance) << ", client " << n;
    }
  }
}

TYPED_TEST(Explain, LimitsByClient) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto refusal : {config::ClientRefusal::reset, config::ClientRefusal::drop}) {
    Balancer b(with_workers(3));
    auto service = web<F>(2);
    const base::Prefix all{base::IpAddress(base::Address<F>{}), 0};
    const base::Prefix one{Net<F>::client(7), F == Family::v4 ? std::uint8_t{32} : std::uint8_t{128}};
    service.clients = {.allow = {all}, .deny = {one}, .rate = 5, .burst = 3, .maxconn = 2, .refuse = refusal};
    b.configure({service});
    const auto denied = come_true<F>(b, client_tuple<F>(7));
    EXPECT_EQ(denied.start->obstacle, Obstacle::client_denied);
    EXPECT_EQ(denied.start->client->prefix, one.to_string());
    EXPECT_TRUE(denied.start->client->denied);

    const auto first = come_true<F>(b, client_tuple<F>(0, 1));
    EXPECT_EQ(first.start->obstacle, Obstacle::none);
    EXPECT_EQ(first.start->client->prefix, all.to_string());
    EXPECT_FALSE(first.start->client->tracked);
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(0, 2), 1).start->client->connections, 1U);
    const auto full = come_true<F>(b, client_tuple<F>(0, 3), 2);
    EXPECT_EQ(full.start->obstacle, Obstacle::client_maxconn);
    EXPECT_EQ(full.start->client->connections, 2U);
    EXPECT_EQ(full.start->client->maxconn, 2U);

    service.clients.maxconn = 0;
    b.configure({service});
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(0, 3)).start->obstacle, Obstacle::none);
    const auto fast = come_true<F>(b, client_tuple<F>(0, 4));
    EXPECT_EQ(fast.start->obstacle, Obstacle::client_rate);
    EXPECT_EQ(fast.start->client->rate, 5U);
    EXPECT_EQ(fast.start->client->burst, 3U);
    b.advance(200, 200);
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(0, 4)).start->obstacle, Obstacle::none);
  }
}

TYPED_TEST(Explain, LimitsByClientWhereACookieComesFirst) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>();
  service.syn_cookies = config::SynCookies::always;
  service.clients = {.allow = {}, .deny = {}, .rate = 1, .burst = 1, .refuse = config::ClientRefusal::drop};
  b.configure({service});
  const auto come = [&](std::uint16_t port) {
    const Explanation told = ask(b, client_tuple<F>(0, port));
    EXPECT_TRUE(told.start->by_cookie);
    const Outcome cookie = b.send(first_packet<F>(client_tuple<F>(0, port)));
    EXPECT_EQ(cookie.reason, DropReason::syn_cookie_sent);
    PacketBuilder ack = from_client<F>(Net<F>::client(0), Net<F>::vip());
    const Outcome got = b.send(ack.tcp(port, kPort, ACK).seq(1'001).ack(cookie.seen().seq + 1));
    EXPECT_EQ(told.start->fate, fate_of(got.verdict)) << got;
    EXPECT_EQ(told.start->reason, reason_of(got));
    return told;
  };
  EXPECT_EQ(come(1).start->obstacle, Obstacle::none);
  EXPECT_EQ(come(2).start->obstacle, Obstacle::client_rate);
  service.clients.deny = {base::Prefix{base::IpAddress(base::Address<F>{}), 0}};
  b.configure({service});
  const auto denied = come_true<F>(b, client_tuple<F>(0, 3));
  EXPECT_FALSE(denied.start->by_cookie) << "prefixes are minded at the SYN";
  EXPECT_EQ(denied.start->obstacle, Obstacle::client_denied);
}

TYPED_TEST(Explain, WithoutAPlaceASynWaits) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(3));
  auto service = web<F>(2);
  for (auto& server : service.servers) server.maxconn = 1;
  service.timeouts.queue = config::Milliseconds(7'000);
  b.configure({service});
  std::vector<Connection<F>> open;
  for (unsigned n = 0; n < 2; ++n) open.push_back(Connection<F>(b, n, 40'000).at_worker(n, 0).open());

  const auto first = come_true<F>(b, client_tuple<F>(5));
  EXPECT_EQ(first.start->obstacle, Obstacle::servers_full);
  EXPECT_EQ(first.start->queue_ms, 7'000U);
  EXPECT_EQ(server_named(first, "s0").standing, Standing::full);
  const auto second = come_true<F>(b, client_tuple<F>(6), 1);
  EXPECT_EQ(second.start->obstacle, Obstacle::queue);
  EXPECT_EQ(second.start->waiting, 1U);

  b.advance(1'000);
  const auto held = ask(b, client_tuple<F>(5));
  ASSERT_TRUE(held.held);
  EXPECT_FALSE(held.start);
  EXPECT_EQ(held.held->wait_for, "");
  EXPECT_EQ(held.held->waiting, 2U);
  EXPECT_EQ(held.held->waited_ms, 1'000U);
  EXPECT_EQ(held.held->timeout_ms, 7'000U);
  EXPECT_EQ(b.send(first_packet<F>(client_tuple<F>(5))).verdict, Verdict::hold);

  open[0].close();
  b.advance(1, 1);
  const auto begun = ask(b, client_tuple<F>(5));
  EXPECT_FALSE(begun.held);
  ASSERT_TRUE(begun.flow);
  EXPECT_EQ(begun.flow->flow.state, "syn_sent");
}

TYPED_TEST(Explain, AffinityWaitsForItsServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = by<F>({config::Balance::source, {}}, {1, 1});
  for (auto& server : service.servers) {
    server.maxconn = 1;
    server.maxqueue = 1;
  }
  b.configure({service});
  const auto first = come_true<F>(b, client_tuple<F>(0, 40'000));
  const auto second = come_true<F>(b, client_tuple<F>(0, 40'001));
  EXPECT_EQ(second.start->fate, Fate::hold);
  EXPECT_EQ(second.start->server, first.start->server);
  const auto third = come_true<F>(b, client_tuple<F>(0, 40'002));
  EXPECT_NE(third.start->server, first.start->server) << "its queue is full: elsewhere";
  const auto held = ask(b, client_tuple<F>(0, 40'001));
  ASSERT_TRUE(held.held);
  EXPECT_EQ(held.held->wait_for, first.start->server);
}

TYPED_TEST(Explain, NamesTheLimitThatIsReached) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(2);
  service.maxconn = 3;
  b.configure({service});
  for (unsigned n = 0; n < 3; ++n)
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(n)).start->obstacle, Obstacle::none);
  const auto by_service = ask(b, client_tuple<F>(3));
  EXPECT_EQ(by_service.start->obstacle, Obstacle::service_maxconn);
  EXPECT_EQ(by_service.start->connections, 3U);
  EXPECT_EQ(by_service.start->maxconn, 3U);
  b.set_maxconn(2);
  b.configure({service});
  const auto by_instance = come_true<F>(b, client_tuple<F>(3));
  EXPECT_EQ(by_instance.start->obstacle, Obstacle::instance_maxconn);
  EXPECT_EQ(by_instance.start->maxconn, 2U);
}

TYPED_TEST(Explain, UdpDoesNotWait) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.servers[0].maxconn = 1;
  b.configure({service});
  come_true<F>(b, client_tuple<F>(0, 40'000, config::Protocol::udp));
  const auto told = come_true<F>(b, client_tuple<F>(1, 40'000, config::Protocol::udp));
  EXPECT_EQ(told.start->reason, "servers_full");
}

TYPED_TEST(Explain, WithoutAUsableServer) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto no_server : {config::NoServer::reset, config::NoServer::drop}) {
    Balancer b;
    auto service = by<F>({config::Balance::roundrobin, {}}, {0, 0});
    service.no_server = no_server;
    b.configure({service});
    const auto told = come_true<F>(b, client_tuple<F>(0));
    EXPECT_EQ(told.start->obstacle, Obstacle::no_usable_server);
    EXPECT_EQ(told.start->reason, "no_server");
  }
}

TYPED_TEST(Explain, ImpossibleSources) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  auto tuple = client_tuple<F>(0);
  tuple.source.address = Net<F>::vip();
  const auto told = come_true<F>(b, tuple);
  EXPECT_EQ(told.start->reason, "bad_source");
  EXPECT_EQ(told.others->reason, "bad_source");
}

TYPED_TEST(Explain, WithoutRoomForAFlowOrAPort) {
  constexpr Family F = TypeParam::kFamily;
  {
    Balancer::Options options;
    options.limits.half_open_per_worker = 1;
    options.limits.syn_overflow = config::SynOverflow::drop;
    Balancer b(options);
    b.configure({web<F>(1)});
    come_true<F>(b, client_tuple<F>(0));
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(1)).start->reason, "half_open_full");
  }
  {
    Balancer::Options options;
    options.limits.half_open_per_worker = 1;
    Balancer b(options);
    b.configure({web<F>(1)});
    EXPECT_FALSE(come_true<F>(b, client_tuple<F>(0)).start->evicts);
    EXPECT_TRUE(come_true<F>(b, client_tuple<F>(1)).start->evicts);
  }
  {
    Balancer b;
    auto service = web<F>(1);
    service.source_ports = {20'000, 20'001};
    b.configure({service});
    auto first = Connection<F>(b, 0, 40'000).open();
    Connection<F>(b, 1, 40'000).open();
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(2)).start->reason, "no_source_port");
    first.close();
    const auto told = ask(b, client_tuple<F>(2));
    EXPECT_EQ(told.start->fate, Fate::forward);
    EXPECT_FALSE(told.start->source) << "whose port it will be is not known before one is ended";
    EXPECT_TRUE(b.send(first_packet<F>(client_tuple<F>(2))).forwarded());
  }
}

TYPED_TEST(Explain, NextHopsThatAreNotThere) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint16_t retries : {0, 3}) {
    Balancer b;
    auto service = web<F>(1);
    service.retries = retries;
    b.configure({service});
    b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(0)).start->towards_server.state, "incomplete");
    b.set_state(Balancer::kFirstServer, dp::AdjacencyState::failed);
    EXPECT_EQ(come_true<F>(b, client_tuple<F>(1)).start->towards_server.state, "failed");
    b.set_state(Balancer::kFirstServer, dp::AdjacencyState::gone);
    come_true<F>(b, client_tuple<F>(2));
  }
}

TYPED_TEST(Explain, TellsHowPacketsLeave) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.set_tags(Balancer::kFirstServer, {7, 42});
  b.set_mtu(Balancer::kFirstServer, 1'400);
  const auto told = ask(b, client_tuple<F>(0));
  EXPECT_EQ(told.start->towards_server.vlans, (std::vector<std::uint16_t>{7, 42}));
  EXPECT_EQ(told.start->towards_server.mtu, 1'400);
  EXPECT_EQ(told.towards_client->mac, Balancer::kGatewayMac.to_string());
  EXPECT_EQ(told.towards_client->port, "clients");
  const Outcome got = b.send(first_packet<F>(client_tuple<F>(0)));
  EXPECT_EQ(got.seen().tags, told.start->towards_server.vlans);
  const auto stranger = ask(b, {config::Protocol::tcp, {Net<F>::stranger(), 9}, {Net<F>::vip(), kPort}});
  EXPECT_EQ(stranger.towards_client->state, "unknown");
}

TYPED_TEST(Explain, TellsOfAFlowFromBothSides) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(3));
  b.configure({web<F>(3)});
  for (unsigned n = 0; n < 9; ++n) {
    auto c = Connection<F>(b, n, 40'000).at_worker(n % 3, (n + 1) % 3).open();
    EXPECT_TRUE(c.client(ACK | PSH, 100).forwarded());
    EXPECT_TRUE(c.server(ACK | PSH, 1'000).forwarded());
    b.advance(2'000);
    const base::Endpoint real{Net<F>::server(c.server_number()), kServerPort};
    const config::FiveTuple reply{config::Protocol::tcp, real, c.local()};
    for (const auto& tuple : {client_tuple<F>(n), reply}) {
      const auto told = ask(b, tuple);
      ASSERT_TRUE(told.flow) << n;
      EXPECT_EQ(told.claim, tuple == reply ? Claim::reply : Claim::service);
      EXPECT_EQ(told.service, "web");
      EXPECT_EQ(told.flow->to_server, !(tuple == reply));
      EXPECT_EQ(told.flow->flow.state, "established");
      EXPECT_EQ(told.flow->flow.server, "s" + std::to_string(c.server_number()));
      EXPECT_EQ(told.flow->flow.local, c.local());
      EXPECT_EQ(told.flow->flow.real, real);
      EXPECT_EQ(told.flow->flow.client, (base::Endpoint{Net<F>::client(n), 40'000}));
      EXPECT_EQ(told.flow->flow.worker, told.worker);
      EXPECT_EQ(told.flow->flow.idle_ms, 2'000U);
      EXPECT_EQ(told.flow->flow.idle_ms + told.flow->flow.expires_ms,
                b.snapshot().services->services[0].open_ms);
      EXPECT_EQ(told.flow->bytes_from_client, 100U);
      EXPECT_EQ(told.flow->bytes_from_server, 1'000U);
      EXPECT_EQ(told.flow->towards_server.mac, Balancer::server_mac(c.server_number()).to_string());
      EXPECT_EQ(told.towards_client->mac, Balancer::kGatewayMac.to_string());
      EXPECT_FALSE(told.start);
      EXPECT_FALSE(told.others);
    }
    EXPECT_TRUE(c.client(FIN | ACK).forwarded());
    EXPECT_EQ(ask(b, reply).flow->bytes_from_client, 100U) << "a FIN is no byte";
  }
}

TYPED_TEST(Explain, AnAttemptHasItsTimeFromItsBeginning) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.retries = 2;
  b.configure({service});
  ASSERT_TRUE(b.send(first_packet<F>(client_tuple<F>(0))).forwarded());
  b.advance(3'000);
  ASSERT_TRUE(b.send(first_packet<F>(client_tuple<F>(0))).forwarded());
  const auto told = ask(b, client_tuple<F>(0));
  ASSERT_TRUE(told.flow);
  EXPECT_EQ(told.flow->connecting, 1U);
  EXPECT_EQ(told.flow->retries, 2U);
  EXPECT_EQ(told.flow->flow.idle_ms, 3'000U) << "the client has not shown that it reads what is answered";
  EXPECT_EQ(told.flow->flow.expires_ms, 2'000U) << "repeated SYNs do not prolong it";
  b.advance(2'100, 10);
  const auto pause = ask(b, client_tuple<F>(0));
  ASSERT_TRUE(pause.held) << "nobody else is there to be tried";
  EXPECT_TRUE(pause.held->between_attempts);
  EXPECT_EQ(pause.held->attempts, 1U);
  EXPECT_FALSE(pause.flow || pause.start);
  b.advance(1'000, 10);
  const auto second = ask(b, client_tuple<F>(0));
  ASSERT_TRUE(second.flow);
  EXPECT_EQ(second.flow->connecting, 2U);
}

TYPED_TEST(Explain, AClosedFlowGivesWayToASyn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(3)});
  Connection<F>(b, 0, 40'000).open().close();
  const auto told = come_true<F>(b, client_tuple<F>(0));
  ASSERT_TRUE(told.flow);
  EXPECT_EQ(told.flow->flow.state, "time_wait");
  EXPECT_EQ(told.start->server, "s1");
}

TYPED_TEST(Explain, WhatHasNoFlow) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(2));
  b.configure({web<F>(1), dns<F>(1)});
  const base::Endpoint server{Net<F>::server(0), kServerPort}, local{Net<F>::vip(), 20'500};
  const auto tcp = ask(b, {config::Protocol::tcp, server, local});
  EXPECT_EQ(tcp.claim, Claim::reply);
  EXPECT_FALSE(tcp.start);
  EXPECT_EQ(tcp.others->reason, "reset_sent");
  const auto reply = from_server<F>(0, Net<F>::vip());
  const Outcome reset = b.send(PacketBuilder(reply).tcp(kServerPort, 20'500, ACK).seq(1).ack(1), {0, 1, 0});
  EXPECT_EQ(fate_of(reset.verdict), tcp.others->fate);
  EXPECT_EQ(reset.reason, DropReason::reset_sent);
  const auto udp = ask(b, {config::Protocol::udp, server, local});
  EXPECT_EQ(udp.others->reason, "no_flow");
  EXPECT_TRUE(b.send(PacketBuilder(reply).udp(kServerPort, 20'500), {0, 1, 0}).dropped(DropReason::no_flow));
  EXPECT_EQ(ask(b, client_tuple<F>(0)).others->reason, "reset_sent");
  EXPECT_FALSE(ask(b, client_tuple<F>(0, 9, config::Protocol::udp)).others) << "any datagram begins a flow";
}

TYPED_TEST(Explain, WhatAConnectionComesFromInModeDnat) {
  constexpr Family F = TypeParam::kFamily;
  using config::SourceKind;
  Balancer b;
  auto service = web<F>(1), other = service;
  service.mode = other.mode = config::Mode::dnat;
  other.name = "other";
  other.vip.port = 81;
  b.configure({service, other, dns<F>()});
  const auto kept = come_true<F>(b, client_tuple<F>(0));
  EXPECT_EQ(kept.start->source_kind, SourceKind::client);
  EXPECT_EQ(kept.start->source, (base::Endpoint{Net<F>::client(0), 40'000}));
  auto second = client_tuple<F>(0);
  second.destination.port = 81;
  EXPECT_EQ(come_true<F>(b, second).start->source_kind, SourceKind::port_in_use);
  auto near = client_tuple<F>(0);
  near.source.address = Net<F>::server(5);
  EXPECT_EQ(come_true<F>(b, near).start->source_kind, SourceKind::shared_link);
  EXPECT_EQ(come_true<F>(b, client_tuple<F>(0, 5'000, config::Protocol::udp)).start->source_kind,
            SourceKind::local);
  auto itself = near;
  itself.source.address = Net<F>::server(0);
  b.add_route({Net<F>::server(0), F == Family::v4 ? 32 : 128}, dp::RouteKind::via, Balancer::kGateway);
  near.source.port = 41'000;
  EXPECT_EQ(ask(b, near).start->source_kind, SourceKind::client) << "it is behind a router now";
  EXPECT_EQ(ask(b, itself).start->source_kind, SourceKind::client_is_server);

  // The server's side of a flow, and what has none.
  const config::FiveTuple reply{
      config::Protocol::tcp, {Net<F>::server(0), kServerPort}, {Net<F>::client(0), 40'000}};
  const auto flow = ask(b, reply);
  ASSERT_TRUE(flow.flow);
  EXPECT_FALSE(flow.flow->to_server);
  EXPECT_EQ(flow.flow->flow.client, (base::Endpoint{Net<F>::client(0), 40'000}));
  auto stray = reply;
  stray.destination.port = 41'000;
  b.worker().ports[0].has_twin = b.worker().ports[1].has_twin = true;
  EXPECT_EQ(ask(b, stray).claim, Claim::foreign_address);
  const auto packet = from_server<F>(0, Net<F>::client(0)).tcp(kServerPort, 41'000, ACK).seq(1).ack(2);
  EXPECT_EQ(b.send(packet, {0, 1, 0}).verdict, Verdict::punt);
  b.worker().ports[0].has_twin = b.worker().ports[1].has_twin = false;
  const auto reset = ask(b, stray);
  ASSERT_TRUE(reset.others);
  EXPECT_EQ(reset.others->fate, Fate::answer);
  EXPECT_TRUE(b.send(packet, {0, 1, 0}).reflected());
}

struct KernelRow {
  base::Endpoint from, to;
  Claim claim;
};

TYPED_TEST(Explain, WhatIsTheKernels) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.kernel_ports = dp::KernelPorts({20'990, 20'999}, {});
  Balancer b(options);
  b.configure({web<F>(1)});
  const base::Endpoint client{Net<F>::client(0), 40'000};
  const KernelRow rows[] = {
      {client, {Net<F>::vip(), 22}, Claim::foreign_port},
      {client, {Net<F>::vip(), 20'995}, Claim::kernel_port},
      {client, {Net<F>::server(0), kServerPort}, Claim::foreign_address},
      {{Net<F>::vip(), 20'000}, {Net<F>::server(0), kServerPort}, Claim::sent},
  };
  for (const KernelRow& row : rows) {
    const auto told = ask(b, {config::Protocol::tcp, row.from, row.to});
    EXPECT_EQ(told.claim, row.claim) << row.to.to_string();
    EXPECT_FALSE(told.worker || told.flow || told.start || told.others);
    const auto packet = with_ip<F>(eth(Balancer::kGatewayMac, Balancer::port_mac(0)),
                                   row.from.address.as<F>(), row.to.address.as<F>());
    EXPECT_EQ(b.send(PacketBuilder(packet).tcp(row.from.port, row.to.port, SYN).seq(1)).verdict,
              Verdict::punt);
  }
}

TYPED_TEST(Explain, ClientsWithoutRoomAndServicesWithoutLimits) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.clients = {.allow = {}, .deny = {}, .maxconn = 1, .table = 16};
  b.configure({service});
  for (unsigned n = 0; n < 16; ++n) EXPECT_TRUE(b.send(first_packet<F>(client_tuple<F>(n))).forwarded());
  const auto told = come_true<F>(b, client_tuple<F>(16));
  ASSERT_TRUE(told.start->client);
  EXPECT_TRUE(told.start->client->untracked);
  EXPECT_FALSE(told.start->client->tracked);
  service.clients = {};
  b.configure({service});
  EXPECT_FALSE(come_true<F>(b, client_tuple<F>(17)).start->client) << "there are none any more";
}

TYPED_TEST(Explain, AServerThatIsGoneIsNamed) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(2)});
  Connection<F>(b, 0, 40'000).open();
  b.configure({web<F>(0)});
  const auto flow = ask(b, client_tuple<F>(0));
  ASSERT_TRUE(flow.flow);
  EXPECT_EQ(flow.flow->flow.server, "s0");
  const auto told = come_true<F>(b, client_tuple<F>(1));
  EXPECT_TRUE(server_named(told, "s0").draining);
}

TEST(ExplainJobs, EndsOfDifferentFamiliesAreRefused) {
  dp::ExplainJobs jobs([](std::size_t, dp::ExplainQuery*) { return true; });
  const auto asked = jobs.explain({config::Protocol::tcp, *base::Endpoint::parse("192.0.2.1:1"),
                                   *base::Endpoint::parse("[2001:db8::1]:2")},
                                  [](const Explanation&) {});
  ASSERT_FALSE(asked);
  EXPECT_THAT(asked.error().message, testing::HasSubstr("192.0.2.1:1"));
  EXPECT_TRUE(jobs.idle());
}

TEST(ExplainJobs, SoManyAtOneTimeAndNoMore) {
  dp::ExplainJobs jobs([](std::size_t, dp::ExplainQuery*) { return false; });
  for (std::size_t n = 0; n < dp::ExplainJobs::kMost; ++n)
    ASSERT_TRUE(jobs.explain(client_tuple<Family::v4>(0), [](const Explanation&) {}));
  const auto asked = jobs.explain(client_tuple<Family::v4>(0), [](const Explanation&) {});
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, base::ErrorCode::exhausted);
}

TEST(ExplainJobs, AnAnswerByOtherTablesIsAskedForAgain) {
  Balancer b;
  b.configure({web<Family::v4>(1)});
  std::vector<dp::ExplainQuery*> queries;
  dp::ExplainJobs jobs([&](std::size_t, dp::ExplainQuery* query) {
    queries.push_back(query);
    return true;
  });
  std::optional<Explanation> told;
  ASSERT_TRUE(jobs.explain(client_tuple<Family::v4>(0), [&](const Explanation& e) { told = e; }));
  const dp::KernelTables kernel;
  const auto step = [&] {
    jobs.step(b.snapshot(), b.worker(), {b.compiler(), *b.snapshot().services, b.load(), kernel, {}});
  };
  step();
  ASSERT_EQ(queries.size(), 1U);
  queries[0]->answer(b.snapshot(), b.worker(), b.now());
  b.configure({web<Family::v4>(2)});
  step();
  EXPECT_FALSE(told);
  ASSERT_EQ(queries.size(), 2U);
  queries[1]->answer(b.snapshot(), b.worker(), b.now());
  step();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->start->servers.size(), 2U);
  EXPECT_TRUE(jobs.idle());
}

}  // namespace
}  // namespace sluice::test
