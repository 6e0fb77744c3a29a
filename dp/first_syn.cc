#include "dp/first_syn.h"

#include "base/checksum.h"
#include "dp/flow/tcp_options.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

/// Loose or strict source route (RFC 791 §3.1), also one that is used up.
bool has_source_route(std::span<const std::byte> options) noexcept {
  constexpr std::byte kEnd{0}, kNop{1}, kLoose{131}, kStrict{137};
  for (std::size_t offset = 0; offset < options.size();) {
    const std::byte kind = options[offset];
    if (kind == kLoose || kind == kStrict) return true;
    if (kind == kEnd) return false;
    if (kind == kNop) {
      ++offset;
      continue;
    }
    if (offset + 1 == options.size()) return false;
    const auto length = static_cast<std::size_t>(options[offset + 1]);
    if (length < 2) return false;
    offset += length;
  }
  return false;
}

/// Pre: the headers up to the L4 header were walked by parse().
template <Family F>
bool is_source_routed(const Packet& packet) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const Meta& meta = packet.meta;
  const std::size_t fixed = meta.l3_offset + sizeof(IpHdr<F>);
  if (meta.l4_offset == fixed) return false;
  if constexpr (F == Family::v4) {
    return has_source_route(bytes.subspan(fixed, meta.l4_offset - fixed));
  } else {
    constexpr std::size_t kSegmentsLeft = 3;  // RFC 8200 §4.4
    IpProto next = at<base::Ipv6Hdr>(bytes, meta.l3_offset)->next_header;
    for (std::size_t offset = fixed; offset < meta.l4_offset;) {
      const auto* extension = at<base::Ipv6ExtHdr>(bytes, offset);
      if (next == IpProto::ipv6_route && bytes[offset + kSegmentsLeft] != std::byte{0}) return true;
      offset += next == IpProto::ipv6_fragment ? sizeof(base::Ipv6FragmentHdr) : extension->bytes();
      next = extension->next_header;
    }
    return false;
  }
}

}  // namespace

template <Family F>
DropReason flaw_of_syn(const Packet& packet) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const Meta& meta = packet.meta;
  if (is_source_routed<F>(packet)) return DropReason::source_routed;
  if (is_signed(bytes.subspan(meta.l4_offset))) return DropReason::signed_segment;
  if (bytes.size() < std::size_t{meta.l4_offset} + meta.l4_length) return DropReason::none;
  const auto* ip = at<IpHdr<F>>(bytes, meta.l3_offset);
  if constexpr (F == Family::v4) {
    const auto header = bytes.subspan(meta.l3_offset, meta.l4_offset - meta.l3_offset);
    if (base::fold(base::sum_bytes(header)) != 0xffff) return DropReason::bad_checksum;
  }
  const std::uint64_t sum =
      base::sum_bytes(bytes.subspan(meta.l4_offset, meta.l4_length),
                      base::pseudo_header_sum(ip->src, ip->dst, IpProto::tcp, meta.l4_length));
  return base::fold(sum) == 0xffff ? DropReason::none : DropReason::bad_checksum;
}

template DropReason flaw_of_syn<Family::v4>(const Packet&) noexcept;
template DropReason flaw_of_syn<Family::v6>(const Packet&) noexcept;

}  // namespace sluice::dp
