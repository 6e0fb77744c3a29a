#include "cp/health_checks.h"

#include <chrono>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "cp/rethrow.h"
#include "cp/tcp_check.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

void HealthChecks::sync() {
  std::vector<ServerId> ids = controller_.servers();
  std::erase_if(
      ids, [this](ServerId id) { return watched_.contains(id) || !controller_.find(id)->check().enabled(); });
  config::Milliseconds smallest{0};
  for (const ServerId id : ids) {
    const auto delay = controller_.find(id)->check_delay();
    if (delay >= 1s && (smallest == 0ms || delay < smallest)) smallest = delay;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto own = controller_.find(ids[i])->check_delay();
    const auto first = first_check_offset(smallest, own, i, ids.size());
    watched_[ids[i]] = nullptr;
    asio::co_spawn(executor_, watch(ids[i], first), rethrow);
  }
}

void HealthChecks::hurry(ServerId id) {
  const auto watched = watched_.find(id);
  if (watched == watched_.end() || watched->second == nullptr) return;
  const config::Check& check = controller_.find(id)->config().check;
  const auto soon = std::chrono::steady_clock::now() + check.fast_interval.value_or(check.interval);
  if (watched->second->expiry() > soon) watched->second->expires_at(soon);
}

asio::awaitable<void> HealthChecks::watch(ServerId id, config::Milliseconds first) {
  asio::steady_timer pause(executor_, first);
  watched_[id] = &pause;
  for (;;) {
    while (pause.expiry() > std::chrono::steady_clock::now()) co_await pause.async_wait(kAsTuple);
    const ServerState* server = controller_.find(id);
    if (server == nullptr || !server->check().enabled()) break;
    if (server->wants_checks()) {
      const config::Check& check = server->config().check;
      const base::Endpoint endpoint = server->config().endpoint;
      const auto timeout = check.timeout.value_or(check.interval);
      const CheckResult result = co_await tcp_check(endpoint, timeout);
      controller_.record_check(id, result, std::chrono::steady_clock::now());
      server = controller_.find(id);
      if (server == nullptr) break;
    }
    pause.expires_after(server->check_delay());
  }
  watched_.erase(id);
}

}  // namespace sluice::cp
