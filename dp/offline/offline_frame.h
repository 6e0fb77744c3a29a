#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "dp/ipv4_split.h"
#include "dp/packet.h"

namespace sluice::dp {

/// A frame without EAL: in a buffer of exactly its size and headroom, so that a sanitizer sees every step
/// beyond it.
class OfflineFrame {
 public:
  static constexpr std::uint16_t kHeadroom = 128;  ///< DPDK's default
  static constexpr std::size_t kOneSegment = std::numeric_limits<std::size_t>::max();

  /// `first_segment`: bytes that the stages get to see. `wire_length`: of the frame, where `bytes` is only
  /// its beginning.
  OfflineFrame(std::span<const std::byte> bytes, std::uint16_t in_port,
               std::size_t first_segment = kOneSegment, std::size_t wire_length = 0)
      : original_(bytes.begin(), bytes.end()),
        buffer_(kHeadroom + std::min(first_segment, bytes.size())),
        rest_(original_.begin() + static_cast<std::ptrdiff_t>(buffer_.size() - kHeadroom), original_.end()),
        wire_length_(static_cast<std::uint32_t>(std::max(wire_length, bytes.size()))),
        in_port_(in_port) {}

  /// The frame as it comes in; takes the place of what an earlier one made of it.
  [[nodiscard]] Packet packet() {
    std::copy_n(original_.begin(), buffer_.size() - kHeadroom, buffer_.begin() + kHeadroom);
    Packet p;
    p.bytes = std::span(buffer_).subspan(kHeadroom);
    p.frame_length = wire_length_;
    p.headroom = kHeadroom;
    p.in_port = in_port_;
    return p;
  }
  /// What the stages have made of it, as far as its bytes are known. Pre: `p` comes from packet().
  [[nodiscard]] std::vector<std::byte> bytes_of(const Packet& p) const {
    std::vector<std::byte> out(p.bytes.begin(), p.bytes.end());
    out.insert(out.end(), rest_.begin(), rest_.end());
    if (out.size() > p.frame_length) out.resize(p.frame_length);
    return out;
  }
  /// The frames that leave of it: one, or its fragments. `link_header`: bytes of the next hop's.
  [[nodiscard]] std::vector<std::vector<std::byte>> frames_of(const Packet& p,
                                                              std::size_t link_header) const {
    const std::vector<std::byte> whole = bytes_of(p);
    if (p.meta.split_mtu == 0) return {whole};
    const Ipv4Split split(std::span<const std::byte>(whole).subspan(link_header), p.meta.split_mtu);
    const std::size_t head = link_header + split.header_length();
    std::vector<std::vector<std::byte>> frames;
    for (std::uint32_t n = 0; n < split.pieces(); ++n) {
      // Of a frame of which only the beginning is known, so are its fragments.
      const std::size_t from = std::min(head + split.offset(n), whole.size());
      const std::size_t to = std::min(from + split.length(n), whole.size());
      auto& frame = frames.emplace_back(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(head));
      split.adapt(n, std::span<std::byte>(frame).subspan(link_header));
      frame.insert(frame.end(), whole.begin() + static_cast<std::ptrdiff_t>(from),
                   whole.begin() + static_cast<std::ptrdiff_t>(to));
    }
    return frames;
  }
  [[nodiscard]] const std::vector<std::byte>& original() const noexcept { return original_; }
  [[nodiscard]] std::uint16_t in_port() const noexcept { return in_port_; }

 private:
  std::vector<std::byte> original_, buffer_, rest_;
  std::uint32_t wire_length_;
  std::uint16_t in_port_;
};

}  // namespace sluice::dp
