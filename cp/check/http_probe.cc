#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "cp/check/connection.h"
#include "cp/check/http_answer.h"
#include "cp/check/probes.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using State = HttpAnswer::State;

/// How much is read at a time.
constexpr std::size_t kPiece = 16'384;

std::string request_of(const CheckTarget& target) {
  const config::CheckHttp& http = target.check.http;
  const std::string host = http.host.empty() ? target.endpoint.to_string() : http.host;
  return fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sluice/" SLUICE_VERSION
                     "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                     http.method, http.path, host);
}

CheckResult invalid(std::string info) {
  CheckResult result;
  result.status = CheckStatus::l7_invalid;
  result.info = std::move(info);
  return result;
}

bool is_wanted(int status, const config::CheckHttp& http) {
  return std::ranges::any_of(http.status, [status](const config::StatusRange& range) {
    return status >= range.first && status <= range.last;
  });
}

CheckResult of_status(const HttpAnswer& answer, CheckStatus status) {
  CheckResult result;
  result.status = status;
  result.answer_code = answer.status();
  if (status == CheckStatus::l7_wrong_status) result.info = shortened(answer.phrase());
  return result;
}

/// What the body says, once enough of it is there.
std::optional<CheckResult> judge_body(const HttpAnswer& answer, const Matcher& matcher, LookPacer& pacer) {
  const bool last = answer.state() == State::complete;
  if (last && answer.body().empty()) return invalid("HTTP content check could not find a response body");
  if (answer.body().empty()) return std::nullopt;
  pacer.looked();
  const bool found = matcher.found_in(answer.body());
  if (found && matcher.negated()) return invalid("HTTP check matched unwanted content");
  if (found || (last && matcher.negated())) return of_status(answer, CheckStatus::l7_ok);
  if (last) return invalid("HTTP content check did not match");
  return std::nullopt;
}

asio::awaitable<CheckResult> ask(const CheckTarget& target, CheckConnection& connection) {
  const std::string request = request_of(target);
  error_code error = co_await connection.write(request);
  HttpAnswer answer;
  LookPacer pacer;
  std::string piece;
  bool judged = false;
  while (!error) {
    piece.clear();
    error = co_await connection.read_some(piece, kPiece);
    answer.feed(piece);
    // An end in the middle of a body is taken as its end, as HAProxy does; a broken connection is not.
    if (error == asio::error::eof) answer.finish();
    if (answer.state() == State::invalid) co_return invalid({});
    if (answer.state() == State::head) continue;
    if (!judged && !is_wanted(answer.status(), target.check.http))
      co_return of_status(answer, CheckStatus::l7_wrong_status);
    judged = true;
    if (!target.expect) co_return of_status(answer, CheckStatus::l7_ok);
    const std::optional<CheckResult> verdict = judge_body(answer, *target.expect, pacer);
    if (verdict) co_return *verdict;
    if (pacer.is_tired()) co_await connection.pause(LookPacer::kPause);
  }
  CheckResult result;
  result.status = CheckStatus::socket_error;
  result.info = error.message();
  co_return result;
}

}  // namespace

asio::awaitable<CheckResult> probe_http(const CheckTarget& target, CheckResult& if_late, CheckClock& clock) {
  CheckConnection connection(co_await asio::this_coro::executor);
  if_late.status = CheckStatus::l4_timeout;
  clock.connecting();
  CheckResult result = co_await connection.connect(target.endpoint, Ending::reset);
  if (!result.passed()) co_return result;
  if (target.tls) {
    if_late.status = CheckStatus::l6_timeout;
    result = co_await connection.start_tls(*target.tls, target.tls_name);
    if (!result.passed()) co_return result;
  }
  clock.connected();
  if_late.status = CheckStatus::l7_timeout;
  result = co_await ask(target, connection);
  co_return result;
}

}  // namespace sluice::cp
