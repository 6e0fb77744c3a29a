#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace sluice::test {

/// Time that a fuzz test may take.
class Budget {
 public:
  /// `share`: of the seconds.
  explicit Budget(double share = 1) {
    const char* text = std::getenv("SLUICE_FUZZ_SECONDS");
    const double seconds = share * (text == nullptr ? 8 : std::atof(text));
    end_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int>(seconds * 1'000));
  }
  [[nodiscard]] bool left() const { return std::chrono::steady_clock::now() < end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

/// Seeded numbers: xorshift64* (Vigna 2016).
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed | 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dU;
  }
  /// 0 .. n - 1.
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>((next() >> 32) * n >> 32); }
  bool one_in(std::uint32_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace sluice::test
