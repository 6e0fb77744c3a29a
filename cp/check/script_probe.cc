#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "cp/check/connection.h"
#include "cp/check/probes.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using config::CheckStep;
using Match = config::Expect::Match;

/// Most of an answer that is looked at, as in HAProxy.
constexpr std::size_t kAnswerLimit = 16'384;

/// The bytes that HAProxy's texts have of a pattern: those before the first zero.
std::string_view up_to_zero(std::string_view bytes) {
  return bytes.substr(0, bytes.find('\0'));
}

/// HAProxy has a comment in quotes behind the place of a failure, and without behind what an answer was
/// called.
std::string comment_of(const CheckStep& step, std::string_view quote) {
  return step.comment.empty() ? std::string() : fmt::format(" comment: {1}{0}{1}", step.comment, quote);
}

std::string what_of(const CheckStep& step) {
  switch (step.kind) {
    case CheckStep::Kind::connect:
      return step.port != 0 ? fmt::format("(connect port {})", step.port) : "(connect)";
    case CheckStep::Kind::send: return "(send)";
    case CheckStep::Kind::expect: break;
  }
  switch (step.expect.match) {
    case Match::string: return fmt::format("(expect string '{}')", step.expect.pattern);
    case Match::binary: return fmt::format("(expect binary '{}')", up_to_zero(step.expect.pattern));
    case Match::regex: break;
  }
  return "(expect regex)";
}

/// Where in the script something happened; follows the system's words, or stands alone. `number`: from 1.
std::string place_of(const CheckStep& step, std::size_t number) {
  return fmt::format(" at step {} of tcp-check {}{}", number, what_of(step), comment_of(step, "'"));
}

/// What an answer that was not right is called.
std::string mismatch_text(const CheckStep& step, std::size_t number, bool empty) {
  std::string text;
  if (empty) {
    text = fmt::format("TCPCHK got an empty response at step {}", number);
  } else {
    std::string pattern;
    switch (step.expect.match) {
      case Match::string: pattern = fmt::format("'{}'", step.expect.pattern); break;
      case Match::regex: pattern = "(regex)"; break;
      case Match::binary: pattern = "(binary)"; break;
    }
    text = fmt::format("TCPCHK {} content {} at step {}",
                       step.expect.negate ? "matched unwanted" : "did not match", std::move(pattern), number);
  }
  return text + comment_of(step, "");
}

/// The script's run: connection, what was received, and how far the server got.
class Script {
 public:
  Script(asio::any_io_executor executor, const CheckTarget& target, CheckResult& if_late, CheckClock& clock)
      : target_(target), if_late_(if_late), clock_(clock), connection_(std::move(executor)) {}

  asio::awaitable<CheckResult> run() {
    const std::vector<CheckStep>& steps = target_.check.steps;
    CheckResult result;
    if (steps.empty() || steps.front().kind != CheckStep::Kind::connect) {
      result = co_await connect(implicit_step(), " at initial connection step of tcp-check");
      if (!result.passed()) co_return result;
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
      switch (steps[i].kind) {
        case CheckStep::Kind::connect: result = co_await connect(steps[i], place_of(steps[i], i + 1)); break;
        case CheckStep::Kind::send: result = co_await send(steps[i], i + 1); break;
        case CheckStep::Kind::expect: result = co_await expect(i); break;
      }
      if (!result.passed()) co_return result;
    }
    if (!steps.empty()) result.info = "(tcp-check)";
    co_return result;
  }

 private:
  /// The connection that a script need not ask for.
  [[nodiscard]] CheckStep implicit_step() const {
    CheckStep step;
    step.linger = target_.check.linger;
    return step;
  }

  void late_means(CheckStatus status, std::string place) {
    if_late_.status = status;
    if_late_.info = shortened(std::move(place));
  }

  /// `result`, which has the system's words, with the place behind them.
  static CheckResult placed(CheckResult result, const std::string& place) {
    result.info = shortened(result.info + place);
    return result;
  }

  static CheckResult broken(const error_code& error, const std::string& place) {
    CheckResult result;
    result.status = CheckStatus::socket_error;
    result.info = shortened(error.message() + place);
    return result;
  }

  asio::awaitable<CheckResult> connect(CheckStep step, std::string place) {
    received_.clear();
    base::Endpoint endpoint = target_.endpoint;
    if (step.port != 0) endpoint.port = step.port;
    late_means(CheckStatus::l4_timeout, place);
    clock_.connecting();
    const Ending ending = step.linger ? Ending::finish : Ending::reset;
    CheckResult result = co_await connection_.connect(endpoint, ending);
    if (!result.passed()) co_return placed(std::move(result), place);
    if (!step.tls) {
      clock_.connected();
      co_return result;
    }
    late_means(CheckStatus::l6_timeout, place);
    result = co_await connection_.start_tls(*target_.tls, target_.tls_name);
    if (!result.passed()) co_return placed(std::move(result), place);
    clock_.connected();
    co_return result;
  }

  asio::awaitable<CheckResult> send(const CheckStep& step, std::size_t number) {
    received_.clear();  // what came before is no answer to this
    late_means(CheckStatus::l7_timeout, place_of(step, number));
    const error_code error = co_await connection_.write(step.data);
    if (error) co_return broken(error, place_of(step, number));
    co_return passed();
  }

  asio::awaitable<CheckResult> expect(std::size_t index) {
    const CheckStep& step = target_.check.steps[index];
    const Matcher& matcher = target_.step_expect[index];
    const std::size_t number = index + 1;
    late_means(CheckStatus::l7_timeout, place_of(step, number));
    LookPacer pacer;
    error_code error;
    for (;;) {
      const bool last = error || received_.size() >= kAnswerLimit;
      const bool enough = last || (!received_.empty() && received_.size() >= step.min_recv);
      if (enough) {
        pacer.looked();
        const bool found = matcher.found_in(received_);
        if (found && !step.expect.negate) co_return passed();
        if (found || last || step.min_recv != 0) {
          if (error && error != asio::error::eof && received_.empty())
            co_return broken(error, place_of(step, number));
          // Nothing at all is no right answer, whatever must not be in it.
          if (!found && step.expect.negate && !received_.empty()) co_return passed();
          co_return mismatch(step, number);
        }
      }
      if (pacer.is_tired()) co_await connection_.pause(LookPacer::kPause);
      error = co_await connection_.read_some(received_, kAnswerLimit);
    }
  }

  static CheckResult passed() {
    CheckResult result;
    result.status = CheckStatus::l7_ok;
    return result;
  }

  [[nodiscard]] CheckResult mismatch(const CheckStep& step, std::size_t number) const {
    CheckResult result;
    result.status = CheckStatus::l7_invalid;
    result.info = shortened(mismatch_text(step, number, received_.empty()));
    return result;
  }

  const CheckTarget& target_;
  CheckResult& if_late_;
  CheckClock& clock_;
  CheckConnection connection_;
  std::string received_;
};

}  // namespace

asio::awaitable<CheckResult> probe_script(const CheckTarget& target, CheckResult& if_late,
                                          CheckClock& clock) {
  Script script(co_await asio::this_coro::executor, target, if_late, clock);
  co_return co_await script.run();
}

}  // namespace sluice::cp
