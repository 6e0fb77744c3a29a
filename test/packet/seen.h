#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "test/packet_builder.h"

namespace sluice::test {

/// What stands in a frame, taken apart for assertions by the fixture's own reader, not by sluice's. Fields of
/// layers that are not there are zero.
struct Seen {
  base::Mac src_mac, dst_mac;
  std::vector<std::uint16_t> tags;  ///< VLAN ids, outermost first
  unsigned type = 0;                ///< EtherType
  base::IpAddress src, dst;
  unsigned protocol = 0;
  std::uint8_t ttl = 0;
  std::uint8_t tos = 0;       ///< or traffic class
  std::size_t ip_length = 0;  ///< as the header says
  std::size_t trailer = 0;    ///< bytes behind the packet
  std::uint16_t sport = 0, dport = 0;
  Flags flags;
  std::uint32_t seq = 0, ack = 0;
  std::uint16_t window = 0;
  std::uint16_t checksum = 0;  ///< of L4
  Bytes options;               ///< of TCP
  std::uint8_t icmp_type = 0, icmp_code = 0;
  std::uint32_t icmp_rest = 0;
  Bytes payload;  ///< behind the L4 header; of an ICMP error, the packet that it quotes

  [[nodiscard]] base::Endpoint from() const { return {src, sport}; }
  [[nodiscard]] base::Endpoint to() const { return {dst, dport}; }
  /// SACK edges of the options, in order.
  [[nodiscard]] std::vector<std::uint32_t> sack_edges() const;
  [[nodiscard]] bool has_option(std::uint8_t kind) const;
};

[[nodiscard]] Seen see(std::span<const std::byte> frame);
/// The packet that an ICMP error quotes, which may be cut short.
[[nodiscard]] Seen quoted(const Seen& error);

}  // namespace sluice::test
