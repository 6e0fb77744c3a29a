#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

/// How a server that came back is brought to its full share: HAProxy's slow start. Pure arithmetic. `t` is
/// the time since it came back in whole seconds, `duration` the configured time, rounded up to whole seconds.
namespace sluice::cp {

/// Weights are held, and sent to the data plane, in sixteenths: a server at its full weight has weight * 16.
inline constexpr std::uint32_t kWeightScale = 16;

/// The step of the ramp, 1..16. Pre: t < duration.
[[nodiscard]] constexpr std::uint32_t slowstart_step(std::chrono::seconds t,
                                                     std::chrono::seconds duration) noexcept {
  return static_cast<std::uint32_t>((kWeightScale * t.count() + duration.count()) / duration.count());
}

/// What maxconn is on the ramp; 0 (no limit) stays 0. Pre: t < duration.
[[nodiscard]] constexpr std::uint32_t slowstart_maxconn(std::uint32_t maxconn, std::chrono::seconds t,
                                                        std::chrono::seconds duration) noexcept {
  if (maxconn == 0) return 0;
  const auto percent = static_cast<std::uint64_t>(100 * t.count() / duration.count());
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, maxconn * percent / 100));
}

}  // namespace sluice::cp
