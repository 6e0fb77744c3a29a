// Flows that end because somebody wants them to: which ones, and in what slices.
#include "dp/control/forced_ends.h"

#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "dp/control/flow_jobs.h"
#include "dp/control/server_ledger.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;

template <typename T>
class ForcedEnds : public testing::Test {};
TYPED_TEST_SUITE(ForcedEnds, Families);

/// The control thread's jobs, with the fixture's workers doing a slice of each query whenever `work()` is
/// called.
class Jobs {
 public:
  explicit Jobs(Balancer& b)
      : balancer_(b),
        queries_(b.workers()),
        jobs_(b.workers(), [this](std::size_t worker, dp::FlowQuery* query) {
          if (queries_[worker] != nullptr) return false;
          queries_[worker] = query;
          return true;
        }) {}

  void work(std::uint32_t records = 64) {
    for (unsigned w = 0; w < queries_.size(); ++w) {
      if (queries_[w] == nullptr) continue;
      if (queries_[w]->advance(balancer_.snapshot(), balancer_.worker(w), balancer_.now(), records))
        queries_[w] = nullptr;
    }
    balancer_.advance(1);
    jobs_.step(balancer_.compiler(), *balancer_.snapshot().services);
  }
  /// Ends what matches; returns how many that were.
  std::uint64_t kill(const dp::FlowQuery::Filter& filter) {
    std::optional<std::uint64_t> killed;
    jobs_.kill(filter, [&](std::uint64_t n) { killed = n; });
    jobs_.step(balancer_.compiler(), *balancer_.snapshot().services);
    for (int round = 0; !killed && round < 1'000; ++round) work();
    EXPECT_TRUE(killed.has_value());
    return killed.value_or(0);
  }
  /// The same by names, as an operator asks for it.
  std::uint64_t kill(const config::FlowFilter& filter) {
    auto by_slot = dp::resolve_filter(filter, balancer_.compiler());
    EXPECT_TRUE(by_slot);
    if (!filter.state) by_slot->states = dp::FlowStates::alive();
    return kill(*by_slot);
  }
  config::FlowList list(const config::FlowFilter& filter) {
    const auto by_slot = dp::resolve_filter(filter, balancer_.compiler());
    EXPECT_TRUE(by_slot);
    std::optional<config::FlowList> flows;
    jobs_.list(*by_slot, filter.limit, [&](config::FlowList list) { flows = std::move(list); });
    jobs_.step(balancer_.compiler(), *balancer_.snapshot().services);
    for (int round = 0; !flows && round < 1'000; ++round) work();
    EXPECT_TRUE(flows.has_value());
    return flows.value_or(config::FlowList{});
  }
  dp::FlowJobs& jobs() { return jobs_; }

 private:
  Balancer& balancer_;
  std::vector<dp::FlowQuery*> queries_;
  dp::FlowJobs jobs_;
};

/// "web" at port 80 and "api" at port 443, two servers each of the same names.
template <Family F>
std::vector<config::ForwardingService> two_services() {
  auto api = web<F>(2);
  api.name = "api";
  api.vip.port = 443;
  return {web<F>(2), api};
}

TYPED_TEST(ForcedEnds, KillByEachFilter) {
  constexpr Family F = TypeParam::kFamily;
  struct Row {
    const char* name;
    config::FlowFilter filter;
    std::set<unsigned> ended;  ///< of the connections below
  };
  config::FlowFilter all, service, server, both, client, client_port, one, state, none;
  service.service = "api";
  server.server = "s0";
  both.service = "web";
  both.server = "s1";
  client.client = Net<F>::client(1);
  client_port.client_port = 40'002;
  one.client = Net<F>::client(2);
  one.client_port = 40'002;
  state.state = "fin_client";
  none.service = "nobody";
  const std::vector<Row> rows = {
      {"all", all, {0, 1, 2, 3, 4}},
      {"service", service, {2, 3}},
      {"server", server, {0, 2, 4}},
      {"both", both, {1}},
      {"client", client, {1, 3}},
      {"client_port", client_port, {2, 4}},
      {"one", one, {2}},
      {"state", state, {3}},
      {"none", none, {}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Balancer b;
    b.configure(two_services<F>());
    Jobs jobs(b);
    std::vector<Connection<F>> c;
    c.emplace_back(b, 0, 40'000).open();                         // web/s0
    c.emplace_back(b, 1, 40'001).open();                         // web/s1
    c.emplace_back(b, 2, 40'002).to(Net<F>::vip(), 443).open();  // api/s0
    c.emplace_back(b, 1, 40'003).to(Net<F>::vip(), 443).open();  // api/s1
    c.emplace_back(b, 3, 40'002).open();                         // web/s0
    EXPECT_TRUE(c[3].client(FIN | ACK).forwarded());
    Connection<F> over(b, 1, 40'005);
    over.open().close();
    EXPECT_EQ(jobs.kill(row.filter), row.ended.size());
    for (unsigned i = 0; i < c.size(); ++i) {
      EXPECT_EQ(c[i].state() == FlowState::unused, row.ended.contains(i)) << "connection " << i;
    }
    EXPECT_EQ(over.state(), FlowState::time_wait) << "what is over already is let be";
    EXPECT_EQ(b.take_own().size(), 2 * row.ended.size());
  }
}

TYPED_TEST(ForcedEnds, WhatIsOverIsKilledOnlyWhenItsStateIsNamed) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Jobs jobs(b);
  Connection<F> open(b, 0, 40'000), over(b, 1, 40'000);
  open.open();
  over.open().close();
  config::FlowFilter filter;
  filter.state = "time_wait";
  EXPECT_EQ(jobs.kill(filter), 1U);
  EXPECT_EQ(over.state(), FlowState::unused);
  EXPECT_EQ(open.state(), FlowState::established);
  EXPECT_TRUE(b.take_own().empty());
}

TYPED_TEST(ForcedEnds, StateThatThereIsNot) {
  Balancer b;
  config::FlowFilter filter;
  for (const char* state : {"open", "unused", ""}) {
    filter.state = state;
    const auto by_slot = dp::resolve_filter(filter, b.compiler());
    ASSERT_FALSE(by_slot);
    EXPECT_NE(by_slot.error().message.find("established"), std::string::npos) << by_slot.error().message;
  }
}

TYPED_TEST(ForcedEnds, KillOfManyKeepsPaceWithTheOutbox) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(3)});
  Jobs jobs(b);
  constexpr unsigned kMany = 2 * dp::Outbox::kCapacity;
  for (unsigned n = 0; n < kMany; ++n) Connection<F>(b, n, 40'000).open();
  b.hold_outboxes(true);
  std::optional<std::uint64_t> killed;
  jobs.jobs().kill({}, [&](std::uint64_t n) { killed = n; });
  jobs.jobs().step(b.compiler(), *b.snapshot().services);
  for (int i = 0; i < 10; ++i) jobs.work(100'000);
  EXPECT_FALSE(killed.has_value());
  EXPECT_EQ(b.flows(), kMany - dp::Outbox::kCapacity / 2) << "as many as there was room for, none lost";
  b.hold_outboxes(false);
  for (int i = 0; i < 10; ++i) jobs.work(100'000);
  EXPECT_EQ(killed, kMany);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(b.take_own().size(), 2 * kMany);
}

TYPED_TEST(ForcedEnds, ListsByTheNewFiltersWithTheTotal) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.workers = 4;
  Balancer b(options);
  b.configure({web<F>(2)});
  Jobs jobs(b);
  for (unsigned n = 0; n < 50; ++n) Connection<F>(b, n, 40'000).open();
  Connection<F> half(b, 100, 41'000);
  EXPECT_TRUE(half.client(SYN).forwarded());
  config::FlowFilter filter;
  filter.limit = 10;
  EXPECT_EQ(jobs.list(filter).flows.size(), 10U);
  EXPECT_EQ(jobs.list(filter).total, 51U);
  filter.state = "syn_sent";
  const auto listed = jobs.list(filter);
  ASSERT_EQ(listed.flows.size(), 1U);
  EXPECT_EQ(listed.flows[0].client, (base::Endpoint{Net<F>::client(100), 41'000}));
  EXPECT_EQ(listed.flows[0].state, "syn_sent");
  filter = {};
  filter.client_port = 41'000;
  EXPECT_EQ(jobs.list(filter).total, 1U);
  filter.client = Net<F>::client(1);
  EXPECT_EQ(jobs.list(filter).total, 0U);
}

TYPED_TEST(ForcedEnds, JobsAreDoneOneAfterTheOther) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(2)});
  Jobs jobs(b);
  for (unsigned n = 0; n < 50; ++n) Connection<F>(b, n, 40'000).open();
  std::vector<std::uint64_t> answers;
  jobs.jobs().list({}, 5, [&](const config::FlowList& list) { answers.push_back(list.total); });
  jobs.jobs().kill({}, [&](std::uint64_t n) { answers.push_back(n); });
  jobs.jobs().list({}, 5, [&](const config::FlowList& list) { answers.push_back(list.total); });
  EXPECT_FALSE(jobs.jobs().idle());
  for (int i = 0; i < 20; ++i) jobs.work();
  EXPECT_EQ(answers, (std::vector<std::uint64_t>{50, 50, 0}));
  EXPECT_TRUE(jobs.jobs().idle());
}

// Sessions of servers that are marked down.

config::ForwardingState state_of(std::vector<config::ForwardingService> services) {
  config::ForwardingState state;
  state.services = std::move(services);
  return state;
}

TYPED_TEST(ForcedEnds, ShutdownIsOnTheRiseOfTheCount) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  const auto up = two_services<F>();
  auto down = up, up_again = up, twice = up;
  down[0].servers[1].weight = 0;
  down[0].servers[1].shutdowns = 1;
  up_again[0].servers[1].shutdowns = 1;
  twice[0].servers[1].shutdowns = 2;
  b.configure(up);
  b.configure(down);
  const auto ended = [&](const auto& before, const auto& after) {
    return dp::newly_shut_down(state_of(before), state_of(after), b.compiler());
  };
  const std::vector<std::uint16_t> slot{b.server_slot("web", "s1")};
  EXPECT_EQ(ended(up, down), slot);
  EXPECT_TRUE(ended(down, down).empty()) << "once is enough";
  EXPECT_TRUE(ended(down, up_again).empty());
  EXPECT_EQ(ended(up, up_again), slot) << "down and up between two states";
  EXPECT_EQ(ended(down, twice), slot);
  EXPECT_TRUE(ended(twice, up).empty()) << "somebody who does not know of it";
  EXPECT_EQ(dp::newly_shut_down({}, state_of(down), b.compiler()), slot) << "also as the first thing heard";
}

TYPED_TEST(ForcedEnds, ShutdownTriesAttemptsElsewhere) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(2);
  service.retries = 1;
  b.configure({service});
  Jobs jobs(b);
  std::vector<Connection<F>> c;
  for (unsigned n = 0; n < 8; ++n) c.emplace_back(b, n, 40'000);
  for (unsigned n = 0; n < 2; ++n) EXPECT_TRUE(c[n].client(SYN).forwarded());  // attempts at s0 and s1
  for (unsigned n = 2; n < 4; ++n) {
    EXPECT_TRUE(c[n].client(SYN).forwarded());
    c[n].answer_syn();
  }
  for (unsigned n = 4; n < 6; ++n) c[n].open();
  for (unsigned n = 6; n < 8; ++n) c[n].open().close();
  dp::FlowQuery::Filter filter;
  filter.states = dp::FlowStates::alive();
  filter.servers.emplace(dp::kMaxServers);
  (*filter.servers)[b.server_slot("web", "s0")] = true;
  service.servers[0].weight = 0;
  b.configure({service});
  const auto shut_down = [&] {
    std::optional<std::uint64_t> ended;
    jobs.jobs().take_from_servers(filter, [&](std::uint64_t n) { ended = n; });
    for (int round = 0; !ended && round < 1'000; ++round) jobs.work();
    return ended.value_or(~std::uint64_t{0});
  };
  EXPECT_EQ(shut_down(), 2U) << "what was tried elsewhere has not ended";
  EXPECT_EQ(b.take_own().size(), 4U);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  ASSERT_TRUE(stored[0].forwarded());
  c[0].reached(stored[0].seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c[0].server_number(), 1U);
  const dp::ServerHandshakes& s0 = b.worker().handshakes[b.server_slot("web", "s0")];
  EXPECT_EQ(s0.redispatched.get(), 1U);
  EXPECT_EQ(s0.unanswered.get() + s0.refused.get() + s0.unreachable.get(), 0U) << "no failure of the server";
  c[0].finish_handshake();
  EXPECT_EQ(c[1].state(), FlowState::syn_sent);
  EXPECT_EQ(c[2].state(), FlowState::unused);
  EXPECT_EQ(c[4].state(), FlowState::unused);
  EXPECT_EQ(c[5].state(), FlowState::established);
  EXPECT_EQ(c[6].state(), FlowState::time_wait);
}

/// Who killed it does not want it to live on at another server, whatever happens until its RSTs can be sent.
TYPED_TEST(ForcedEnds, AttemptThatWasKilledIsNotTriedElsewhere) {
  constexpr Family F = TypeParam::kFamily;
  enum class Next { refusal, shutdown };
  for (const Next next : {Next::refusal, Next::shutdown}) {
    Balancer b;
    auto service = web<F>(2);
    service.retries = 1;
    b.configure({service});
    Jobs jobs(b);
    Connection<F> c(b, 0, 40'000);
    EXPECT_TRUE(c.client(SYN).forwarded());
    b.set_state(Balancer::kGateway, dp::AdjacencyState::incomplete);
    EXPECT_EQ(jobs.kill(config::FlowFilter{}), 1U);
    EXPECT_EQ(c.state(), FlowState::syn_sent) << "its RSTs wait for the gateway";
    if (next == Next::refusal) {
      EXPECT_EQ(c.server(RST | ACK).verdict, Verdict::park) << "the client's, if it still has to wait";
    } else {
      std::optional<std::uint64_t> ended;
      jobs.jobs().take_from_servers({}, [&](std::uint64_t n) { ended = n; });
      for (int round = 0; !ended && round < 1'000; ++round) jobs.work();
      EXPECT_EQ(ended, 1U);
    }
    b.set_state(Balancer::kGateway, dp::AdjacencyState::reachable);
    b.advance(5'000);
    EXPECT_TRUE(b.take_stored().empty());
    EXPECT_EQ(b.counts("web", "s1").fresh, 0U);
    EXPECT_EQ(b.flows(FlowClass::half_open), 0U);
  }
}

TYPED_TEST(ForcedEnds, ShutdownEndsTheLastAttemptByReset) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool none_left : {true, false}) {  // or nobody to go to
    Balancer b;
    auto service = web<F>(1);
    service.retries = none_left ? 0 : 3;
    b.configure({service});
    Jobs jobs(b);
    Connection<F> c(b, 0, 40'000);
    EXPECT_TRUE(c.client(SYN).forwarded());
    service.servers[0].weight = 0;
    b.configure({service});
    std::optional<std::uint64_t> ended;
    jobs.jobs().take_from_servers({}, [&](std::uint64_t n) { ended = n; });
    for (int round = 0; !ended && round < 1'000; ++round) jobs.work();
    EXPECT_EQ(c.state(), FlowState::unused);
    if (none_left) {
      EXPECT_EQ(ended, 1U);
      const auto own = b.take_own();
      ASSERT_EQ(own.size(), 2U);
      EXPECT_EQ(own[0].seen().to(), (base::Endpoint{Net<F>::client(), 40'000}));
      continue;
    }
    b.advance(1'000, 100);
    const auto stored = b.take_stored();
    ASSERT_EQ(stored.size(), 1U);
    ASSERT_TRUE(stored[0].reflected());
    EXPECT_EQ(stored[0].seen().flags, RST | ACK);
  }
}

// Servers that are removed, and have connections that do not end.

TYPED_TEST(ForcedEnds, HardStopCountsFromTheRemoval) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  dp::HardStop hard_stop;
  b.configure({web<F>(2)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint16_t slot = b.server_slot("web", "s0");
  const auto limit = seconds(30);
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), limit, 1'000).empty());
  auto less = web<F>(2);
  less.servers.erase(less.servers.begin());
  b.configure({less});
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), limit, 100'000).empty());
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), limit, 129'999).empty());
  EXPECT_EQ(hard_stop.overdue(b.compiler(), limit, 130'000), std::vector<std::uint16_t>{slot});
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), std::nullopt, 1'000'000).empty()) << "no limit";
  EXPECT_EQ(hard_stop.overdue(b.compiler(), limit, 1'000'000), std::vector<std::uint16_t>{slot});
}

TYPED_TEST(ForcedEnds, HardStopStartsAnewWhenTheServerHasComeBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  dp::HardStop hard_stop;
  auto less = web<F>(2);
  less.servers.erase(less.servers.begin());
  b.configure({web<F>(2)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.configure({less});
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), seconds(30), 0).empty());
  b.configure({web<F>(2)});
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), seconds(30), 29'000).empty());
  b.configure({less});
  EXPECT_TRUE(hard_stop.overdue(b.compiler(), seconds(30), 31'000).empty());
  EXPECT_EQ(hard_stop.overdue(b.compiler(), seconds(30), 61'000).size(), 1U);
}

TYPED_TEST(ForcedEnds, ServerThatIsKilledFreesItsSlot) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  Jobs jobs(b);
  b.configure({web<F>(2)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint16_t slot = b.server_slot("web", "s0");
  auto less = web<F>(2);
  less.servers.erase(less.servers.begin());
  b.configure({less});
  b.settle();
  EXPECT_NE(b.server_slot("web", "s0"), dp::kNoIndex);
  dp::FlowQuery::Filter filter;
  filter.servers.emplace(dp::kMaxServers);
  (*filter.servers)[slot] = true;
  EXPECT_EQ(jobs.kill(filter), 1U);
  b.settle();
  EXPECT_EQ(b.server_slot("web", "s0"), dp::kNoIndex);
}

// What was counted for whom.

TYPED_TEST(ForcedEnds, HandshakesAreKeptByServerAndSlotsStartAnew) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.workers = 2;
  Balancer b(options);
  dp::ServerLedger ledger({&b.worker(0), &b.worker(1)});
  b.configure({web<F>(2)});
  EXPECT_EQ(ledger.follow(b.compiler()).size(), 2U);
  const std::uint16_t slot = b.server_slot("web", "s0");
  b.worker(1).syns.count_timed_out(dp::queue_of_server(slot));
  b.worker(0).syns.count_timed_out(dp::queue_of_service(0));
  EXPECT_EQ(ledger.server(slot).queue.timed_out, 1U);
  EXPECT_EQ(ledger.services()["web"].queue.timed_out, 1U);
  b.worker(0).handshakes[slot].answered.add(3);
  b.worker(1).handshakes[slot].refused.add(2);
  b.worker(1).servers[slot].connections_new.add(5);
  b.worker(1).servers[slot].connections_closed.add(5);
  b.worker(1).servers[slot].connections_ended.add(5);
  EXPECT_EQ(ledger.server(slot).handshakes, (config::HandshakeCounters{.answered = 3, .refused = 2}));
  EXPECT_TRUE(ledger.follow(b.compiler()).empty()) << "nothing has changed hands";
  auto other = web<F>(2);
  other.servers[0] = server<F>(7);
  b.configure({other});
  b.settle();
  b.configure({other});
  const auto changed = ledger.follow(b.compiler());
  EXPECT_EQ(b.server_slot("web", "s0"), dp::kNoIndex);
  ASSERT_EQ(changed.size(), 1U);
  EXPECT_EQ(changed[0], b.server_slot("web", "s7"));
  EXPECT_EQ(ledger.server(changed[0]).handshakes, config::HandshakeCounters{});
  EXPECT_EQ(ledger.removed_servers("web").handshakes,
            (config::HandshakeCounters{.answered = 3, .refused = 2}));
  EXPECT_EQ(ledger.removed_servers("web").traffic.connections_new, 5U);
  EXPECT_EQ(ledger.server(changed[0]).queue, config::QueueCounters{});
  EXPECT_EQ(ledger.removed_servers("web").queue.timed_out, 1U);
  EXPECT_EQ(ledger.services()["web"].queue.timed_out, 1U);
  auto moved = other;
  moved.vip.port = 81;
  b.configure({moved});
  ledger.follow(b.compiler());
  b.settle();
  b.configure({moved});
  ledger.follow(b.compiler());
  EXPECT_EQ(ledger.services()["web"].queue.timed_out, 1U) << "goes by the name";
}

}  // namespace
}  // namespace sluice::test
