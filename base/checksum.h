#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/headers.h"

/// The Internet checksum (RFC 1071) and its incremental update (RFC 1624). All 16-bit values here are *raw*:
/// read from memory as native integers. The sum is byte-order independent (RFC 1071 §2 (B)), so nothing is
/// swapped.
namespace sluice::base {

/// Ones'-complement sum of `bytes` (an odd last byte is padded with zero), added to `initial`; not folded.
/// Source: RFC 1071 §4.1. Thread: any.
[[nodiscard]] std::uint64_t sum_bytes(std::span<const std::byte> bytes, std::uint64_t initial = 0) noexcept;

/// Folds a sum to 16 bits.
[[nodiscard]] constexpr std::uint16_t fold(std::uint64_t sum) noexcept {
  sum = (sum & 0xffffffffU) + (sum >> 32);
  sum = (sum & 0xffffffffU) + (sum >> 32);
  sum = (sum & 0xffffU) + (sum >> 16);
  sum = (sum & 0xffffU) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// Sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1), for fold() or as `initial` of sum_bytes().
/// `length`: bytes of L4 header and data, host order.
[[nodiscard]] std::uint64_t pseudo_header_sum(Ipv4 src, Ipv4 dst, IpProto proto,
                                              std::uint32_t length) noexcept;
[[nodiscard]] std::uint64_t pseudo_header_sum(const Ipv6& src, const Ipv6& dst, IpProto proto,
                                              std::uint32_t length) noexcept;

/// Checksum field value of an IPv4 header (its own field is counted as it stands: zero it first).
[[nodiscard]] Be16 ipv4_checksum(std::span<const std::byte> header) noexcept;

/// Checksum field value of an L4 segment whose own field is zero. A UDP result of 0 is returned as 0xffff
/// (RFC 768).
template <typename Addr>
[[nodiscard]] Be16 l4_checksum(const Addr& src, const Addr& dst, IpProto proto,
                               std::span<const std::byte> segment) noexcept {
  const auto length = static_cast<std::uint32_t>(segment.size());
  const auto sum =
      static_cast<std::uint16_t>(~fold(sum_bytes(segment, pseudo_header_sum(src, dst, proto, length))));
  return Be16::from_raw(sum == 0 && proto == IpProto::udp ? 0xffff : sum);
}

/// What a rewrite adds to a checksum: the folded sum of ~m + m' over all changed 16-bit words (RFC 1624 §3
/// eqn 3). Deltas add up; the delta of the reverse rewrite is the complement.
class ChecksumDelta {
 public:
  constexpr ChecksumDelta() noexcept = default;
  [[nodiscard]] static constexpr ChecksumDelta from_folded(std::uint16_t folded) noexcept {
    ChecksumDelta d;
    d.sum_ = folded;
    return d;
  }

  constexpr void replace(Be16 from, Be16 to) noexcept {
    sum_ += static_cast<std::uint16_t>(~from.raw());
    sum_ += to.raw();
  }
  constexpr void replace(Be32 from, Be32 to) noexcept {
    sum_ += static_cast<std::uint32_t>(~from.raw());
    sum_ += to.raw();
  }
  constexpr void replace(Ipv4 from, Ipv4 to) noexcept { replace(from.value, to.value); }
  void replace(const Ipv6& from, const Ipv6& to) noexcept;
  constexpr void add(ChecksumDelta other) noexcept { sum_ += other.sum_; }

  [[nodiscard]] constexpr std::uint16_t folded() const noexcept { return fold(sum_); }
  /// The delta that undoes this one.
  [[nodiscard]] constexpr ChecksumDelta inverse() const noexcept {
    return from_folded(static_cast<std::uint16_t>(~folded()));
  }

 private:
  std::uint64_t sum_ = 0;
};

/// HC' = ~(~HC + delta) (RFC 1624 §3 eqn 3). For IPv4, TCP, ICMP and ICMPv6 headers.
[[nodiscard]] constexpr Be16 update_checksum(Be16 checksum, ChecksumDelta delta) noexcept {
  const std::uint32_t sum = static_cast<std::uint16_t>(~checksum.raw()) + std::uint32_t{delta.folded()};
  return Be16::from_raw(static_cast<std::uint16_t>(~((sum & 0xffffU) + (sum >> 16))));
}

/// The same for UDP: 0 means "no checksum" and stays 0; a result of 0 is sent as 0xffff (RFC 768).
[[nodiscard]] constexpr Be16 update_udp_checksum(Be16 checksum, ChecksumDelta delta) noexcept {
  if (checksum.raw() == 0) return checksum;
  const Be16 updated = update_checksum(checksum, delta);
  return updated.raw() == 0 ? Be16::from_raw(0xffff) : updated;
}

}  // namespace sluice::base
