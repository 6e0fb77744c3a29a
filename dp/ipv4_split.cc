#include "dp/ipv4_split.h"

#include "base/checksum.h"
#include "base/headers.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Ipv4Hdr;

/// Later fragments have only options with the copied flag; NOPs take the place of others.
void blot_out_options(std::span<std::byte> options) noexcept {
  constexpr std::byte kEnd{0}, kNop{1}, kCopied{0x80};
  for (std::size_t offset = 0; offset < options.size();) {
    const std::byte kind = options[offset];
    if (kind == kEnd) return;
    std::size_t length = 1;
    if (kind != kNop) {
      if (offset + 1 == options.size()) return;
      length = static_cast<std::size_t>(options[offset + 1]);
      if (length < 2 || length > options.size() - offset) return;
      if ((kind & kCopied) == std::byte{0}) {
        for (std::byte& byte : options.subspan(offset, length)) byte = kNop;
      }
    }
    offset += length;
  }
}

}  // namespace

Ipv4Split::Ipv4Split(std::span<const std::byte> packet, std::uint32_t mtu) noexcept {
  const auto* ip = at<Ipv4Hdr>(packet, 0);
  header_ = static_cast<std::uint32_t>(ip->header_length());
  payload_ = ip->total_length.host() - header_;
  each_ = mtu < header_ ? 0 : (mtu - header_) / 8 * 8;
  pieces_ = each_ == 0 ? 0 : (payload_ + each_ - 1) / each_;
  if (pieces_ > kMaxPieces) pieces_ = 0;
}

void Ipv4Split::adapt(std::uint32_t piece, std::span<std::byte> header) const noexcept {
  header = header.first(header_);
  auto* ip = at<Ipv4Hdr>(header, 0);
  const std::uint16_t before = base::fold(base::sum_bytes(header));
  const bool more = ip->more_fragments() || piece + 1 < pieces_;
  const auto offset = static_cast<std::uint16_t>((ip->fragment_offset() + this->offset(piece)) / 8);
  const auto flags = static_cast<std::uint16_t>(more ? Ipv4Hdr::kMoreFragments : 0);
  ip->fragment = base::Be16{static_cast<std::uint16_t>(flags | offset)};
  ip->total_length = base::Be16{static_cast<std::uint16_t>(header_ + length(piece))};
  if (offset != 0) blot_out_options(header.subspan(sizeof(Ipv4Hdr)));
  // Not computed anew: a corrupt header stays recognisable.
  auto delta = base::ChecksumDelta::from_folded(base::fold(base::sum_bytes(header)));
  delta.add(base::ChecksumDelta::from_folded(before).inverse());
  ip->checksum = base::update_checksum(ip->checksum, delta);
}

}  // namespace sluice::dp
