#include "test/packet/seen.h"

#include <algorithm>

#include "test/packet_view.h"

namespace sluice::test {
namespace {

base::Mac mac_at(View view) {
  base::Mac mac;
  for (std::size_t i = 0; i < 6; ++i) mac.bytes[i] = static_cast<std::uint8_t>(view.u8(i));
  return mac;
}

base::IpAddress address_at(View view, bool is_v6) {
  if (!is_v6) return base::Ipv4::from_host(view.u32(0));
  base::Ipv6 address;
  for (std::size_t i = 0; i < 16; ++i) address.bytes[i] = static_cast<std::uint8_t>(view.u8(i));
  return address;
}

Bytes copy(View view) {
  return {view.bytes().begin(), view.bytes().end()};
}

void see_ip(View packet, bool is_v6, bool is_quote, Seen& seen) {
  const IpView ip = read_ip(packet, is_v6, is_quote);
  seen.src = address_at(ip.header.from(is_v6 ? 8 : 12), is_v6);
  seen.dst = address_at(ip.header.from(is_v6 ? 24 : 16), is_v6);
  seen.tos = static_cast<std::uint8_t>(is_v6 ? ip.header.u16(0) >> 4 & 0xffU : ip.header.u8(1));
  seen.ttl = static_cast<std::uint8_t>(ip.header.u8(is_v6 ? 7 : 8));
  seen.ip_length = is_v6 ? ip.header.u16(4) + std::size_t{40} : ip.header.u16(2);
  seen.trailer = ip.trailer;
  seen.protocol = ip.protocol;
  const View l4 = ip.l4;
  switch (ip.protocol) {
    case 6: {
      const std::size_t header = std::max<std::size_t>((l4.u8(12) >> 4) * std::size_t{4}, 20);
      seen.sport = static_cast<std::uint16_t>(l4.u16(0));
      seen.dport = static_cast<std::uint16_t>(l4.u16(2));
      seen.seq = l4.u32(4);
      seen.ack = l4.u32(8);
      seen.flags = {static_cast<std::uint8_t>(l4.u8(13))};
      seen.window = static_cast<std::uint16_t>(l4.u16(14));
      seen.checksum = static_cast<std::uint16_t>(l4.u16(16));
      seen.options = copy(l4.first(header).from(20));
      seen.payload = copy(l4.from(header));
      return;
    }
    case 17:
      seen.sport = static_cast<std::uint16_t>(l4.u16(0));
      seen.dport = static_cast<std::uint16_t>(l4.u16(2));
      seen.checksum = static_cast<std::uint16_t>(l4.u16(6));
      seen.payload = copy(l4.from(8));
      return;
    case 1:
    case 58:
      seen.icmp_type = static_cast<std::uint8_t>(l4.u8(0));
      seen.icmp_code = static_cast<std::uint8_t>(l4.u8(1));
      seen.checksum = static_cast<std::uint16_t>(l4.u16(2));
      seen.icmp_rest = l4.u32(4);
      seen.payload = copy(l4.from(8));
      return;
    default: seen.payload = copy(l4); return;
  }
}

}  // namespace

Seen see(std::span<const std::byte> frame) {
  Seen seen;
  const View view(frame);
  const EthView link = read_eth(view);
  seen.dst_mac = mac_at(view);
  seen.src_mac = mac_at(view.from(6));
  for (std::size_t i = 0; i + 4 <= link.tags.size(); i += 4) {
    seen.tags.push_back(static_cast<std::uint16_t>(link.tags.u16(i + 2) & 0xfffU));
  }
  seen.type = link.type;
  if (link.type == 0x0800 || link.type == 0x86dd) see_ip(link.payload, link.type == 0x86dd, false, seen);
  return seen;
}

Seen quoted(const Seen& error) {
  Seen seen;
  see_ip(View(error.payload), error.src.family() == base::Family::v6, true, seen);
  return seen;
}

std::vector<std::uint32_t> Seen::sack_edges() const {
  std::vector<std::uint32_t> edges;
  const View view(options);
  for (std::size_t i = 0; i + 1 < options.size();) {
    const unsigned kind = view.u8(i);
    if (kind == 0) break;
    if (kind == 1) {
      ++i;
      continue;
    }
    const unsigned length = view.u8(i + 1);
    if (length < 2) break;
    if (kind == 5) {
      for (std::size_t edge = i + 2; edge + 4 <= i + length; edge += 4) edges.push_back(view.u32(edge));
    }
    i += length;
  }
  return edges;
}

bool Seen::has_option(std::uint8_t kind) const {
  const View view(options);
  for (std::size_t i = 0; i < options.size();) {
    const unsigned at = view.u8(i);
    if (at == kind) return true;
    if (at == 0) return false;
    if (at == 1) {
      ++i;
      continue;
    }
    const unsigned length = view.u8(i + 1);
    if (length < 2) return false;
    i += length;
  }
  return false;
}

}  // namespace sluice::test
