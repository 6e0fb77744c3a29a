#include "cp/dp_watch.h"

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kFailures = 150ms;
constexpr auto kGeneration = 10s;
constexpr auto kAnswer = 2s;

}  // namespace

asio::awaitable<void> DpWatch::watch_failures() {
  for (;;) {
    pause_.expires_after(kFailures);
    co_await pause_.async_wait(kAsTuple);
    if (!controller_.observes() || !link_.connected()) continue;
    const auto failures = co_await link_.failures(kAnswer);
    if (failures) controller_.record_failures(*failures, std::chrono::steady_clock::now());
  }
}

asio::awaitable<void> DpWatch::watch_generation() {
  for (;;) {
    slow_pause_.expires_after(kGeneration);
    co_await slow_pause_.async_wait(kAsTuple);
    if (!link_.connected() || !controller_.in_step()) continue;
    config::ReportRequest nothing;  // but the generation
    nothing.only.emplace();
    const std::uint64_t given = controller_.acknowledged();
    const auto report = co_await link_.report(DpLink::For::duty, kAnswer, std::move(nothing));
    // What was given meanwhile makes the answer worthless.
    if (report && given == controller_.acknowledged() && controller_.in_step())
      link_.verify(report->generation);
  }
}

}  // namespace sluice::cp
