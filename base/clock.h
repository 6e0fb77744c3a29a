#pragma once

#include <chrono>
#include <cstdint>

namespace sluice::base {

/// A point in time on the packet path: milliseconds since the process started, modulo 2^32 (49 days). Points
/// are compared by their distance, which is right as long as they lie less than 24 days apart.
struct Tick {
  std::uint32_t ms = 0;

  [[nodiscard]] friend constexpr Tick operator+(Tick t, std::uint32_t ms) noexcept { return {t.ms + ms}; }
  /// Milliseconds from `b` to `a`; negative when `a` is earlier.
  [[nodiscard]] friend constexpr std::int32_t operator-(Tick a, Tick b) noexcept {
    return static_cast<std::int32_t>(a.ms - b.ms);
  }
  friend constexpr bool operator==(Tick, Tick) noexcept = default;
};

/// True when `t` is at or after `due`.
[[nodiscard]] constexpr bool reached(Tick t, Tick due) noexcept {
  return t - due >= 0;
}

/// The Tick of `ms` milliseconds since the process started.
[[nodiscard]] constexpr Tick tick_of(std::uint64_t ms) noexcept {
  return {static_cast<std::uint32_t>(ms)};
}

/// CLOCK_MONOTONIC in milliseconds. Not for the packet path, which is given its Tick.
[[nodiscard]] inline std::uint64_t steady_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace sluice::base
