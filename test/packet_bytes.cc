// How a PacketBuilder becomes bytes.

#include <algorithm>

#include "test/packet_builder.h"
#include "test/packet_wire.h"

namespace sluice::test {

std::uint8_t PacketBuilder::l4_protocol() const {
  if (protocol_) return *protocol_;
  switch (l4_) {
    case L4::tcp: return kTcp;
    case L4::udp: return kUdp;
    case L4::icmp: return kIcmp;
    case L4::icmp6: return kIcmp6;
    case L4::none: break;
  }
  return net_ == Net::v6 ? kNoNext : kReserved;
}

Bytes PacketBuilder::l4_bytes() const {
  Bytes out;
  std::size_t checksum_at = 0;
  switch (l4_) {
    case L4::none: return payload_;
    case L4::tcp: {
      Bytes options = tcp_options_;
      while (options.size() % 4 != 0) put8(options, 1);
      require(options.size() <= 40, "TCP options above 40 bytes");
      put16(out, sport_);
      put16(out, dport_);
      put32(out, seq_);
      put32(out, ack_);
      put8(out, std::size_t{data_offset_.value_or(static_cast<std::uint8_t>(5 + options.size() / 4))} << 4);
      put8(out, flags_.bits);
      put16(out, window_);
      checksum_at = out.size();
      put16(out, 0);
      put16(out, urgent_);
      put(out, options);
      break;
    }
    case L4::udp:
      put16(out, sport_);
      put16(out, dport_);
      put16(out, udp_length_.value_or(static_cast<std::uint16_t>(8 + payload_.size())));
      checksum_at = out.size();
      put16(out, 0);
      break;
    case L4::icmp:
    case L4::icmp6:
      put8(out, icmp_type_);
      put8(out, icmp_code_);
      checksum_at = out.size();
      put16(out, 0);
      put32(out, rest_);
      break;
  }
  put(out, payload_);
  if (no_checksum_) return out;

  Bytes summed;  // pseudo-header (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1), then the segment
  if (net_ == Net::v4 && l4_ != L4::icmp) {
    put32(summed, src4_.value.host());
    put32(summed, dst4_.value.host());
    put16(summed, l4_protocol());
    put16(summed, out.size());
  } else if (net_ == Net::v6) {
    put(summed, std::span<const std::uint8_t>(src6_.bytes));
    put(summed, std::span<const std::uint8_t>(dst6_.bytes));
    put32(summed, out.size());
    put32(summed, l4_protocol());
  }
  put(summed, out);
  std::uint16_t sum = rfc1071(summed);
  if (bad_l4_checksum_) sum ^= 0x0100;
  if (sum == 0 && l4_ == L4::udp) sum = 0xffff;
  set16(out, checksum_at, sum);
  return out;
}

Bytes PacketBuilder::ip4_bytes() const {
  const Bytes above = l4_bytes();
  Bytes out;
  put8(out, std::size_t{version_.value_or(4)} << 4 |
                ihl_.value_or(static_cast<std::uint8_t>(5 + options_.size() / 4)));
  put8(out, tos_);
  put16(out, total_length_.value_or(static_cast<std::uint16_t>(kIp4Length + options_.size() + above.size())));
  put16(out, id_);
  put16(out, fragment_);
  put8(out, ttl_);
  put8(out, l4_protocol());
  put16(out, 0);
  put32(out, src4_.value.host());
  put32(out, dst4_.value.host());
  put(out, options_);
  set16(out, 10, rfc1071(out) ^ (bad_ip_checksum_ ? 0x0100 : 0));
  put(out, above);
  return out;
}

Bytes PacketBuilder::ip6_bytes() const {
  const Bytes above = l4_bytes();
  Bytes chain;
  for (std::size_t i = 0; i < extensions_.size(); ++i) {
    const std::size_t start = chain.size();
    put(chain, extensions_[i].bytes);
    chain[start] =
        static_cast<std::byte>(i + 1 < extensions_.size() ? extensions_[i + 1].type : l4_protocol());
  }
  Bytes out;
  put32(out, std::size_t{version_.value_or(6)} << 28 | std::size_t{tos_} << 20 | flow_label_);
  put16(out, total_length_.value_or(static_cast<std::uint16_t>(chain.size() + above.size())));
  put8(out, extensions_.empty() ? l4_protocol() : extensions_.front().type);
  put8(out, ttl_);
  put(out, std::span<const std::uint8_t>(src6_.bytes));
  put(out, std::span<const std::uint8_t>(dst6_.bytes));
  put(out, chain);
  put(out, above);
  return out;
}

Bytes PacketBuilder::ip_bytes() const {
  switch (net_) {
    case Net::v4: return ip4_bytes();
    case Net::v6: return ip6_bytes();
    case Net::none: break;
  }
  return payload_;
}

Bytes PacketBuilder::bytes() const {
  Bytes out;
  put(out, std::span<const std::uint8_t>(dst_mac_.bytes));
  put(out, std::span<const std::uint8_t>(src_mac_.bytes));
  for (const Tag& tag : tags_) {
    put16(out, tag.tpid);
    put16(out, tag.tci);
  }
  put16(out, ether_type_.value_or(net_ == Net::v4 ? 0x0800 : net_ == Net::v6 ? 0x86dd : 0xffff));
  put(out, ip_bytes());
  out.insert(out.end(), padding_, std::byte{0xa5});
  if (cut_) out.resize(std::min(*cut_, out.size()));
  return out;
}

}  // namespace sluice::test
