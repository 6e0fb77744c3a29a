#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::dp {

/// How an IPv4 packet is cut into fragments for a link of smaller MTU; a fragment may be cut further. Moves
/// no payload: tells what goes where, and makes the headers. Options that do not belong into later fragments
/// are blotted out there. Source: RFC 791 §3.1 (options), §3.2. Thread: any.
class Ipv4Split {
 public:
  /// More would make a small frame into a flood.
  static constexpr std::uint32_t kMaxPieces = 64;

  /// `packet` begins with its IP header, which is whole and right; what follows may be missing. `mtu`: bytes.
  /// Pre: the header lets it be fragmented.
  Ipv4Split(std::span<const std::byte> packet, std::uint32_t mtu) noexcept;

  /// False: it would be more than kMaxPieces, or the MTU holds none. Nothing else may be asked then.
  [[nodiscard]] explicit operator bool() const noexcept { return pieces_ != 0; }
  [[nodiscard]] std::uint32_t pieces() const noexcept { return pieces_; }
  /// Of each piece, options included.
  [[nodiscard]] std::size_t header_length() const noexcept { return header_; }
  /// What of the packet's payload is in a piece, counted from the end of the header.
  [[nodiscard]] std::size_t offset(std::uint32_t piece) const noexcept { return piece * std::size_t{each_}; }
  [[nodiscard]] std::size_t length(std::uint32_t piece) const noexcept {
    return piece + 1 < pieces_ ? each_ : payload_ - offset(piece);
  }
  /// Makes the header of a piece out of the packet's, which `header` is a copy of.
  void adapt(std::uint32_t piece, std::span<std::byte> header) const noexcept;

 private:
  std::uint32_t header_, payload_, each_, pieces_;
};

}  // namespace sluice::dp
