#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/result.h"

/// The process's log, on stderr. One line a message:
///   2026-11-23T10:00:00.123 sluice-dp info: text
/// Under systemd, when stderr is the journal, the time (which the journal adds) gives way to a syslog
/// priority:
///   <6>sluice-dp: text
/// Thread: any. Never from the packet path.
namespace sluice::base::log {

enum class Level : std::uint8_t { debug, info, warn, error };

/// "debug", "info", "warn", "error".
Result<Level> parse_level(std::string_view text);

/// Names the program and the least level that is written. Call it once, before other threads log; messages
/// that come before it go out from level info under the name "sluice".
void init(std::string_view program, Level least);

[[nodiscard]] bool enabled(Level level) noexcept;
/// What the functions below end in.
void write(Level level, fmt::string_view format, fmt::format_args args);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::debug, format, fmt::make_format_args(args...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, format, fmt::make_format_args(args...));
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warn, format, fmt::make_format_args(args...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, format, fmt::make_format_args(args...));
}

/// Lets a message that something outside can provoke through at most n times a second:
///   if (const auto pass = limit_.pass()) log::warn("socket \"{}\": too many clients{}", path, pass->note());
/// Thread: one.
class RateLimited {
 public:
  /// Leave to write one message.
  struct Pass {
    std::uint64_t suppressed = 0;  ///< messages held back since the last pass
    /// "" or " (17 more suppressed)".
    [[nodiscard]] std::string note() const;
  };

  explicit RateLimited(std::uint32_t per_second) noexcept : per_second_(per_second) {}

  /// A Pass, or nothing when the second's share is spent. `now_ms` as steady_ms() counts.
  std::optional<Pass> pass(std::uint64_t now_ms = steady_ms()) noexcept;

 private:
  std::uint32_t per_second_;
  std::uint32_t spent_ = 0;
  std::uint64_t second_ = 0;  ///< in which `spent_` was counted
  std::uint64_t suppressed_ = 0;
};

}  // namespace sluice::base::log
