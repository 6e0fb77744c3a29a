#include "cp/log_writer.h"

#include <algorithm>
#include <chrono>
#include <optional>
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

/// Nothing: the report does not have that server, so there is no connection to it either.
Load load_of(const config::DataplaneReport& report, const LogLine& line) {
  Load load;
  const auto service = std::ranges::find(report.services, line.service, &config::ServiceReport::name);
  if (service == report.services.end()) return load;
  for (const config::ServerReport& server : service->servers) {
    if (server.draining || server.name != line.server) continue;
    load.sessions = server.counters.connections_current;
    load.queued = server.queue.waiting;
  }
  return load;
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
    for (const LogLine& line : lines) {
      write(line, report ? std::optional(load_of(*report, line)) : std::nullopt);
    }
  }
}

void LogWriter::flush() {
  for (const LogLine& line : controller_.take_log()) write(line, std::nullopt);
}

}  // namespace sluice::cp
