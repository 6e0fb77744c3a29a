#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/address.h"
#include "base/byte_order.h"

/// Wire headers, exactly as on the wire, alignment 1. They are reached only through at<T>().
namespace sluice::base {

/// The T at `offset` of `bytes`, or null when it does not fit. The only way to wire bytes.
template <typename T>
requires(std::is_trivially_copyable_v<T> && alignof(T) == 1)
    [[nodiscard]] T* at(std::span<std::byte> bytes, std::size_t offset) noexcept {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return nullptr;
  return reinterpret_cast<T*>(bytes.data() + offset);
}
template <typename T>
requires(std::is_trivially_copyable_v<T> && alignof(T) == 1)
    [[nodiscard]] const T* at(std::span<const std::byte> bytes, std::size_t offset) noexcept {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return nullptr;
  return reinterpret_cast<const T*>(bytes.data() + offset);
}

enum class EtherType : std::uint16_t {  // IEEE 802 numbers, host order
  ipv4 = 0x0800,
  arp = 0x0806,
  vlan = 0x8100,
  ipv6 = 0x86dd,
  qinq = 0x88a8,
};

enum class IpProto : std::uint8_t {  // IANA protocol numbers
  hop_by_hop = 0,
  icmp = 1,
  tcp = 6,
  udp = 17,
  ipv6_route = 43,
  ipv6_fragment = 44,
  auth = 51,
  icmpv6 = 58,
  ipv6_no_next = 59,
  ipv6_dest = 60,
};

/// Ethernet II.
struct EthHdr {
  Mac dst, src;
  Be16 type;
};
static_assert(sizeof(EthHdr) == 14 && alignof(EthHdr) == 1);

/// 802.1Q / 802.1ad tag, as it follows an EtherType of vlan or qinq.
struct VlanHdr {
  Be16 tci;   ///< PCP 3 bits, DEI 1, VID 12
  Be16 type;  ///< of what follows
  [[nodiscard]] std::uint16_t vid() const noexcept { return tci.host() & 0x0fffU; }
};
static_assert(sizeof(VlanHdr) == 4 && alignof(VlanHdr) == 1);

/// ARP for IPv4 over Ethernet (RFC 826).
struct ArpHdr {
  Be16 hardware, protocol;
  std::uint8_t hardware_len, protocol_len;
  Be16 operation;  ///< 1 request, 2 reply
  Mac sender_mac;
  Ipv4 sender_ip;
  Mac target_mac;
  Ipv4 target_ip;
};
static_assert(sizeof(ArpHdr) == 28 && alignof(ArpHdr) == 1);

/// IPv4 (RFC 791 §3.1).
struct Ipv4Hdr {
  std::uint8_t version_ihl;
  std::uint8_t tos;
  Be16 total_length;
  Be16 id;
  Be16 fragment;  ///< flags 3 bits, offset 13 bits in units of 8 bytes
  std::uint8_t ttl;
  IpProto protocol;
  Be16 checksum;
  Ipv4 src, dst;

  static constexpr std::uint16_t kDontFragment = 0x4000;
  static constexpr std::uint16_t kMoreFragments = 0x2000;
  static constexpr std::uint16_t kOffsetMask = 0x1fff;
  [[nodiscard]] std::uint8_t version() const noexcept { return version_ihl >> 4; }
  /// Header length in bytes, options included.
  [[nodiscard]] std::size_t header_length() const noexcept { return (version_ihl & 0x0fU) * std::size_t{4}; }
  [[nodiscard]] bool dont_fragment() const noexcept { return (fragment.host() & kDontFragment) != 0; }
  [[nodiscard]] bool more_fragments() const noexcept { return (fragment.host() & kMoreFragments) != 0; }
  /// In bytes.
  [[nodiscard]] std::size_t fragment_offset() const noexcept {
    return (fragment.host() & kOffsetMask) * std::size_t{8};
  }
};
static_assert(sizeof(Ipv4Hdr) == 20 && alignof(Ipv4Hdr) == 1);

/// IPv6 (RFC 8200 §3).
struct Ipv6Hdr {
  Be32 version_class_flow;
  Be16 payload_length;
  IpProto next_header;
  std::uint8_t hop_limit;
  Ipv6 src, dst;
  [[nodiscard]] std::uint8_t version() const noexcept {
    return static_cast<std::uint8_t>(version_class_flow.host() >> 28);
  }
  [[nodiscard]] std::uint8_t traffic_class() const noexcept {
    return static_cast<std::uint8_t>(version_class_flow.host() >> 20);
  }
};
static_assert(sizeof(Ipv6Hdr) == 40 && alignof(Ipv6Hdr) == 1);

/// First bytes of a hop-by-hop, destination or routing header (RFC 8200 §4.3, §4.4, §4.6).
struct Ipv6ExtHdr {
  IpProto next_header;
  std::uint8_t length;  ///< in units of 8 bytes, not counting the first 8
  [[nodiscard]] std::size_t bytes() const noexcept { return (length + std::size_t{1}) * 8; }
};
static_assert(sizeof(Ipv6ExtHdr) == 2 && alignof(Ipv6ExtHdr) == 1);

/// IPv6 fragment header (RFC 8200 §4.5).
struct Ipv6FragmentHdr {
  IpProto next_header;
  std::uint8_t reserved;
  Be16 offset_flags;  ///< offset 13 bits in units of 8 bytes, 2 reserved, M 1
  Be32 id;
  [[nodiscard]] bool more_fragments() const noexcept { return (offset_flags.host() & 1U) != 0; }
  [[nodiscard]] std::size_t fragment_offset() const noexcept { return offset_flags.host() & 0xfff8U; }
};
static_assert(sizeof(Ipv6FragmentHdr) == 8 && alignof(Ipv6FragmentHdr) == 1);

/// TCP flags octet (RFC 9293 §3.1).
struct TcpFlags {
  std::uint8_t bits = 0;
  static constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20,
                                kEce = 0x40, kCwr = 0x80;
  [[nodiscard]] constexpr bool fin() const noexcept { return (bits & kFin) != 0; }
  [[nodiscard]] constexpr bool syn() const noexcept { return (bits & kSyn) != 0; }
  [[nodiscard]] constexpr bool rst() const noexcept { return (bits & kRst) != 0; }
  [[nodiscard]] constexpr bool ack() const noexcept { return (bits & kAck) != 0; }
  friend constexpr bool operator==(TcpFlags, TcpFlags) noexcept = default;
};

/// TCP (RFC 9293 §3.1).
struct TcpHdr {
  Be16 src, dst;
  Be32 seq, ack;
  std::uint8_t off_rsvd;  ///< data offset 4 bits in 32-bit words, reserved 4 bits
  TcpFlags flags;
  Be16 window, checksum, urgent;
  /// Header length in bytes, options included.
  [[nodiscard]] std::size_t header_length() const noexcept { return (off_rsvd >> 4) * std::size_t{4}; }
};
static_assert(sizeof(TcpHdr) == 20 && alignof(TcpHdr) == 1);

/// UDP (RFC 768). Checksum 0: none.
struct UdpHdr {
  Be16 src, dst;
  Be16 length, checksum;
};
static_assert(sizeof(UdpHdr) == 8 && alignof(UdpHdr) == 1);

/// ICMP (RFC 792) and ICMPv6 (RFC 4443): both have this first 8 bytes.
struct IcmpHdr {
  std::uint8_t type, code;
  Be16 checksum;
  Be32 rest;  ///< echo: id, sequence; IPv4 frag-needed: 16 bits unused, next-hop MTU; packet-too-big: MTU
};
static_assert(sizeof(IcmpHdr) == 8 && alignof(IcmpHdr) == 1);

/// ICMP types (RFC 792).
namespace icmp {
inline constexpr std::uint8_t kEchoReply = 0, kUnreachable = 3, kSourceQuench = 4, kRedirect = 5, kEcho = 8,
                              kTimeExceeded = 11, kParameterProblem = 12;
inline constexpr std::uint8_t kCodePortUnreachable = 3, kCodeFragNeeded = 4, kCodeHostUnreachable = 1,
                              kCodeProhibited = 13;
}  // namespace icmp
/// ICMPv6 types (RFC 4443, RFC 4861).
namespace icmpv6 {
inline constexpr std::uint8_t kUnreachable = 1, kPacketTooBig = 2, kTimeExceeded = 3, kParameterProblem = 4,
                              kEcho = 128, kEchoReply = 129, kRouterSolicit = 133, kRouterAdvert = 134,
                              kNeighborSolicit = 135, kNeighborAdvert = 136;
inline constexpr std::uint8_t kCodePortUnreachable = 4, kCodeAddressUnreachable = 3, kCodeProhibited = 1;
}  // namespace icmpv6

}  // namespace sluice::base
