#include "test/packet_builder.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstdio>

#include "test/packet_wire.h"

namespace sluice::test {

base::Ipv4 v4(const char* text) {
  in_addr address{};
  require(inet_pton(AF_INET, text, &address) == 1, text);
  return {base::Be32::from_raw(address.s_addr)};
}

base::Ipv6 v6(const char* text) {
  base::Ipv6 address;
  require(inet_pton(AF_INET6, text, address.bytes.data()) == 1, text);
  return address;
}

base::Mac mac(const char* text) {
  unsigned part[6] = {};
  char rest = 0;
  require(std::sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &part[0], &part[1], &part[2], &part[3], &part[4],
                      &part[5], &rest) == 6,
          text);
  base::Mac mac;
  for (std::size_t i = 0; i < 6; ++i) mac.bytes[i] = static_cast<std::uint8_t>(part[i]);
  return mac;
}

Bytes pattern(std::size_t n) {
  Bytes bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i & 0xff);
  return bytes;
}

PacketBuilder& PacketBuilder::eth(base::Mac src, base::Mac dst) {
  src_mac_ = src;
  dst_mac_ = dst;
  return *this;
}
PacketBuilder& PacketBuilder::vlan(std::uint16_t vid, std::uint8_t pcp) {
  tags_.push_back({0x8100, static_cast<std::uint16_t>(pcp << 13 | (vid & 0x0fff))});
  return *this;
}
PacketBuilder& PacketBuilder::qinq(std::uint16_t vid) {
  tags_.push_back({0x88a8, static_cast<std::uint16_t>(vid & 0x0fff)});
  return *this;
}
PacketBuilder& PacketBuilder::type(std::uint16_t ether_type) {
  ether_type_ = ether_type;
  return *this;
}

PacketBuilder& PacketBuilder::ip4(base::Ipv4 src, base::Ipv4 dst) {
  net_ = Net::v4;
  src4_ = src;
  dst4_ = dst;
  return *this;
}
PacketBuilder& PacketBuilder::ip6(const base::Ipv6& src, const base::Ipv6& dst) {
  net_ = Net::v6;
  src6_ = src;
  dst6_ = dst;
  return *this;
}
PacketBuilder& PacketBuilder::ttl(std::uint8_t ttl) {
  ttl_ = ttl;
  return *this;
}
PacketBuilder& PacketBuilder::tos(std::uint8_t tos) {
  tos_ = tos;
  return *this;
}
PacketBuilder& PacketBuilder::flow_label(std::uint32_t label) {
  flow_label_ = label & 0xfffff;
  return *this;
}
PacketBuilder& PacketBuilder::id(std::uint16_t id) {
  id_ = id;
  return *this;
}
PacketBuilder& PacketBuilder::df() {
  fragment_ |= 0x4000;
  return *this;
}
PacketBuilder& PacketBuilder::options(std::size_t n) {
  Bytes bytes(n, std::byte{1});
  if (n != 0) bytes.back() = std::byte{0};
  return options(bytes);
}
PacketBuilder& PacketBuilder::options(std::span<const std::byte> bytes) {
  require(net_ == Net::v4 && bytes.size() % 4 == 0 && bytes.size() <= 40,
          "options(): IPv4, 0, 4, ... 40 bytes");
  options_.assign(bytes.begin(), bytes.end());
  return *this;
}
PacketBuilder& PacketBuilder::fragment(std::size_t offset, bool more, std::uint32_t id) {
  require(net_ != Net::none && offset % 8 == 0 && offset < 65536,
          "fragment(): after ip4() or ip6(), offset = 8 * k");
  if (net_ == Net::v4) {
    fragment_ = static_cast<std::uint16_t>((fragment_ & 0x4000) | (more ? 0x2000 : 0) | offset / 8);
    if (id != 0) id_ = static_cast<std::uint16_t>(id);
    return *this;
  }
  Bytes bytes;
  put16(bytes, 0);  // next header, reserved
  put16(bytes, offset | (more ? 1 : 0));
  put32(bytes, id);
  return extension(kFragment, std::move(bytes));
}
PacketBuilder& PacketBuilder::extension(std::uint8_t type, Bytes bytes) {
  require(net_ == Net::v6 && !bytes.empty() && bytes.size() % 8 == 0 && bytes.size() <= 2048,
          "extension headers: after ip6(), n = 8, 16, ... 2048");
  if (type != kFragment) bytes[1] = static_cast<std::byte>(bytes.size() / 8 - 1);
  extensions_.push_back({type, std::move(bytes)});
  return *this;
}

namespace {

/// Room for an extension header full of Pad1 and PadN options (RFC 8200 §4.2).
Bytes padded_header(std::size_t n) {
  Bytes bytes(n);
  for (std::size_t at = 2; at < n;) {
    const std::size_t length = std::min<std::size_t>(n - at, 257);
    if (length > 1) {  // PadN; a single byte stays 0: Pad1
      bytes[at] = std::byte{1};
      bytes[at + 1] = static_cast<std::byte>(length - 2);
    }
    at += length;
  }
  return bytes;
}

}  // namespace

PacketBuilder& PacketBuilder::hop_by_hop(std::size_t n) {
  return extension(kHopByHop, padded_header(n));
}
PacketBuilder& PacketBuilder::dest_opts(std::size_t n) {
  return extension(kDestOpts, padded_header(n));
}
PacketBuilder& PacketBuilder::routing(std::size_t n, std::uint8_t segments_left) {
  Bytes bytes(n);
  if (n >= 4) bytes[3] = static_cast<std::byte>(segments_left);
  return extension(kRouting, std::move(bytes));
}
PacketBuilder& PacketBuilder::protocol(std::uint8_t protocol) {
  protocol_ = protocol;
  return *this;
}

PacketBuilder& PacketBuilder::tcp(std::uint16_t sport, std::uint16_t dport, Flags flags) {
  l4_ = L4::tcp;
  sport_ = sport;
  dport_ = dport;
  flags_ = flags;
  return *this;
}
PacketBuilder& PacketBuilder::seq(std::uint32_t seq) {
  seq_ = seq;
  return *this;
}
PacketBuilder& PacketBuilder::ack(std::uint32_t ack) {
  ack_ = ack;
  return *this;
}
PacketBuilder& PacketBuilder::window(std::uint16_t window) {
  window_ = window;
  return *this;
}
PacketBuilder& PacketBuilder::urgent(std::uint16_t pointer) {
  urgent_ = pointer;
  return *this;
}
PacketBuilder& PacketBuilder::tcp_option(std::uint8_t kind, std::span<const std::byte> value) {
  put8(tcp_options_, kind);
  put8(tcp_options_, value.size() + 2);
  put(tcp_options_, value);
  return *this;
}
PacketBuilder& PacketBuilder::mss(std::uint16_t mss) {
  Bytes value;
  put16(value, mss);
  return tcp_option(2, value);
}
PacketBuilder& PacketBuilder::window_scale(std::uint8_t shift) {
  Bytes value;
  put8(value, shift);
  return tcp_option(3, value);
}
PacketBuilder& PacketBuilder::sack_permitted() {
  return tcp_option(4, {});
}
PacketBuilder& PacketBuilder::timestamps(std::uint32_t value, std::uint32_t echo) {
  Bytes bytes;
  put32(bytes, value);
  put32(bytes, echo);
  return tcp_option(8, bytes);
}
PacketBuilder& PacketBuilder::sack_blocks(std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks) {
  Bytes bytes;
  for (const auto& [left, right] : blocks) {
    put32(bytes, left);
    put32(bytes, right);
  }
  return tcp_option(5, bytes);
}
PacketBuilder& PacketBuilder::tcp_options(std::span<const std::byte> bytes) {
  put(tcp_options_, bytes);
  return *this;
}
PacketBuilder& PacketBuilder::udp(std::uint16_t sport, std::uint16_t dport) {
  l4_ = L4::udp;
  sport_ = sport;
  dport_ = dport;
  return *this;
}
PacketBuilder& PacketBuilder::no_udp_checksum() {
  no_checksum_ = true;
  return *this;
}
PacketBuilder& PacketBuilder::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  l4_ = L4::icmp;
  icmp_type_ = type;
  icmp_code_ = code;
  rest_ = rest;
  return *this;
}
PacketBuilder& PacketBuilder::icmp6(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  icmp(type, code, rest);
  l4_ = L4::icmp6;
  return *this;
}

PacketBuilder& PacketBuilder::payload(std::string_view text) {
  return raw(std::as_bytes(std::span(text)));
}
PacketBuilder& PacketBuilder::payload(std::size_t n) {
  return raw(pattern(n));
}
PacketBuilder& PacketBuilder::raw(std::span<const std::byte> bytes) {
  put(payload_, bytes);
  return *this;
}
PacketBuilder& PacketBuilder::quote(const PacketBuilder& other, std::size_t n) {
  const Bytes quoted = other.ip_bytes();
  return raw(std::span(quoted).first(std::min(n, quoted.size())));
}
PacketBuilder& PacketBuilder::padding(std::size_t n) {
  padding_ = n;
  return *this;
}

PacketBuilder& PacketBuilder::bad_checksum() {
  require(l4_ != L4::none || net_ == Net::v4, "bad_checksum(): no layer with a checksum yet");
  (l4_ == L4::none ? bad_ip_checksum_ : bad_l4_checksum_) = true;
  return *this;
}
PacketBuilder& PacketBuilder::version(std::uint8_t version) {
  version_ = version;
  return *this;
}
PacketBuilder& PacketBuilder::ihl(std::uint8_t words) {
  ihl_ = words;
  return *this;
}
PacketBuilder& PacketBuilder::total_length(std::uint16_t bytes) {
  total_length_ = bytes;
  return *this;
}
PacketBuilder& PacketBuilder::udp_length(std::uint16_t bytes) {
  udp_length_ = bytes;
  return *this;
}
PacketBuilder& PacketBuilder::data_offset(std::uint8_t words) {
  data_offset_ = words;
  return *this;
}
PacketBuilder& PacketBuilder::cut(std::size_t n) {
  cut_ = n;
  return *this;
}

PacketBuilder eth(base::Mac src, base::Mac dst) {
  return PacketBuilder().eth(src, dst);
}

}  // namespace sluice::test
