#include "dp/first_syn.h"

#include "base/checksum.h"
#include "dp/flow/tcp_options.h"
#include "dp/ip_header.h"
#include "dp/source_route.h"

namespace sluice::dp {

using base::at;
using base::Family;
using base::IpProto;

template <Family F>
DropReason flaw_of_syn(const Packet& packet) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const Meta& meta = packet.meta;
  if (is_source_routed<F>(bytes, meta.l3_offset, meta.l4_offset)) return DropReason::source_routed;
  if (is_signed(bytes.subspan(meta.l4_offset))) return DropReason::signed_segment;
  return has_right_checksums<F>(packet) ? DropReason::none : DropReason::bad_checksum;
}

template <Family F>
bool has_right_checksums(const Packet& packet) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const Meta& meta = packet.meta;
  if (bytes.size() < std::size_t{meta.l4_offset} + meta.l4_length) return true;
  const auto* ip = at<IpHdr<F>>(bytes, meta.l3_offset);
  if constexpr (F == Family::v4) {
    const auto header = bytes.subspan(meta.l3_offset, meta.l4_offset - meta.l3_offset);
    if (base::fold(base::sum_bytes(header)) != 0xffff) return false;
  }
  const std::uint64_t sum =
      base::sum_bytes(bytes.subspan(meta.l4_offset, meta.l4_length),
                      base::pseudo_header_sum(ip->src, ip->dst, IpProto::tcp, meta.l4_length));
  return base::fold(sum) == 0xffff;
}

template DropReason flaw_of_syn<Family::v4>(const Packet&) noexcept;
template DropReason flaw_of_syn<Family::v6>(const Packet&) noexcept;
template bool has_right_checksums<Family::v4>(const Packet&) noexcept;
template bool has_right_checksums<Family::v6>(const Packet&) noexcept;

}  // namespace sluice::dp
