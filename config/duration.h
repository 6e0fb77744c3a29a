#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/model.h"

namespace sluice::config {

/// Longest duration that a configuration may hold: the data plane counts milliseconds in 31 bits.
inline constexpr Milliseconds kLongestDuration = std::chrono::hours(20 * 24);

/// Reads a whole number with its unit: us, ms, s, m, h or d ("500ms", "10s"). From 1 ms to kLongestDuration,
/// in whole milliseconds. The Error's sentence begins with the text in quotes and says what to write instead.
[[nodiscard]] base::Result<Milliseconds> parse_duration(std::string_view text);

/// The same form, in the largest unit that holds it without a rest: "90s", "1h".
[[nodiscard]] std::string duration_text(Milliseconds duration);

}  // namespace sluice::config
