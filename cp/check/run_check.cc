#include "cp/check/run_check.h"

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "cp/check/external_probe.h"
#include "cp/check/probes.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

config::Milliseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<config::Milliseconds>(Clock::now() - start);
}

asio::awaitable<CheckResult> probe(const CheckTarget& target, CheckResult& if_late, CheckClock& clock) {
  switch (target.check.type) {
    case config::CheckType::tcp: return probe_tcp(target, if_late, clock);
    case config::CheckType::tcp_check: return probe_script(target, if_late, clock);
    case config::CheckType::tls: return probe_tls(target, if_late, clock);
    case config::CheckType::http:
    case config::CheckType::https: return probe_http(target, if_late, clock);
    case config::CheckType::dns: return probe_dns(target, if_late);
    case config::CheckType::udp: return probe_udp(target, if_late);
    case config::CheckType::none:
    case config::CheckType::external: break;  // the first is never checked, the second not bounded here
  }
  return probe_tcp(target, if_late, clock);
}

}  // namespace

asio::awaitable<CheckResult> run_check(std::shared_ptr<const CheckTarget> target, CommandSlots commands) {
  using asio::experimental::awaitable_operators::operator||;
  CheckResult result;
  if (target->check.type == config::CheckType::external) {
    result = co_await probe_external(std::move(target), std::move(commands));
    co_return result;
  }
  const auto started = Clock::now();
  CheckClock clock(co_await asio::this_coro::executor, *target);
  auto first = co_await (probe(*target, result, clock) || clock.run_out());
  if (first.index() == 0) result = std::get<0>(std::move(first));
  result.duration = since(started);
  co_return result;
}

asio::awaitable<AgentAnswer> ask_agent(base::Endpoint endpoint, std::string send,
                                       config::Milliseconds timeout) {
  using asio::experimental::awaitable_operators::operator||;
  const auto started = Clock::now();
  AgentAnswer answer;
  asio::steady_timer deadline(co_await asio::this_coro::executor, timeout);
  auto first = co_await (probe_agent(endpoint, send, answer) || deadline.async_wait(kAsTuple));
  if (first.index() == 0) answer = std::get<0>(std::move(first));
  answer.result.duration = since(started);
  co_return answer;
}

}  // namespace sluice::cp
