#include "cp/waiting.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "config/duration.h"
#include "cp/known_names.h"
#include "cp/turn.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using asio::experimental::awaitable_operators::operator||;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kReportAnswer = 2s;

bool concerns(const config::WaitRequest& request, const std::string& server) {
  return request.server == "*" || request.server == server;
}

std::string what_waited_for(const config::WaitRequest& request) {
  if (request.server == "*") return fmt::format("servers of \"{}\": all", request.service);
  return fmt::format("server \"{}/{}\":", request.service, request.server);
}

/// What keeps a server from being drained; empty: nothing.
std::string keeps_busy(const config::ServerReport& server) {
  if (!server.draining && server.weight > 0)
    return "gets new connections (\"sluice server drain\" ends that)";
  if (server.queue.waiting > 0)
    return fmt::format("has {} connections that wait for it", server.queue.waiting);
  const std::uint64_t open = server.counters.connections_current;
  if (open > 0) return fmt::format("has {} open {}", open, open == 1 ? "connection" : "connections");
  return {};
}

const config::ServiceReport* find_report(const config::DataplaneReport& report, const std::string& service) {
  const auto found = std::ranges::find(report.services, service, &config::ServiceReport::name);
  return found == report.services.end() ? nullptr : &*found;
}

}  // namespace

namespace {

/// A server is on the list for as long as this lives, however that ends.
class Listed {
 public:
  Listed(std::list<config::ServerName>& list, config::ServerName name)
      : list_(list), place_(list.insert(list.end(), std::move(name))) {}
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;
  ~Listed() { list_.erase(place_); }

 private:
  std::list<config::ServerName>& list_;
  std::list<config::ServerName>::iterator place_;
};

}  // namespace

asio::awaitable<base::Result<std::string>> Waiting::until(config::WaitRequest request) {
  const bool drained = request.what == config::WaitFor::drained;
  const TimePoint began = std::chrono::steady_clock::now();
  const TimePoint deadline = began + std::min(request.timeout, config::kLongestDuration);
  std::optional<Listed> listed;
  if (drained) listed.emplace(waited_for_, config::ServerName{request.service, request.server});
  if (drained) co_await look(began);
  // A server that a reload has removed is known to the data plane as long as it has connections.
  const auto known = names_are_known(request);
  if (!known) co_return known.error();
  asio::steady_timer pause(executor_);
  for (;;) {
    const std::string missing = drained ? missing_drained(request, began) : missing_health(request);
    if (missing.empty())
      co_return fmt::format("{} {}", what_waited_for(request), config::name_of(request.what));
    const TimePoint now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      co_return base::Error{
          base::ErrorCode::unavailable,
          fmt::format("{} not {} within {}: {}", what_waited_for(request), config::name_of(request.what),
                      config::duration_text(request.timeout), missing)};
    }
    if (drained) {
      pause.expires_at(std::min(deadline, now + kLook));
      co_await pause.async_wait(kAsTuple);
      co_await look(began);
    } else {
      // All who wait share one timer that never expires; each has its own deadline.
      pause.expires_at(deadline);
      co_await (pause.async_wait(kAsTuple) || changed_.async_wait(kAsTuple));
    }
  }
}

base::Result<void> Waiting::names_are_known(const config::WaitRequest& request) const {
  const auto service = find_service(controller_.config(), request.service);
  const auto configured = service ? find_servers(**service, request.server) : service.error();
  if (configured) return {};
  if (request.what == config::WaitFor::drained && report_) {
    const config::ServiceReport* reported = find_report(*report_, request.service);
    const auto named = [&](const config::ServerReport& server) { return concerns(request, server.name); };
    if (reported != nullptr && std::ranges::any_of(reported->servers, named)) return {};
  }
  return configured.error();
}

std::string Waiting::missing_health(const config::WaitRequest& request) const {
  const auto& services = controller_.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    if (services[s].name != request.service) continue;
    for (const ServerState& server : controller_.servers(s)) {
      const std::string& name = server.config().name;
      if (!concerns(request, name)) continue;
      const bool up = server.is_up() && !server.in_maintenance();
      if (up != (request.what == config::WaitFor::up))
        return fmt::format("server \"{}/{}\" is {}", request.service, name, server.status());
    }
  }
  return {};
}

std::string Waiting::missing_drained(const config::WaitRequest& request, TimePoint since) const {
  if (!report_ || looked_ < since)
    return no_report_.empty() ? std::string("the data plane has not told yet") : no_report_;
  if (report_->generation < controller_.desired().generation)
    return "the data plane does not run the latest state yet";
  const config::ServiceReport* service = find_report(*report_, request.service);
  if (service == nullptr) return {};  // removed, and its last connection has ended
  for (const config::ServerReport& server : service->servers) {
    if (!concerns(request, server.name)) continue;
    const std::string busy = keeps_busy(server);
    if (!busy.empty()) return fmt::format("server \"{}/{}\" {}", request.service, server.name, busy);
  }
  return {};
}

asio::awaitable<void> Waiting::look(TimePoint since) {
  while (looking_) co_await looked_at_.async_wait(kAsTuple);
  const TimePoint now = std::chrono::steady_clock::now();
  if (looked_ >= since && now - looked_ < kLook) co_return;
  const Turn turn(looking_, &looked_at_);
  config::ReportRequest request;
  request.only.emplace(waited_for_.begin(), waited_for_.end());
  auto report = co_await link_.report(DpLink::For::view, kReportAnswer, std::move(request));
  looked_ = now;
  if (report) {
    report_ = *std::move(report);
    no_report_.clear();
  } else {
    report_.reset();
    no_report_ = report.error().message;
  }
}

}  // namespace sluice::cp
