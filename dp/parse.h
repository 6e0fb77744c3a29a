#pragma once

#include "dp/packet.h"

namespace sluice::dp {

/// IPv6 extension headers followed at most; more is DropReason::too_many_headers.
inline constexpr unsigned kMaxExtensionHeaders = 8;
/// 802.1Q / 802.1ad tags followed at most; a frame with more is the kernel's.
inline constexpr unsigned kMaxVlanTags = 2;

/// Finds the L3 and L4 headers of a frame and fills the parse part of `packet.meta`. Never changes the
/// verdict: what is malformed is noted in `meta.problem`, since only classify() knows whether the packet
/// concerns us at all. Lengths come from the IP header, never from the frame, which may carry padding.
/// Source: RFC 791 §3.1, RFC 8200 §4, RFC 9293 §3.1, RFC 768. Thread: any. Reads only `packet.bytes`.
void parse(Packet& packet) noexcept;

/// Where an IP packet's L4 header is; used for the outer packet and for the one that an ICMP error quotes.
struct IpLayout {
  base::IpProto proto{};
  FragmentKind fragment = FragmentKind::whole;
  DropReason problem = DropReason::none;
  std::uint16_t l4_offset = 0;        ///< from the start of `bytes`
  std::uint16_t l3_length = 0;        ///< as the header says
  std::uint16_t fragment_header = 0;  ///< IPv6: from the start of `bytes`
};

/// Walks IP headers at `l3_offset`; does not look into L4. `problem` is set when the headers are impossible
/// or do not fit into `bytes`; total length is not compared with the frame (a quoted packet is cut short
/// rightly).
template <base::Family F>
[[nodiscard]] IpLayout walk_ip(std::span<const std::byte> bytes, std::size_t l3_offset) noexcept;
template <>
[[nodiscard]] IpLayout walk_ip<base::Family::v4>(std::span<const std::byte> bytes,
                                                 std::size_t l3_offset) noexcept;
template <>
[[nodiscard]] IpLayout walk_ip<base::Family::v6>(std::span<const std::byte> bytes,
                                                 std::size_t l3_offset) noexcept;

}  // namespace sluice::dp
