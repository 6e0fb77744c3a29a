#include "cp/log_writer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
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
constexpr auto kLoadAnswer = 500ms;

/// The loads of all servers, by service and server.
class Loads {
 public:
  explicit Loads(const config::DataplaneReport& report) {
    for (const config::ServiceReport& service : report.services) {
      for (const config::ServerReport& server : service.servers) {
        if (server.draining) continue;  // another server, of a configuration before
        loads_[{service.name, server.name}] = {server.counters.connections_current, 0, server.queue.waiting};
      }
    }
  }
  /// Zeros where the data plane does not have that server: no connection has it either.
  [[nodiscard]] Load of(const LogLine& line) const {
    const auto found = loads_.find({line.service, line.server});
    return found == loads_.end() ? Load{} : found->second;
  }

 private:
  std::map<std::pair<std::string_view, std::string_view>, Load> loads_;  ///< names are the report's
};

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
    const std::vector<LogLine> lines = controller_.take_log();
    if (lines.empty()) {
      co_await wake_.async_wait(kAsTuple);
      continue;
    }
    const bool ask = link_.connected() && std::ranges::any_of(lines, [](const LogLine& line) {
                       return line.ending != LogLine::Ending::none;
                     });
    std::optional<config::DataplaneReport> report;
    if (ask) {
      auto answer = co_await link_.report(kLoadAnswer);
      if (answer) report = std::move(*answer);
    }
    const std::optional<Loads> loads = report ? std::optional<Loads>(*report) : std::nullopt;
    for (const LogLine& line : lines) write(line, loads ? std::optional(loads->of(line)) : std::nullopt);
  }
}

void LogWriter::flush() {
  for (const LogLine& line : controller_.take_log()) write(line, std::nullopt);
}

}  // namespace sluice::cp
