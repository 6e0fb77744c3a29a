#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "cp/health.h"

namespace sluice::cp {

/// How much later than due things began within the last minute. A histogram of fixed size: each note costs a
/// few nanoseconds, and tells of itself to an eighth. Time is passed in, and does not go back. Thread: one.
class Lateness {
 public:
  using Microseconds = std::chrono::microseconds;
  struct Summary {
    std::uint64_t count = 0;
    std::chrono::milliseconds over{0};  ///< the time that these began in: less than a minute at first
    Microseconds median{0}, p99{0}, most{0};
  };

  explicit Lateness(TimePoint now) : began_(now) {}

  /// Something began at `now`, `late` after it was due.
  void note(TimePoint now, Microseconds late) noexcept;
  [[nodiscard]] Summary summary(TimePoint now) const noexcept;

 private:
  /// The minute is forgotten a slice at a time.
  static constexpr std::chrono::seconds kSlice{5};
  static constexpr std::size_t kSlices = 12;
  /// Eight steps for each power of two, up to 2^32 µs.
  static constexpr unsigned kSteps = 8;
  static constexpr std::size_t kBuckets = std::size_t{30} * kSteps;
  struct Slice {
    std::int64_t number = -1;  ///< since began_; tells an old one from the present one in its place
    Microseconds most{0};
    std::array<std::uint32_t, kBuckets> counts{};
  };

  [[nodiscard]] std::int64_t slice_at(TimePoint now) const noexcept { return (now - began_) / kSlice; }
  static std::size_t bucket_of(Microseconds late) noexcept;
  /// The most that belongs into a bucket.
  static Microseconds end_of(std::size_t bucket) noexcept;

  TimePoint began_;
  std::array<Slice, kSlices> slices_{};
};

}  // namespace sluice::cp
