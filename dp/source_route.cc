#include "dp/source_route.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

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

}  // namespace

template <Family F>
bool is_source_routed(std::span<const std::byte> bytes, std::size_t l3_offset,
                      std::size_t l4_offset) noexcept {
  const std::size_t fixed = l3_offset + sizeof(IpHdr<F>);
  if (l4_offset == fixed) return false;
  if constexpr (F == Family::v4) {
    return has_source_route(bytes.subspan(fixed, l4_offset - fixed));
  } else {
    constexpr std::size_t kSegmentsLeft = 3;
    IpProto next = at<base::Ipv6Hdr>(bytes, l3_offset)->next_header;
    for (std::size_t offset = fixed; offset < l4_offset;) {
      const auto* extension = at<base::Ipv6ExtHdr>(bytes, offset);
      if (next == IpProto::ipv6_route && bytes[offset + kSegmentsLeft] != std::byte{0}) return true;
      offset += next == IpProto::ipv6_fragment ? sizeof(base::Ipv6FragmentHdr) : extension->bytes();
      next = extension->next_header;
    }
    return false;
  }
}

template bool is_source_routed<Family::v4>(std::span<const std::byte>, std::size_t, std::size_t) noexcept;
template bool is_source_routed<Family::v6>(std::span<const std::byte>, std::size_t, std::size_t) noexcept;

}  // namespace sluice::dp
