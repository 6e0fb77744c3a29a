#include "cp/health_checks.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "cp/check/run_check.h"
#include "cp/rethrow.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

/// The smallest delay of a second or more: what the first checks are spread over.
class SmallestDelay {
 public:
  void add(config::Milliseconds delay) noexcept {
    if (delay >= 1s && (value == 0ms || delay < value)) value = delay;
  }
  config::Milliseconds value{0};
};

/// Whether a check that runs by `a` says nothing about a server that is checked by `b`.
bool differs(const CheckTarget& a, const CheckTarget& b) {
  return a.check != b.check || a.endpoint != b.endpoint;
}

}  // namespace

HealthChecks::HealthChecks(asio::any_io_executor executor, Controller& controller)
    : executor_(std::move(executor)),
      controller_(controller),
      commands_(executor_),
      random_(std::random_device{}()),
      lateness_(Clock::now()) {}

void HealthChecks::adopt(PreparedChecks prepared) {
  prepared_ = std::move(prepared);
  if (started_) sync();
}

void HealthChecks::start() {
  started_ = true;
  sync();
}

void HealthChecks::sync() {
  const TimePoint now = Clock::now();
  sync_checks(now);
  sync_agents(now);
}

void HealthChecks::sync_checks(TimePoint now) {
  Watches kept;
  std::vector<std::shared_ptr<Watch>> added;
  SmallestDelay smallest;
  for (std::size_t i = 0; i < controller_.config().services.size(); ++i) {
    for (std::size_t j = 0; j < controller_.servers(i).size(); ++j) {
      const ServerState& server = controller_.servers(i)[j];
      const auto target = target_of(i, j);
      if (!target) continue;
      const config::Milliseconds delay = server.check_delay();
      smallest.add(delay);
      const auto known = checks_.find(server.id());
      const bool is_new = known == checks_.end();
      auto watch = is_new ? std::make_shared<Watch>(executor_, server.id()) : known->second;
      if (is_new) {
        added.push_back(watch);
      } else {
        if (differs(*watch->target, *target)) ++watch->version;
        if (!watch->running) bring_forward(*watch, now + delay);
      }
      watch->target = target;
      kept.emplace(server.id(), std::move(watch));
    }
  }
  replace(checks_, std::move(kept));
  for (std::size_t i = 0; i < added.size(); ++i) {
    const config::Milliseconds own = controller_.find(added[i]->id)->check_delay();
    added[i]->due = now + first_check_offset(smallest.value, own, i, added.size());
    asio::co_spawn(executor_, check(added[i]), rethrow);
  }
}

/// Null also where the controller is a step ahead, its adopt() still to come.
std::shared_ptr<const CheckTarget> HealthChecks::target_of(std::size_t service, std::size_t server) const {
  if (service >= prepared_.size() || server >= prepared_[service].size()) return nullptr;
  const auto& target = prepared_[service][server];
  if (!target || target->service != controller_.config().services[service].name) return nullptr;
  return target->server == controller_.servers(service)[server].config().name ? target : nullptr;
}

void HealthChecks::sync_agents(TimePoint now) {
  Watches kept;
  std::vector<std::shared_ptr<Watch>> added;
  SmallestDelay smallest;
  for (const ServerId id : controller_.servers()) {
    const ServerState& server = *controller_.find(id);
    if (!server.wants_agent()) continue;
    const config::Agent& agent = server.config().agent;
    smallest.add(agent.interval);
    const auto known = agents_.find(id);
    const bool is_new = known == agents_.end();
    auto watch = is_new ? std::make_shared<Watch>(executor_, id) : known->second;
    if (is_new) {
      added.push_back(watch);
    } else {
      if (watch->agent != agent) ++watch->version;
      if (!watch->running) bring_forward(*watch, now + agent.interval);
    }
    watch->agent = agent;
    watch->agent_endpoint.address = agent.address.value_or(server.config().endpoint.address);
    watch->agent_endpoint.port = agent.port;
    kept.emplace(id, std::move(watch));
  }
  replace(agents_, std::move(kept));
  for (std::size_t i = 0; i < added.size(); ++i) {
    added[i]->due = now + first_check_offset(smallest.value, added[i]->agent.interval, i, added.size());
    asio::co_spawn(executor_, ask(added[i]), rethrow);
  }
}

void HealthChecks::replace(Watches& watches, Watches kept) {
  for (const auto& [id, watch] : watches) {
    if (kept.contains(id)) continue;
    watch->stopped = true;
    watch->pause.cancel();
  }
  watches = std::move(kept);
}

void HealthChecks::bring_forward(Watch& watch, TimePoint due) {
  if (watch.due <= due) return;
  watch.due = due;
  watch.pause.cancel();
}

void HealthChecks::hurry(ServerId server) {
  const auto watch = checks_.find(server);
  if (watch == checks_.end() || watch->second->running) return;
  const config::Check& check = watch->second->target->check;
  bring_forward(*watch->second, Clock::now() + check.fast_interval.value_or(check.interval));
}

/// Returns when it is due, or stopped. The time may be brought forward meanwhile.
asio::awaitable<void> HealthChecks::wait(Watch& watch) {
  while (!watch.stopped && Clock::now() < watch.due) {
    watch.pause.expires_at(watch.due);
    co_await watch.pause.async_wait(kAsTuple);
  }
}

void HealthChecks::begin(Watch& watch) {
  const TimePoint now = Clock::now();
  lateness_.note(now, std::chrono::duration_cast<Lateness::Microseconds>(now - watch.due));
  watch.running = true;
}

asio::awaitable<void> HealthChecks::check(std::shared_ptr<Watch> watch) {
  for (;;) {
    co_await wait(*watch);
    const ServerState* server = watch->stopped ? nullptr : controller_.find(watch->id);
    if (server == nullptr) co_return;
    if (server->wants_checks()) {
      const unsigned version = watch->version;
      begin(*watch);
      const CheckResult result = co_await run_check(watch->target, commands_);
      watch->running = false;
      if (watch->stopped) co_return;
      if (watch->version == version) controller_.record_check(watch->id, result, Clock::now());
      server = controller_.find(watch->id);
      if (server == nullptr) co_return;
    }
    watch->due = Clock::now() + varied(server->check_delay());
  }
}

asio::awaitable<void> HealthChecks::ask(std::shared_ptr<Watch> watch) {
  for (;;) {
    co_await wait(*watch);
    if (watch->stopped) co_return;
    const unsigned version = watch->version;
    begin(*watch);
    const AgentAnswer answer =
        co_await ask_agent(watch->agent_endpoint, watch->agent.send, watch->agent.interval);
    watch->running = false;
    if (watch->stopped) co_return;
    if (watch->version == version) controller_.record_agent(watch->id, answer, Clock::now());
    watch->due = Clock::now() + varied(watch->agent.interval);
  }
}

config::Milliseconds HealthChecks::varied(config::Milliseconds delay) {
  const unsigned percent = controller_.config().global.spread_checks;
  if (percent == 0) return delay;
  return spread(delay, percent, std::uniform_real_distribution<double>(0, 1)(random_));
}

config::Milliseconds spread(config::Milliseconds delay, unsigned percent, double random) noexcept {
  const double most = static_cast<double>(delay.count()) * percent / 100;
  return delay + config::Milliseconds(static_cast<config::Milliseconds::rep>(most * (1 - 2 * random)));
}

}  // namespace sluice::cp
