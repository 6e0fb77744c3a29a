#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::cp {

/// How a health check ended, in HAProxy's terms: users' dashboards and log filters know these words.
enum class CheckStatus : std::uint8_t {
  unknown,          ///< UNK
  initializing,     ///< INI: no check has ended yet
  no_change,        ///< CHECKED: an agent that said nothing about health
  health_analysis,  ///< HANA: real connections failed (`observe`)
  socket_error,     ///< SOCKERR: this host could not even send, or the connection broke while a script ran
  l4_ok,            ///< L4OK: the connection was accepted
  l4_timeout,       ///< L4TOUT: nobody answered in time
  l4_refused,       ///< L4CON: refused or unreachable
  l6_ok,            ///< L6OK: the TLS handshake was done
  l6_timeout,       ///< L6TOUT: it was not done in time
  l6_invalid,       ///< L6RSP: it failed
  l7_ok,            ///< L7OK: the application answered as it should
  l7_conditional,   ///< L7OKC: it answered that it wants no new connections
  l7_timeout,       ///< L7TOUT: it did not answer in time
  l7_invalid,       ///< L7RSP: it answered something else
  l7_wrong_status,  ///< L7STS: it answered with a status that is not good
  process_ok,       ///< PROCOK: the command ended with 0
  process_error,    ///< PROCERR: it ended otherwise, or could not be run
  process_timeout,  ///< PROCTOUT: it did not end in time
};
inline constexpr std::size_t kCheckStatusCount = 19;

/// Longest CheckResult::info, in bytes; HAProxy's limit.
inline constexpr std::size_t kInfoLength = 127;

/// The outcome of one check.
struct CheckResult {
  CheckStatus status = CheckStatus::initializing;
  /// What was seen, as HAProxy words it, e.g. "Connection refused at step 1 of tcp-check (connect)"; may be
  /// empty, may hold any byte that a server sent.
  std::string info;
  config::Milliseconds duration{0};  ///< negative: nothing that took time
  int answer_code = 0;               ///< HTTP status, or exit code; meaningful where has_answer_code(status)

  [[nodiscard]] constexpr bool passed() const noexcept {
    return status == CheckStatus::l4_ok || status == CheckStatus::l6_ok || status == CheckStatus::l7_ok ||
           status == CheckStatus::l7_conditional || status == CheckStatus::process_ok;
  }
  friend bool operator==(const CheckResult&, const CheckResult&) = default;
};

/// The code of HAProxy's "check_status" column, e.g. "L4CON".
std::string_view code(CheckStatus status) noexcept;
/// The status whose code is `text`; a state file holds codes.
std::optional<CheckStatus> check_status(std::string_view text) noexcept;
/// The reason as it stands in HAProxy's log lines, e.g. "Layer4 connection problem".
std::string_view reason(CheckStatus status) noexcept;
/// Whether HAProxy shows a code beside the reason: layer 7 and commands, except where nothing was understood.
bool has_answer_code(CheckStatus status) noexcept;

/// The part of a log line that tells the result: `reason: Layer7 wrong status, code: 503, info: "Service
/// Unavailable", check duration: 3ms`. Bytes of the info that are not printable, and quotes, stand as <XX>.
std::string describe(const CheckResult& result);

/// `text` as HAProxy's logs have it: what is not printable, and the quote, as <XX>.
std::string printable(std::string_view text);

/// `text` cut to kInfoLength.
std::string shortened(std::string text);

}  // namespace sluice::cp
