#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::test {

/// Where a fuzz test's decisions come from.
class Choices {
 public:
  virtual ~Choices() = default;
  /// 0 .. n - 1; of n = 0: 0.
  virtual std::uint32_t below(std::uint32_t n) = 0;
  /// Any number.
  virtual std::uint64_t next() = 0;
  bool one_in(std::uint32_t n) { return below(n) == n - 1; }
};

/// Seeded numbers: xorshift64* (Vigna 2016).
class Dice final : public Choices {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed | 1) {}
  std::uint64_t next() override {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dU;
  }
  std::uint32_t below(std::uint32_t n) override {
    return static_cast<std::uint32_t>((next() >> 32) * n >> 32);
  }

 private:
  std::uint64_t state_;
};

/// Decisions that stand in an input, byte after byte; where it is at its end, zeros follow, so that 0 is to
/// mean what is ordinary. Tests of many steps may have it in records of equal size, one for each step: an
/// input with a record more, less or changed is still the same sequence in all other steps.
class InputChoices final : public Choices {
 public:
  static constexpr std::size_t kRecord = 48;

  explicit InputChoices(std::span<const std::uint8_t> input) : record_(input) {}
  /// At the first record, which there need not be.
  static InputChoices of_records(std::span<const std::uint8_t> input) {
    InputChoices choices({});
    choices.rest_ = input;
    (void)choices.begin_record();
    return choices;
  }
  /// Goes to the next record; false: there is none.
  bool begin_record() {
    record_ = rest_.first(std::min(kRecord, rest_.size()));
    rest_ = rest_.subspan(record_.size());
    return !record_.empty();
  }
  /// Nothing is left of the record, or of the input where there are none.
  [[nodiscard]] bool spent() const { return record_.empty(); }
  std::uint32_t below(std::uint32_t n) override {
    if (n <= 1) return 0;
    return static_cast<std::uint32_t>(take(n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4) % n);
  }
  std::uint64_t next() override { return take(8); }

 private:
  std::uint64_t take(std::size_t bytes) {
    std::uint64_t value = 0;
    for (; bytes > 0 && !record_.empty(); --bytes, record_ = record_.subspan(1)) {
      value = value << 8 | record_.front();
    }
    return value;
  }

  std::span<const std::uint8_t> record_, rest_;
};

}  // namespace sluice::test
