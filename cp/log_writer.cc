#include "cp/log_writer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kTakenOver = 500ms;
constexpr auto kLoadAnswer = 500ms;
/// Lines whose numbers are asked for with one request.
constexpr std::size_t kAtOnce = 256;

/// The loads of all servers, by service and server.
class Loads {
 public:
  explicit Loads(const config::DataplaneReport& report) {
    for (const config::ServiceReport& service : report.services) {
      for (const config::ServerReport& server : service.servers) {
        if (server.draining) continue;  // another server, of a configuration before
        servers_[{service.name, server.name}] = &server;
      }
    }
  }
  /// Zeros where the data plane does not have that server: no connection has it either.
  [[nodiscard]] Load of(const LogLine& line) const {
    const auto found = servers_.find({line.service, line.server});
    if (found == servers_.end()) return {};
    const config::ServerReport& server = *found->second;
    // Since then its connections may have been ended, and its queue is empty.
    if (server.transition.generation > line.before)
      return {server.transition.sessions, server.transition.requeued, 0};
    return {server.counters.connections_current, 0, server.queue.waiting};
  }

 private:
  /// Names and servers are the report's.
  std::map<std::pair<std::string_view, std::string_view>, const config::ServerReport*> servers_;
};

/// Whose numbers the lines have.
std::vector<config::ServerName> servers_of(std::span<const LogLine> lines) {
  std::vector<config::ServerName> servers;
  for (const LogLine& line : lines) {
    if (line.ending != LogLine::Ending::none) servers.push_back({line.service, line.server});
  }
  return servers;
}

void write(const LogLine& line, const std::optional<Load>& load) {
  const std::string text = line.complete(load);
  switch (line.urgency) {
    case Urgency::notice: base::log::info("{}", text); break;
    case Urgency::alert: base::log::warn("{}", text); break;
    case Urgency::emergency: base::log::error("{}", text); break;
  }
}

}  // namespace

asio::awaitable<void> LogWriter::run() {
  for (;;) {
    if (first_ == pending_.size()) {
      pending_ = controller_.take_log();
      first_ = 0;
    }
    if (pending_.empty()) {
      co_await wake_.async_wait(kAsTuple);
      continue;
    }
    const std::size_t count = std::min(kAtOnce, pending_.size() - first_);
    config::ReportRequest request;
    request.only = servers_of(std::span(pending_).subspan(first_, count));
    std::optional<config::DataplaneReport> report;
    if (link_.connected() && !request.only->empty()) {
      // Should it take longer, the numbers of the moment are better than none.
      static_cast<void>(co_await link_.caught_up(kTakenOver));
      auto answer = co_await link_.report(DpLink::For::duty, kLoadAnswer, std::move(request));
      if (answer) report = std::move(*answer);
    }
    const std::optional<Loads> loads = report ? std::optional<Loads>(*report) : std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {
      const LogLine& line = pending_[first_++];
      write(line, loads ? std::optional(loads->of(line)) : std::nullopt);
    }
  }
}

void LogWriter::flush() {
  for (; first_ < pending_.size(); ++first_) write(pending_[first_], std::nullopt);
  for (const LogLine& line : controller_.take_log()) write(line, std::nullopt);
}

}  // namespace sluice::cp
