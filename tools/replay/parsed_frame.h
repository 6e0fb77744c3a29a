#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dp/parse.h"

namespace sluice::replay {

/// A frame of a capture as dp/parse.h reads it. `wire_length`: of the whole frame, where the capture has kept
/// but its beginning.
struct ParsedFrame {
  ParsedFrame(std::span<const std::byte> frame, std::size_t wire_length) : bytes(frame.begin(), frame.end()) {
    packet.bytes = bytes;
    packet.frame_length = static_cast<std::uint32_t>(std::max(bytes.size(), wire_length));
    dp::parse(packet);
  }
  ParsedFrame(const ParsedFrame&) = delete;
  ParsedFrame& operator=(const ParsedFrame&) = delete;

  [[nodiscard]] const dp::Meta& meta() const noexcept { return packet.meta; }
  /// The header at `offset`; null when it does not fit.
  template <typename T>
  [[nodiscard]] const T* at(std::size_t offset) const noexcept {
    return base::at<T>(std::span<const std::byte>(bytes), offset);
  }

  std::vector<std::byte> bytes;
  dp::Packet packet;
};

}  // namespace sluice::replay
