#include "cp/check_result.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace sluice::cp {
namespace {

struct Words {
  CheckStatus status;
  std::string_view code, reason;
};

constexpr std::array<Words, kCheckStatusCount> kWords{{
    {CheckStatus::unknown, "UNK", "Unknown"},
    {CheckStatus::initializing, "INI", "Initializing"},
    {CheckStatus::no_change, "CHECKED", "No status change"},
    {CheckStatus::health_analysis, "HANA", "Health analyze"},
    {CheckStatus::socket_error, "SOCKERR", "Socket error"},
    {CheckStatus::l4_ok, "L4OK", "Layer4 check passed"},
    {CheckStatus::l4_timeout, "L4TOUT", "Layer4 timeout"},
    {CheckStatus::l4_refused, "L4CON", "Layer4 connection problem"},
    {CheckStatus::l6_ok, "L6OK", "Layer6 check passed"},
    {CheckStatus::l6_timeout, "L6TOUT", "Layer6 timeout"},
    {CheckStatus::l6_invalid, "L6RSP", "Layer6 invalid response"},
    {CheckStatus::l7_ok, "L7OK", "Layer7 check passed"},
    {CheckStatus::l7_conditional, "L7OKC", "Layer7 check conditionally passed"},
    {CheckStatus::l7_timeout, "L7TOUT", "Layer7 timeout"},
    {CheckStatus::l7_invalid, "L7RSP", "Layer7 invalid response"},
    {CheckStatus::l7_wrong_status, "L7STS", "Layer7 wrong status"},
    {CheckStatus::process_ok, "PROCOK", "External check passed"},
    {CheckStatus::process_error, "PROCERR", "External check error"},
    {CheckStatus::process_timeout, "PROCTOUT", "External check timeout"},
}};

/// Every status stands in the table at its own place.
constexpr bool in_order() {
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    if (static_cast<std::size_t>(kWords[i].status) != i) return false;
  }
  return true;
}
static_assert(in_order());

const Words& words(CheckStatus status) noexcept {
  return kWords[static_cast<std::size_t>(status)];
}

}  // namespace

std::string_view code(CheckStatus status) noexcept {
  return words(status).code;
}

std::optional<CheckStatus> check_status(std::string_view text) noexcept {
  const auto* found = std::ranges::find(kWords, text, &Words::code);
  if (found == kWords.end()) return std::nullopt;
  return found->status;
}

std::string_view reason(CheckStatus status) noexcept {
  return words(status).reason;
}

bool has_answer_code(CheckStatus status) noexcept {
  switch (status) {
    case CheckStatus::l7_ok:
    case CheckStatus::l7_conditional:
    case CheckStatus::l7_wrong_status:
    case CheckStatus::process_ok:
    case CheckStatus::process_error:
    case CheckStatus::process_timeout: return true;
    case CheckStatus::unknown:
    case CheckStatus::initializing:
    case CheckStatus::no_change:
    case CheckStatus::health_analysis:
    case CheckStatus::socket_error:
    case CheckStatus::l4_ok:
    case CheckStatus::l4_timeout:
    case CheckStatus::l4_refused:
    case CheckStatus::l6_ok:
    case CheckStatus::l6_timeout:
    case CheckStatus::l6_invalid:
    case CheckStatus::l7_timeout:
    case CheckStatus::l7_invalid: return false;
  }
  return false;
}

std::string describe(const CheckResult& result) {
  std::string text = fmt::format("reason: {}", reason(result.status));
  if (has_answer_code(result.status)) text += fmt::format(", code: {}", result.answer_code);
  if (!result.info.empty()) text += fmt::format(R"(, info: "{}")", printable(result.info));
  if (result.duration.count() >= 0) text += fmt::format(", check duration: {}ms", result.duration.count());
  return text;
}

std::string printable(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '"') {
      safe += fmt::format("<{:02X}>", byte);
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string shortened(std::string text) {
  if (text.size() > kInfoLength) text.resize(kInfoLength);
  return text;
}

}  // namespace sluice::cp
