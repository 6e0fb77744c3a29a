#pragma once

#include <atomic>
#include <cstdint>

#include "vrrp/virtual_router.h"

namespace sluice::vrrp {

/// What the speaker wants of the kernel for one instance: whether the addresses are to be there, and how
/// often they were to be announced. It is the whole, not a step towards it: who looks late sees the newest
/// order, and no order is ever lost. One word; written by the speaker, read by the kernel side.
class Orders {
 public:
  struct View {
    bool decided = false;  ///< the speaker has judged; before that nothing is to be touched
    bool hold = false;
    std::uint16_t full = 0, refresh = 0, lower_priority = 0;  ///< bursts ordered so far, modulo 2^16
  };

  /// Thread: the speaker.
  void hold(bool held) noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    word_.store((word & ~kHold) | (held ? kHold : 0), std::memory_order_release);
  }
  /// Thread: the speaker.
  void decided() noexcept {
    word_.store(word_.load(std::memory_order_relaxed) | kDecided, std::memory_order_release);
  }
  /// Thread: the speaker.
  void announce(Effect::Burst burst) noexcept {
    const unsigned shift = shift_of(burst);
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    const std::uint64_t count = ((word >> shift) + 1) & kCount;
    word_.store((word & ~(kCount << shift)) | (count << shift), std::memory_order_release);
  }
  /// Thread: any.
  [[nodiscard]] View view() const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    const auto count = [word](Effect::Burst burst) {
      return static_cast<std::uint16_t>((word >> shift_of(burst)) & kCount);
    };
    return {(word & kDecided) != 0, (word & kHold) != 0, count(Effect::Burst::full),
            count(Effect::Burst::refresh), count(Effect::Burst::lower_priority)};
  }

 private:
  static constexpr std::uint64_t kHold = 1, kDecided = 2;
  static constexpr std::uint64_t kCount = 0xffff;
  static constexpr unsigned shift_of(Effect::Burst burst) noexcept {
    return 16 * (static_cast<unsigned>(burst) + 1);
  }
  std::atomic<std::uint64_t> word_{0};
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

}  // namespace sluice::vrrp
