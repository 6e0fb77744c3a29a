#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace sluice::base {

/// Bounded queue from one thread to one other, without locks or allocation: values are moved in and out, and
/// an empty place holds T{}. (dp's workers have a queue of their own for trivially copyable values.)
template <typename T, std::uint32_t kCapacity>
requires(std::is_nothrow_default_constructible_v<T>&& std::is_nothrow_move_assignable_v<T>&&
             std::has_single_bit(kCapacity)) class SpscRing {
 public:
  SpscRing() = default;
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  /// Thread: the producer. False when it is full; `value` is then untouched.
  [[nodiscard]] bool push(T&& value) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == kCapacity) return false;
    places_[tail % kCapacity] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// Thread: the consumer.
  [[nodiscard]] std::optional<T> pop() noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return std::nullopt;
    std::optional<T> value{std::exchange(places_[head % kCapacity], T{})};
    head_.store(head + 1, std::memory_order_release);
    return value;
  }
  [[nodiscard]] static constexpr std::uint32_t capacity() noexcept { return kCapacity; }

 private:
  static constexpr std::size_t kCacheLine = 64;
  alignas(kCacheLine) std::atomic<std::uint32_t> head_{0};  ///< written by the consumer
  alignas(kCacheLine) std::atomic<std::uint32_t> tail_{0};  ///< written by the producer
  alignas(kCacheLine) std::array<T, kCapacity> places_{};
};

}  // namespace sluice::base
