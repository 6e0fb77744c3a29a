#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::cp {

/// How a health check ended, in HAProxy's terms: users' dashboards and log filters know these words.
enum class CheckStatus : std::uint8_t {
  initializing,  ///< INI: no check has ended yet
  socket_error,  ///< SOCKERR: this host could not even send (descriptors, permissions, no source address)
  l4_ok,         ///< L4OK: the connection was accepted
  l4_timeout,    ///< L4TOUT: nobody answered in time
  l4_refused,    ///< L4CON: refused or unreachable
};

/// The outcome of one check.
struct CheckResult {
  CheckStatus status = CheckStatus::initializing;
  std::string info;  ///< what the system said, e.g. "Connection refused"; may be empty
  config::Milliseconds duration{0};

  [[nodiscard]] constexpr bool passed() const noexcept { return status == CheckStatus::l4_ok; }
};

/// The code of HAProxy's "check_status" column, e.g. "L4CON".
constexpr std::string_view code(CheckStatus status) noexcept {
  switch (status) {
    case CheckStatus::initializing: return "INI";
    case CheckStatus::socket_error: return "SOCKERR";
    case CheckStatus::l4_ok: return "L4OK";
    case CheckStatus::l4_timeout: return "L4TOUT";
    case CheckStatus::l4_refused: return "L4CON";
  }
  return "UNK";
}

/// The reason as it stands in HAProxy's log lines, e.g. "Layer4 connection problem".
constexpr std::string_view reason(CheckStatus status) noexcept {
  switch (status) {
    case CheckStatus::initializing: return "Initializing";
    case CheckStatus::socket_error: return "Socket error";
    case CheckStatus::l4_ok: return "Layer4 check passed";
    case CheckStatus::l4_timeout: return "Layer4 timeout";
    case CheckStatus::l4_refused: return "Layer4 connection problem";
  }
  return "Unknown";
}

}  // namespace sluice::cp
