#include "dp/parse.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

/// IPv6 extension headers that are stepped over (RFC 8200 §4).
constexpr bool is_extension(IpProto next) noexcept {
  return next == IpProto::hop_by_hop || next == IpProto::ipv6_route || next == IpProto::ipv6_dest ||
         next == IpProto::ipv6_fragment;
}

void parse_l4(Packet& packet) noexcept {
  Meta& meta = packet.meta;
  const std::span<const std::byte> bytes = packet.bytes;
  const std::size_t available = bytes.size() - meta.l4_offset;
  const bool whole = meta.fragment == FragmentKind::whole;
  switch (meta.proto) {
    case IpProto::tcp: {
      const auto* tcp = at<base::TcpHdr>(bytes, meta.l4_offset);
      // RFC 1858 §3.1, RFC 7112 §5: flags and options must not be left to a later fragment.
      if (!whole && (meta.l4_length < sizeof(base::TcpHdr) ||
                     (tcp != nullptr && tcp->header_length() > meta.l4_length))) {
        meta.problem = DropReason::fragment_tiny;
      } else if (tcp == nullptr || tcp->header_length() > available) {
        meta.problem = DropReason::truncated;
      } else if (tcp->header_length() < sizeof(base::TcpHdr) || tcp->header_length() > meta.l4_length) {
        meta.problem = DropReason::bad_l4_header;
      } else {
        meta.tcp_flags = tcp->flags;
        meta.has_l4 = true;
      }
      return;
    }
    case IpProto::udp: {
      const auto* udp = at<base::UdpHdr>(bytes, meta.l4_offset);
      if (!whole && meta.l4_length < sizeof(base::UdpHdr)) {
        meta.problem = DropReason::fragment_tiny;
      } else if (udp == nullptr) {
        meta.problem = DropReason::truncated;
      } else if (udp->length.host() < sizeof(base::UdpHdr) ||
                 (whole && udp->length.host() > meta.l4_length)) {
        meta.problem = DropReason::bad_l4_header;
      } else {
        meta.has_l4 = true;
      }
      return;
    }
    default:
      meta.has_l4 =
          at<base::IcmpHdr>(bytes, meta.l4_offset) != nullptr && meta.l4_length >= sizeof(base::IcmpHdr);
      return;
  }
}

template <Family F>
void parse_ip(Packet& packet) noexcept {
  Meta& meta = packet.meta;
  const IpLayout ip = walk_ip<F>(packet.bytes, meta.l3_offset);
  meta.family = F;
  meta.is_ip = true;
  meta.proto = ip.proto;
  meta.fragment = ip.fragment;
  meta.problem = ip.problem;
  meta.l4_offset = ip.l4_offset;
  meta.l3_length = ip.l3_length;
  meta.fragment_header = ip.fragment_header;
  if (meta.problem != DropReason::none) return;
  if (std::size_t{meta.l3_offset} + ip.l3_length > packet.frame_length) {
    meta.problem = DropReason::truncated;
    return;
  }
  const std::size_t header = std::size_t{meta.l4_offset} - meta.l3_offset;
  if (ip.l3_length < header) {
    meta.problem = DropReason::bad_ip_header;
    return;
  }
  meta.l4_length = static_cast<std::uint16_t>(ip.l3_length - header);
  if (meta.fragment != FragmentKind::later) parse_l4(packet);
}

}  // namespace

template <>
IpLayout walk_ip<Family::v4>(std::span<const std::byte> bytes, std::size_t l3_offset) noexcept {
  IpLayout layout;
  const auto* ip = at<base::Ipv4Hdr>(bytes, l3_offset);
  if (ip == nullptr) {
    layout.problem = DropReason::truncated;
    return layout;
  }
  const std::size_t header = ip->header_length();
  layout.proto = ip->protocol;
  layout.l3_length = ip->total_length.host();
  if (ip->version() != 4 || header < sizeof(base::Ipv4Hdr) || layout.l3_length < header) {
    layout.problem = DropReason::bad_ip_header;
    return layout;
  }
  if (bytes.size() - l3_offset < header) {
    layout.problem = DropReason::truncated;
    return layout;
  }
  layout.l4_offset = static_cast<std::uint16_t>(l3_offset + header);
  if (ip->fragment_offset() != 0) {
    layout.fragment = FragmentKind::later;
  } else if (ip->more_fragments()) {
    layout.fragment = FragmentKind::first;
  }
  return layout;
}

template <>
IpLayout walk_ip<Family::v6>(std::span<const std::byte> bytes, std::size_t l3_offset) noexcept {
  IpLayout layout;
  const auto* ip = at<base::Ipv6Hdr>(bytes, l3_offset);
  if (ip == nullptr) {
    layout.problem = DropReason::truncated;
    return layout;
  }
  const std::size_t length = sizeof(base::Ipv6Hdr) + ip->payload_length.host();
  if (ip->version() != 6 || length > 0xffff) {
    layout.problem = DropReason::bad_ip_header;
    return layout;
  }
  layout.l3_length = static_cast<std::uint16_t>(length);
  std::size_t offset = l3_offset + sizeof(base::Ipv6Hdr);
  IpProto next = ip->next_header;
  for (unsigned headers = 0;; ++headers) {
    layout.proto = next;
    layout.l4_offset = static_cast<std::uint16_t>(offset);
    if (headers == kMaxExtensionHeaders && is_extension(next)) {
      layout.problem = DropReason::too_many_headers;
      return layout;
    }
    switch (next) {
      case IpProto::hop_by_hop:
      case IpProto::ipv6_route:
      case IpProto::ipv6_dest: {
        const auto* ext = at<base::Ipv6ExtHdr>(bytes, offset);
        if (ext == nullptr || bytes.size() - offset < ext->bytes()) {
          layout.problem = DropReason::truncated;
          return layout;
        }
        next = ext->next_header;
        offset += ext->bytes();
        break;
      }
      case IpProto::ipv6_fragment: {
        const auto* ext = at<base::Ipv6FragmentHdr>(bytes, offset);
        if (ext == nullptr) {
          layout.problem = DropReason::truncated;
          return layout;
        }
        layout.fragment_header = static_cast<std::uint16_t>(offset);
        next = ext->next_header;
        offset += sizeof(*ext);
        if (ext->fragment_offset() != 0) {
          layout.fragment = FragmentKind::later;
          layout.proto = next;
          layout.l4_offset = static_cast<std::uint16_t>(offset);
          return layout;
        }
        if (ext->more_fragments())
          layout.fragment = FragmentKind::first;  // neither: an atomic fragment, RFC 6946
        break;
      }
      default: return layout;
    }
  }
}

void parse(Packet& packet) noexcept {
  Meta& meta = packet.meta;
  const std::span<const std::byte> bytes = packet.bytes;
  const auto* eth = at<base::EthHdr>(bytes, 0);
  if (eth == nullptr) {
    meta.problem = DropReason::truncated;
    return;
  }
  std::size_t offset = sizeof(base::EthHdr);
  auto type = base::EtherType{eth->type.host()};
  for (unsigned tags = 0; type == base::EtherType::vlan || type == base::EtherType::qinq; ++tags) {
    const auto* vlan = at<base::VlanHdr>(bytes, offset);
    if (vlan == nullptr) {
      meta.problem = DropReason::truncated;
      return;
    }
    if (tags == kMaxVlanTags) return;
    type = base::EtherType{vlan->type.host()};
    offset += sizeof(base::VlanHdr);
  }
  meta.l3_offset = static_cast<std::uint8_t>(offset);
  if (type == base::EtherType::ipv4) {
    parse_ip<Family::v4>(packet);
  } else if (type == base::EtherType::ipv6) {
    parse_ip<Family::v6>(packet);
  }
}

}  // namespace sluice::dp
