#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/clock.h"
#include "dp/flow/flow.h"

namespace sluice::dp {

/// Which flows are to be looked at when: slots of 128 ms, one turn 131 s. A packet only stores "last seen";
/// the flow is moved on when its slot comes up. A time beyond one turn hangs in the farthest slot and is
/// moved on from there. Slots are counted from the last one served, not from now: however far serving lags
/// behind, a flow that is moved on never lands in the slot that it came from. Within a slot flows stand in
/// the order in which they came. Links live in FlowDetail, so nothing is allocated. Thread: its worker.
class TimerWheel {
 public:
  static constexpr std::uint32_t kSlots = 1024;
  static constexpr std::uint32_t kSlotMs = 128;

  explicit TimerWheel(base::Tick now) noexcept : served_{now.ms - now.ms % kSlotMs} {
    heads_.fill(kNoFlow);
    tails_.fill(kNoFlow);
  }

  /// Pre: `flow` hangs in no wheel.
  void add(FlowDetail* details, std::uint32_t flow, base::Tick now, base::Tick due) noexcept {
    const std::int32_t wait = due - now;
    const std::uint32_t slots = wait <= 0 ? 1 : static_cast<std::uint32_t>(wait) / kSlotMs + 1;
    const std::uint32_t ahead = ((now + slots * kSlotMs).ms - served_.ms) / kSlotMs;
    const std::uint16_t slot = slot_of(served_ + (ahead < kSlots - 1 ? ahead : kSlots - 1) * kSlotMs);
    FlowDetail& detail = details[flow];
    detail.wheel_slot = slot;
    detail.prev = tails_[slot];
    detail.next = kNoFlow;
    (detail.prev != kNoFlow ? details[detail.prev].next : heads_[slot]) = flow;
    tails_[slot] = flow;
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    ++size_;
  }

  /// Pre: `flow` hangs in this wheel.
  void remove(FlowDetail* details, std::uint32_t flow) noexcept {
    FlowDetail& detail = details[flow];
    if (detail.prev != kNoFlow) {
      details[detail.prev].next = detail.next;
    } else {
      heads_[detail.wheel_slot] = detail.next;
      if (detail.next == kNoFlow)
        occupied_[detail.wheel_slot / 64] &= ~(std::uint64_t{1} << (detail.wheel_slot % 64));
    }
    (detail.next != kNoFlow ? details[detail.next].prev : tails_[detail.wheel_slot]) = detail.prev;
    detail.next = detail.prev = kNoFlow;
    --size_;
  }

  /// A flow whose slot has come up, or kNoFlow. The caller removes it, or removes and adds it anew.
  [[nodiscard]] std::uint32_t due(base::Tick now) noexcept {
    while (now - served_ >= static_cast<std::int32_t>(kSlotMs)) {
      const base::Tick next = served_ + kSlotMs;
      const std::uint32_t head = heads_[slot_of(next)];
      if (head != kNoFlow) return head;
      served_ = next;
    }
    return kNoFlow;
  }

  /// The flow that came first of those in the slot that comes up soonest, or kNoFlow when the wheel is empty.
  [[nodiscard]] std::uint32_t soonest() const noexcept {
    if (size_ == 0) return kNoFlow;
    const std::uint32_t start = slot_of(served_ + kSlotMs);
    std::uint32_t word = start / 64;
    std::uint64_t bits = occupied_[word] & (~std::uint64_t{0} << (start % 64));
    for (std::uint32_t i = 0; i <= kSlots / 64; ++i) {
      if (bits != 0) return heads_[word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits))];
      word = (word + 1) % (kSlots / 64);
      bits = occupied_[word];
    }
    return kNoFlow;
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

 private:
  /// 2^32 ms are a whole number of turns: the slots go on without a seam when the tick wraps.
  [[nodiscard]] static constexpr std::uint16_t slot_of(base::Tick t) noexcept {
    return static_cast<std::uint16_t>(t.ms / kSlotMs % kSlots);
  }

  base::Tick served_;  ///< start of the last slot served
  std::uint32_t size_ = 0;
  std::array<std::uint64_t, kSlots / 64> occupied_{};
  std::array<std::uint32_t, kSlots> heads_, tails_;
};

}  // namespace sluice::dp
