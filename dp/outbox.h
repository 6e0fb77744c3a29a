#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::dp {

/// A frame that a worker makes of its own accord, link header and all, and the port that it leaves by.
struct OwnFrame {
  /// Link header with two tags, IPv6 and TCP header: 82 bytes.
  static constexpr std::size_t kRoom = 96;

  std::uint16_t port = 0;
  std::uint16_t length = 0;
  std::array<std::byte, kRoom> bytes{};
};

/// Frames that a worker makes itself, not out of one that came in: the stages put them here, the worker sends
/// them at the end of the round. Bounded; who finds it full tries again in a later round. First in, first
/// out. Thread: its worker.
class Outbox {
 public:
  static constexpr std::uint32_t kCapacity = 256;

  [[nodiscard]] bool has_room(std::uint32_t frames = 1) const noexcept {
    return kCapacity - size() >= frames;
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return tail_ - head_; }

  /// The place of the next frame, for the caller to fill. Pre: has_room().
  [[nodiscard]] OwnFrame& append() noexcept { return frames_[tail_++ % kCapacity]; }
  /// The frame that has waited for longest. Pre: size() != 0.
  [[nodiscard]] const OwnFrame& front() const noexcept { return frames_[head_ % kCapacity]; }
  void pop() noexcept { ++head_; }

 private:
  std::array<OwnFrame, kCapacity> frames_;
  std::uint32_t head_ = 0, tail_ = 0;  ///< count on without end; their distance is the size
};

}  // namespace sluice::dp
