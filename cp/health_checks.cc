#include "cp/health_checks.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "cp/health_log.h"
#include "cp/rethrow.h"
#include "cp/tcp_check.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
/// A log line waits no longer than this for the number of sessions in it.
constexpr auto kSessionsAnswer = 500ms;

}  // namespace

void HealthChecks::start() {
  const std::vector<ServerKey> keys = controller_.checked_servers();
  config::Milliseconds smallest{0};
  for (const ServerKey key : keys) {
    const auto delay = controller_.health(key).next_delay();
    if (delay >= 1s && (smallest == 0ms || delay < smallest)) smallest = delay;
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto own = controller_.health(keys[i]).next_delay();
    const auto first = first_check_offset(smallest, own, i, keys.size());
    asio::co_spawn(executor_, watch(keys[i], first), rethrow);
  }
}

asio::awaitable<void> HealthChecks::watch(ServerKey key, config::Milliseconds first) {
  asio::steady_timer pause(executor_, first);
  for (;;) {
    co_await pause.async_wait(kAsTuple);
    const config::Server& server = controller_.server(key);
    const auto timeout = server.check.timeout.value_or(server.check.interval);
    const CheckResult result = co_await tcp_check(server.endpoint, timeout);
    const Transition transition = controller_.record(key, result, std::chrono::steady_clock::now());
    pause.expires_after(controller_.health(key).next_delay());
    if (transition == Transition::none) continue;
    link_.wake();
    if (transition == Transition::came_up) {
      log_up(key);
    } else {
      co_await log_down(key);
    }
  }
}

asio::awaitable<void> HealthChecks::log_down(ServerKey key) {
  const config::Service& service = controller_.service(key);
  const config::Server& server = controller_.server(key);
  // What goes into the line is what held at the moment of the change, not after the question below.
  const CheckResult result = controller_.health(key).last_result();
  const std::size_t left = controller_.active_servers(key.service);
  std::optional<std::uint64_t> sessions;
  const auto report = co_await link_.report(kSessionsAnswer);
  if (report) {
    const auto service_report =
        std::ranges::find(report->services, service.name, &config::ServiceReport::name);
    if (service_report != report->services.end()) {
      const auto& servers = service_report->servers;
      const auto server_report = std::ranges::find(servers, server.name, &config::ServerReport::name);
      if (server_report != servers.end()) sessions = server_report->counters.connections_current;
    }
  }
  base::log::warn("{}", down_line({service.name, server.name}, result, left, sessions));
  if (left == 0) base::log::error("{}", no_server_line(service.name));
}

void HealthChecks::log_up(ServerKey key) const {
  const ServerName name{controller_.service(key).name, controller_.server(key).name};
  const CheckResult& result = controller_.health(key).last_result();
  base::log::info("{}", up_line(name, result, controller_.active_servers(key.service)));
}

}  // namespace sluice::cp
