#include "test/packet_view.h"

namespace sluice::test {
namespace {

/// Skips IPv6 extension headers from `at` on, setting what they say.
void read_extensions(View packet, IpView& ip, std::size_t at, std::size_t end) {
  while (ip.protocol == 0 || ip.protocol == 43 || ip.protocol == 44 || ip.protocol == 60) {
    if (at + 8 > end || !packet.has(at + 8)) {
      ip.flaw = IpView::Flaw::extension;
      return;
    }
    const std::size_t length = ip.protocol == 44 ? 8 : (packet.u8(at + 1) + std::size_t{1}) * 8;
    if (ip.protocol == 43 && packet.u8(at + 3) != 0) ip.routed = true;
    if (ip.protocol == 44) {
      ip.fragment_header = true;
      ip.offset = packet.u16(at + 2) & 0xfff8U;
      ip.more = (packet.u16(at + 2) & 1U) != 0;
      ip.fragment = ip.more || ip.offset != 0;
      ip.fragment_id = packet.u32(at + 4);
    }
    ip.protocol = packet.u8(at);
    at += length;
    if (at > end || !packet.has(at)) {
      ip.flaw = IpView::Flaw::extension;
      return;
    }
    if (ip.offset != 0) break;  // what follows is data, not a header
  }
  ip.l4 = packet.first(end).from(at);
  ip.l4_length = end - at;
}

}  // namespace

EthView read_eth(View frame) {
  EthView eth;
  std::size_t at = 12;
  while (frame.u16(at) == 0x8100 || frame.u16(at) == 0x88a8) at += 4;
  eth.whole = frame.has(at + 2);
  eth.tags = frame.first(at).from(12);
  eth.type = frame.u16(at);
  eth.payload = frame.from(at + 2);
  return eth;
}

IpView read_ip(View packet, bool v6, bool quoted) {
  using Flaw = IpView::Flaw;
  IpView ip;
  ip.v6 = v6;
  const std::size_t fixed = v6 ? 40 : 20;
  if (!packet.has(fixed)) {
    ip.flaw = Flaw::short_header;
    return ip;
  }
  ip.header = packet.first(fixed);
  if (packet.u8(0) >> 4 != (v6 ? 6U : 4U)) {
    ip.flaw = Flaw::version;
    return ip;
  }
  const std::size_t length = v6 ? 40 : (packet.u8(0) & 0x0fU) * std::size_t{4};
  const std::size_t end = packet.u16(v6 ? 4 : 2) + (v6 ? std::size_t{40} : 0);
  if (length < fixed || !packet.has(length)) {
    ip.flaw = Flaw::header_length;
    return ip;
  }
  ip.header = packet.first(length);
  if (end < length || (!quoted && !packet.has(end))) {
    ip.flaw = Flaw::total_length;
    return ip;
  }
  ip.trailer = packet.size() > end ? packet.size() - end : 0;
  ip.protocol = packet.u8(v6 ? 6 : 9);
  if (v6) {
    read_extensions(packet, ip, length, end);
    return ip;
  }
  ip.more = (packet.u16(6) & 0x2000U) != 0;
  ip.offset = (packet.u16(6) & 0x1fffU) * std::size_t{8};
  ip.fragment = ip.more || ip.offset != 0;
  ip.l4 = packet.first(end).from(length);
  ip.l4_length = end - length;
  return ip;
}

}  // namespace sluice::test
