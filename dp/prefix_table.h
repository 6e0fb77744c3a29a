#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/address.h"

namespace sluice::dp {

/// Leading bits of an address as host-order integers, so that masks and hashes are arithmetic.
template <base::Family F>
struct AddressBits;

template <>
struct AddressBits<base::Family::v4> {
  static constexpr unsigned kWidth = 32;
  std::uint32_t word = 0;

  static constexpr AddressBits of(const base::Ipv4& address) noexcept { return {address.value.host()}; }
  [[nodiscard]] constexpr base::Ipv4 address() const noexcept { return base::Ipv4::from_host(word); }
  /// The mask of a prefix of `length` (1..32) bits.
  static constexpr AddressBits mask(unsigned length) noexcept {
    return {length == 0 ? 0 : ~std::uint32_t{0} << (kWidth - length)};
  }
  [[nodiscard]] constexpr AddressBits operator&(const AddressBits& other) const noexcept {
    return {word & other.word};
  }
  [[nodiscard]] constexpr std::uint8_t ones() const noexcept {
    return static_cast<std::uint8_t>(std::popcount(word));
  }
  /// Well mixed in the high bits.
  [[nodiscard]] constexpr std::uint64_t hash() const noexcept {
    return (word ^ (word >> 15)) * 0x9e3779b97f4a7c15ULL;
  }
  friend constexpr bool operator==(const AddressBits&, const AddressBits&) noexcept = default;
};

template <>
struct AddressBits<base::Family::v6> {
  static constexpr unsigned kWidth = 128;
  std::uint64_t high = 0, low = 0;

  static constexpr AddressBits of(const base::Ipv6& address) noexcept {
    const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(address.bytes);
    if constexpr (std::endian::native == std::endian::big) return {words[0], words[1]};
    return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
  }
  [[nodiscard]] constexpr base::Ipv6 address() const noexcept {
    std::array<std::uint64_t, 2> words{high, low};
    if constexpr (std::endian::native == std::endian::little)
      words = {__builtin_bswap64(high), __builtin_bswap64(low)};
    return std::bit_cast<base::Ipv6>(words);
  }
  static constexpr AddressBits mask(unsigned length) noexcept {
    constexpr std::uint64_t kOnes = ~std::uint64_t{0};
    if (length == 0) return {};
    if (length <= 64) return {kOnes << (64 - length), 0};
    return {kOnes, kOnes << (kWidth - length)};
  }
  [[nodiscard]] constexpr AddressBits operator&(const AddressBits& other) const noexcept {
    return {high & other.high, low & other.low};
  }
  [[nodiscard]] constexpr std::uint8_t ones() const noexcept {
    return static_cast<std::uint8_t>(std::popcount(high) + std::popcount(low));
  }
  [[nodiscard]] constexpr std::uint64_t hash() const noexcept {
    const std::uint64_t mixed = (high * 0x9e3779b97f4a7c15ULL) ^ std::rotl(low * 0xc2b2ae3d27d4eb4fULL, 29);
    return (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93ULL;
  }
  friend constexpr bool operator==(const AddressBits&, const AddressBits&) noexcept = default;
};

/// Longest prefix match, immutable once built.
///
/// Theory of operation: one open-addressed hash table for each prefix length that is present, all in one
/// array, probed from the longest to the shortest; that of length 0 needs no probe at all. A host with a
/// handful of routes has two or three lengths; a full Internet table has some two dozen. Values are few
/// (gateways; let in or kept out), so a slot holds the prefix and a number; a million IPv4 prefixes take some
/// 25 MB. rte_fib would need the EAL, which packet tests and `sluice replay` do without, and for each table
/// an array of 2^24 entries: a service with one network has one of 16 bytes here.
///
/// Thread: any number of readers. lookup() neither allocates nor locks.
template <base::Family F, typename Value>
class PrefixTable {
 public:
  struct Entry {
    base::Address<F> address;  ///< bits beyond `length` are ignored
    std::uint8_t length = 0;
    Value value;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// Without prefixes.
  PrefixTable() = default;

  /// Of two entries with the same prefix the first counts. Pre: lengths are within the family's width.
  explicit PrefixTable(std::span<const Entry> entries) {
    std::array<std::size_t, Bits::kWidth + 1> count{};
    for (const Entry& entry : entries) ++count[entry.length];
    std::array<const Level*, Bits::kWidth + 1> level_of{};
    levels_.reserve(Bits::kWidth);
    std::size_t slots = 0;
    for (unsigned length = Bits::kWidth; length > 0; --length) {
      if (count[length] == 0) continue;
      const std::size_t capacity =
          std::bit_ceil(count[length] * 2);  // at most half full, and at least two slots
      const auto log2 = static_cast<unsigned>(std::countr_zero(capacity));
      level_of[length] = &levels_.emplace_back(Level{Bits::mask(length), slots, capacity - 1, 64 - log2});
      slots += capacity;
    }
    slots_.resize(slots);
    std::map<Value, std::uint32_t> numbers;
    for (const Entry& entry : entries) {
      const auto [known, fresh] =
          numbers.try_emplace(entry.value, static_cast<std::uint32_t>(values_.size() + 1));
      if (fresh) values_.push_back(entry.value);
      if (entry.length == 0) {
        if (default_ == 0) default_ = known->second;
        continue;
      }
      const Level& level = *level_of[entry.length];
      const Bits key = Bits::of(entry.address) & level.mask;
      Slot& slot = slots_[find(level, key)];
      if (slot.number == 0) slot = {key, known->second};
    }
  }

  /// The value of the longest prefix that holds `address`; null when none does.
  [[nodiscard]] const Value* lookup(const base::Address<F>& address) const noexcept {
    const Bits bits = Bits::of(address);
    for (const Level& level : levels_) {
      const Slot& slot = slots_[find(level, bits & level.mask)];
      if (slot.number != 0) return &values_[slot.number - 1];
    }
    return default_ == 0 ? nullptr : &values_[default_ - 1];
  }

  /// The length of the longest prefix that holds `address`; 0 when none but that of length 0 does.
  [[nodiscard]] std::uint8_t length_of(const base::Address<F>& address) const noexcept {
    const Bits bits = Bits::of(address);
    for (const Level& level : levels_) {
      if (slots_[find(level, bits & level.mask)].number != 0) return level.mask.ones();
    }
    return 0;
  }

  /// Distinct prefix lengths present, 0 not counted: the most probes that a lookup takes.
  [[nodiscard]] std::size_t levels() const noexcept { return levels_.size(); }
  [[nodiscard]] bool empty() const noexcept { return levels_.empty() && default_ == 0; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return slots_.size() * sizeof(Slot) + levels_.size() * sizeof(Level) + values_.size() * sizeof(Value);
  }

 private:
  using Bits = AddressBits<F>;
  struct Slot {
    Bits key;
    std::uint32_t number = 0;  ///< of the value, from 1; 0: the slot is free
  };
  struct Level {
    Bits mask;
    std::size_t first;  ///< its slots begin here
    std::size_t last;   ///< number of its slots less one
    unsigned shift;     ///< takes the hash to a slot
  };

  /// Index of the slot that holds `key`, or of the free slot where it would be. Ends, for no level is full.
  [[nodiscard]] std::size_t find(const Level& level, const Bits& key) const noexcept {
    std::size_t at = key.hash() >> level.shift;
    while (true) {
      const Slot& slot = slots_[level.first + at];
      if (slot.number == 0 || slot.key == key) return level.first + at;
      at = (at + 1) & level.last;
    }
  }

  std::vector<Level> levels_;  // longest first
  std::vector<Slot> slots_;
  std::vector<Value> values_;  // each once
  std::uint32_t default_ = 0;  // number of the value of length 0; 0: none
};

}  // namespace sluice::dp
