#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "dp/packet.h"

/// Theory of operation. The index leads from a key's hash to a record number. A bucket is one cache line of
/// twelve slots; one byte of the hash per slot (the tag) is compared first, twelve at once, then seven more
/// bits beside the record number, and only then is a record touched. A full bucket chains to an overflow
/// bucket: at the design load (two keys a flow, 8 slots of 12 in use when the table is full) one key in
/// seventy lies there. A slot that becomes free takes a key from the end of the chain, so that no more
/// overflow buckets are in use than the keys need, however long flows come and go.
namespace sluice::dp {

struct alignas(kCacheLine) FlowBucket {
  static constexpr unsigned kSlots = 12;
  std::array<std::uint8_t, kSlots> tags;  ///< 0: free
  std::uint32_t overflow;                 ///< overflow bucket number + 1; 0: none
  std::array<std::uint32_t, kSlots> slots;
};
static_assert(sizeof(FlowBucket) == kCacheLine && std::is_trivially_copyable_v<FlowBucket>);

/// The slots whose tag equals `tag`, as a bit set (tag 0: the free ones).
/// Two words instead of a vector unit: the same code on every CPU.
[[nodiscard]] inline std::uint32_t matching_slots(const FlowBucket& bucket, std::uint8_t tag) noexcept {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint64_t kOnes = 0x0101010101010101U;
  constexpr std::uint64_t kLows = 0x7f7f7f7f7f7f7f7fU;
  std::uint64_t low = 0;
  std::uint32_t high = 0;
  std::memcpy(&low, bucket.tags.data(), 8);
  std::memcpy(&high, bucket.tags.data() + 8, 4);
  const auto equal = [tag](std::uint64_t tags) {
    const std::uint64_t x = tags ^ (kOnes * tag);
    const std::uint64_t zero_bytes = ~(((x & kLows) + kLows) | x | kLows);  // 0x80 in each byte that is zero
    return static_cast<std::uint32_t>(((zero_bytes >> 7) * 0x0102040810204080U) >> 56);
  };
  return equal(low) | (equal(high) & 0xfU) << 8;
}

/// Maps hashes to (record, direction). Single writer, no locks; memory is the caller's.
class FlowIndex {
 public:
  static constexpr std::uint32_t kMaxRecords = 1U << 24;

  /// Buckets for `records` records of two keys each, and overflow buckets behind them.
  [[nodiscard]] static constexpr std::uint32_t main_buckets(std::uint32_t records) noexcept {
    return static_cast<std::uint32_t>(std::uint64_t{records} * 2 / 8 + 1);
  }
  [[nodiscard]] static constexpr std::uint32_t overflow_buckets(std::uint32_t records) noexcept {
    return main_buckets(records) / 10 + 16;
  }

  FlowIndex() noexcept = default;
  /// `buckets`: main and overflow buckets for `records`, zeroed.
  FlowIndex(std::span<FlowBucket> buckets, std::uint32_t records) noexcept
      : main_(buckets.first(main_buckets(records))), overflow_(buckets.subspan(main_.size())) {
    for (std::uint32_t i = 0; i < overflow_.size(); ++i) overflow_[i].overflow = i + 2;
    overflow_.back().overflow = 0;
    free_overflow_ = 1;
  }

  void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(&bucket_of(hash)); }

  /// The first record that may be the one, for prefetching; kNoFlow when there surely is none in the main
  /// bucket.
  [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const noexcept {
    const FlowBucket& bucket = bucket_of(hash);
    const std::uint32_t matches = matching_slots(bucket, tag_of(hash));
    return matches == 0 ? kNoFlow : record_of(bucket.slots[static_cast<unsigned>(std::countr_zero(matches))]);
  }

  /// Calls matches(record, direction) for every slot that may be the one until it says true. Returns that
  /// record.
  template <typename Matches>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Matches&& matches) const noexcept {
    const FlowBucket* bucket = &bucket_of(hash);
    const std::uint8_t tag = tag_of(hash);
    const std::uint32_t extra = extra_of(hash);
    for (;;) {
      for (std::uint32_t m = matching_slots(*bucket, tag); m != 0; m &= m - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(m));
        const std::uint32_t slot = bucket->slots[i];
        if ((slot & kExtraMask) != extra) continue;
        if (matches(record_of(slot), direction_of(slot))) return record_of(slot);
      }
      if (bucket->overflow == 0) return kNoFlow;
      bucket = &overflow_[bucket->overflow - 1];
    }
  }

  /// False when the bucket and all overflow buckets are full. Does not look for duplicates.
  [[nodiscard]] bool insert(std::uint64_t hash, std::uint32_t record, Direction direction) noexcept {
    FlowBucket* bucket = &bucket_of(hash);
    for (;;) {
      const std::uint32_t free = matching_slots(*bucket, 0);
      if (free != 0) {
        const auto i = static_cast<unsigned>(std::countr_zero(free));
        bucket->tags[i] = tag_of(hash);
        bucket->slots[i] = slot_of(hash, record, direction);
        return true;
      }
      if (bucket->overflow == 0) {
        if (free_overflow_ == 0) return false;
        bucket->overflow = free_overflow_;
        FlowBucket& fresh = overflow_[free_overflow_ - 1];
        free_overflow_ = fresh.overflow;
        fresh = FlowBucket{};
      }
      bucket = &overflow_[bucket->overflow - 1];
    }
  }

  /// Pre: (hash, record, direction) was inserted.
  void erase(std::uint64_t hash, std::uint32_t record, Direction direction) noexcept {
    const std::uint32_t wanted = slot_of(hash, record, direction);
    std::uint32_t* link = nullptr;  // to `bucket`
    FlowBucket* bucket = &bucket_of(hash);
    for (;;) {
      for (unsigned i = 0; i < FlowBucket::kSlots; ++i) {
        if (bucket->tags[i] == 0 || bucket->slots[i] != wanted) continue;
        bucket->tags[i] = 0;
        fill(*bucket, i, link);
        return;
      }
      if (bucket->overflow == 0) return;
      link = &bucket->overflow;
      bucket = &overflow_[bucket->overflow - 1];
    }
  }

 private:
  /// Moves a key of the last bucket in the chain into slot `i` of `bucket`, which has become free, and gives
  /// the last bucket back when nothing is left in it. `link` leads to `bucket`; null: it is a main bucket.
  void fill(FlowBucket& bucket, unsigned i, std::uint32_t* link) noexcept {
    FlowBucket* last = &bucket;
    while (last->overflow != 0) {
      link = &last->overflow;
      last = &overflow_[*link - 1];
    }
    if (link == nullptr) return;
    if (last != &bucket) {
      const auto from = static_cast<unsigned>(std::countr_zero(~matching_slots(*last, 0) & kAllSlots));
      bucket.tags[i] = std::exchange(last->tags[from], std::uint8_t{0});
      bucket.slots[i] = last->slots[from];
    }
    if (matching_slots(*last, 0) != kAllSlots) return;
    last->overflow = free_overflow_;
    free_overflow_ = std::exchange(*link, 0U);
  }

  static constexpr std::uint32_t kRecordMask = kMaxRecords - 1;
  static constexpr std::uint32_t kDirectionBit = 1U << 24;
  static constexpr std::uint32_t kExtraMask = 0xfe00'0000;
  static constexpr std::uint32_t kAllSlots = (1U << FlowBucket::kSlots) - 1;

  [[nodiscard]] static constexpr std::uint8_t tag_of(std::uint64_t hash) noexcept {
    const auto tag = static_cast<std::uint8_t>(hash >> 32);
    return tag == 0 ? 1 : tag;
  }
  [[nodiscard]] static constexpr std::uint32_t extra_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 40) << 25;
  }
  [[nodiscard]] static constexpr std::uint32_t slot_of(std::uint64_t hash, std::uint32_t record,
                                                       Direction direction) noexcept {
    return extra_of(hash) | (direction == Direction::to_client ? kDirectionBit : 0) | record;
  }
  [[nodiscard]] static constexpr std::uint32_t record_of(std::uint32_t slot) noexcept {
    return slot & kRecordMask;
  }
  [[nodiscard]] static constexpr Direction direction_of(std::uint32_t slot) noexcept {
    return (slot & kDirectionBit) != 0 ? Direction::to_client : Direction::to_server;
  }
  [[nodiscard]] FlowBucket& bucket_of(std::uint64_t hash) const noexcept {
    return main_[(std::uint64_t{static_cast<std::uint32_t>(hash)} * main_.size()) >> 32];
  }

  std::span<FlowBucket> main_, overflow_;
  std::uint32_t free_overflow_ = 0;  ///< number + 1 of the first free overflow bucket; linked by `overflow`
};

}  // namespace sluice::dp
