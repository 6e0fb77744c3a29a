#include "cp/lateness.h"

#include <algorithm>
#include <bit>

namespace sluice::cp {

void Lateness::note(TimePoint now, Microseconds late) noexcept {
  late = std::max(late, Microseconds{0});
  const std::int64_t number = std::max<std::int64_t>(slice_at(now), 0);
  Slice& slice = slices_[static_cast<std::size_t>(number) % kSlices];
  if (slice.number != number) {
    slice = {};
    slice.number = number;
  }
  slice.most = std::max(slice.most, late);
  ++slice.counts[bucket_of(late)];
}

Lateness::Summary Lateness::summary(TimePoint now) const noexcept {
  const std::int64_t present = slice_at(now);
  const std::int64_t oldest = std::max<std::int64_t>(present - static_cast<std::int64_t>(kSlices) + 1, 0);
  Summary summary;
  summary.over = std::chrono::duration_cast<std::chrono::milliseconds>(now - (began_ + oldest * kSlice));
  std::array<std::uint64_t, kBuckets> counts{};
  for (const Slice& slice : slices_) {
    if (slice.number < oldest) continue;
    summary.most = std::max(summary.most, slice.most);
    for (std::size_t i = 0; i < kBuckets; ++i) counts[i] += slice.counts[i];
  }
  for (const std::uint64_t count : counts) summary.count += count;
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (counts[i] == 0) continue;
    const std::uint64_t before = passed;
    passed += counts[i];
    const Microseconds end = std::min(end_of(i), summary.most);
    const auto holds = [&](std::uint64_t rank) { return before < rank && rank <= passed; };
    if (holds((summary.count + 1) / 2)) summary.median = end;
    if (holds(summary.count - summary.count / 100)) summary.p99 = end;
  }
  return summary;
}

std::size_t Lateness::bucket_of(Microseconds late) noexcept {
  const auto value = static_cast<std::uint64_t>(late.count());
  if (value < kSteps) return static_cast<std::size_t>(value);
  // The leading bit, and the three behind it.
  const auto power = static_cast<unsigned>(std::bit_width(value)) - std::bit_width(kSteps);
  const std::size_t bucket = (std::size_t{power} + 1) * kSteps + ((value >> power) & (kSteps - 1));
  return std::min(bucket, kBuckets - 1);
}

Lateness::Microseconds Lateness::end_of(std::size_t bucket) noexcept {
  if (bucket < kSteps) return Microseconds{bucket};
  const std::size_t power = bucket / kSteps - 1;
  const std::uint64_t lead = kSteps + bucket % kSteps;
  return Microseconds{((lead + 1) << power) - 1};
}

}  // namespace sluice::cp
