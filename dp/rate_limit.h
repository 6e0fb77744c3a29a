#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace sluice::dp {

/// Lets `rate` events a second through on average, and up to `burst` at once after a pause: a token bucket.
/// For what a worker sends of its own accord (RST, ICMP errors, neighbour requests), where every packet
/// received could ask for one (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)). One per worker; no locks, no clock
/// reads, no division. Copyable plain data.
class TokenBucket {
 public:
  /// Full from the start. `rate`: tokens a second; 0: the burst is all that ever passes. `burst`: 0 lets
  /// nothing pass; limited to 2^32 / 1,000 = 4,294,967.
  constexpr TokenBucket(std::uint32_t rate, std::uint32_t burst, base::Tick now) noexcept
      : last_(now), rate_(rate), capacity_(std::min(burst, kMaxBurst) * kToken), level_(capacity_) {}

  /// Takes one token, if there is one. A `now` earlier than in a call before refills nothing, and neither
  /// does a pause of more than 24 days.
  constexpr bool take(base::Tick now) noexcept {
    const std::int32_t elapsed_ms = now - last_;
    if (elapsed_ms > 0) {
      // One token a second is one thousandth a millisecond: counted in thousandths the refill is exact.
      const std::uint64_t refilled = level_ + static_cast<std::uint64_t>(elapsed_ms) * rate_;
      level_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(refilled, capacity_));
    }
    last_ = now;
    if (level_ < kToken) return false;
    level_ -= kToken;
    return true;
  }

 private:
  static constexpr std::uint32_t kToken = 1'000;
  static constexpr std::uint32_t kMaxBurst = UINT32_MAX / kToken;

  base::Tick last_;
  std::uint32_t rate_;
  std::uint32_t capacity_;  // thousandths of tokens, as is level_
  std::uint32_t level_;
};

}  // namespace sluice::dp
