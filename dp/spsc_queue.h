#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "dp/packet.h"

namespace sluice::dp {

/// Bounded queue from one thread to one other; for small values that workers tell the control thread.
template <typename T, std::uint32_t kCapacity>
requires(std::is_trivially_copyable_v<T>&& std::has_single_bit(kCapacity)) class SpscQueue {
 public:
  /// Thread: the producer. False when full.
  bool push(const T& value) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == kCapacity) return false;
    slots_[tail % kCapacity] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// Thread: the consumer.
  std::optional<T> pop() noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return std::nullopt;
    const T value = slots_[head % kCapacity];
    head_.store(head + 1, std::memory_order_release);
    return value;
  }

 private:
  alignas(kCacheLine) std::atomic<std::uint32_t> head_{0};  // written by the consumer
  alignas(kCacheLine) std::atomic<std::uint32_t> tail_{0};  // written by the producer
  alignas(kCacheLine) std::array<T, kCapacity> slots_{};
};

}  // namespace sluice::dp
