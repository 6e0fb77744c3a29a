#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "config/vrrp.h"
#include "vrrp/messages.h"

/// What is written to the log about an instance: keepalived's lines, which people search for, and a line of
/// our own with the reason. Pure. Thread: any.
namespace sluice::vrrp {

struct JournalLine {
  base::log::Level level = base::log::Level::info;
  std::string text;
};

/// Why an instance is in its state: "no advert for 3.648 s". `fault`: what its trouble is, if it is known.
[[nodiscard]] std::string reason_text(Reason reason, Duration master_down, const std::string& fault);

/// The lines that a note of the speaker is worth.
[[nodiscard]] std::vector<JournalLine> lines_of(const SpeakerNote& note, const config::VrrpInstance& instance,
                                                const std::string& fault);

[[nodiscard]] std::string_view state_name(State state) noexcept;  ///< "MASTER"

/// "3.648 s", "40 ms", "7 us".
[[nodiscard]] std::string duration_text(Duration duration);

}  // namespace sluice::vrrp
