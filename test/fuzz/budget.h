#pragma once

#include <chrono>
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

}  // namespace sluice::test
