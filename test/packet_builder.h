#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/headers.h"

/// Packets for tests and benchmarks, written as one reads them:
///
///   eth().ip4(client, vip).ttl(64).df().tcp(40000, 80, SYN).seq(1).mss(1460)
///   eth().vlan(7).ip6(v6("2001:db8::1"), v6("2001:db8::2")).hop_by_hop(8).udp(53, 4242).payload("hello")
///   eth().ip4(router, vip).icmp(3, 1).quote(sent, 28)
///
/// Lengths and checksums are right unless a call makes them wrong. Nothing of sluice's own checksum or
/// parsing code is used here, so that neither can hide the other's mistake.
namespace sluice::test {

using Bytes = std::vector<std::byte>;

/// TCP flags to be or'ed: SYN | ACK.
struct Flags {
  std::uint8_t bits = 0;
  friend constexpr Flags operator|(Flags a, Flags b) noexcept {
    return {static_cast<std::uint8_t>(a.bits | b.bits)};
  }
  friend constexpr bool operator==(Flags, Flags) noexcept = default;
};
inline constexpr Flags FIN{0x01}, SYN{0x02}, RST{0x04}, PSH{0x08}, ACK{0x10}, URG{0x20}, ECE{0x40}, CWR{0x80};

/// Addresses from text that is known to be right; aborts when it is not.
[[nodiscard]] base::Ipv4 v4(const char* text);
[[nodiscard]] base::Ipv6 v6(const char* text);
[[nodiscard]] base::Mac mac(const char* text);

/// `n` bytes 0, 1, 2, ... 255, 0, ...
[[nodiscard]] Bytes pattern(std::size_t n);

inline constexpr base::Mac kDefaultSrcMac{{0x02, 0, 0, 0, 0, 0x01}};
inline constexpr base::Mac kDefaultDstMac{{0x02, 0, 0, 0, 0, 0x02}};

/// A frame in the making; a value: a row may be copied, changed and built again. Calls that set a field of a
/// layer come after the call that makes the layer; a layer made twice is replaced.
class PacketBuilder {
 public:
  PacketBuilder() = default;

  // Ethernet.
  PacketBuilder& eth(base::Mac src, base::Mac dst);
  /// Adds a tag, outermost first.
  PacketBuilder& vlan(std::uint16_t vid, std::uint8_t pcp = 0);
  /// The same with the service tag's EtherType, 0x88a8.
  PacketBuilder& qinq(std::uint16_t vid);
  /// EtherType of what follows; else it follows from ip4() or ip6().
  PacketBuilder& type(std::uint16_t ether_type);

  // IPv4 and IPv6.
  PacketBuilder& ip4(base::Ipv4 src, base::Ipv4 dst);
  PacketBuilder& ip6(const base::Ipv6& src, const base::Ipv6& dst);
  PacketBuilder& ttl(std::uint8_t ttl);  ///< or hop limit; 64 unless set
  PacketBuilder& tos(std::uint8_t tos);  ///< or traffic class
  PacketBuilder& flow_label(std::uint32_t label);
  PacketBuilder& id(std::uint16_t id);
  PacketBuilder& df();
  PacketBuilder& options(
      std::size_t n);  ///< n bytes of IPv4 options (NOPs, then end of list); n = 4, 8, ... 40
  PacketBuilder& options(std::span<const std::byte> bytes);  ///< verbatim; 4, 8, ... 40 bytes
  /// Fragment header: `offset` in bytes, a multiple of 8. IPv4: `id` as of id(). A first fragment's L4 header
  /// gets the checksum of what is in it; fragments() makes the pieces of a whole packet.
  PacketBuilder& fragment(std::size_t offset, bool more, std::uint32_t id = 0);
  PacketBuilder& hop_by_hop(
      std::size_t n);  ///< IPv6 extension header of n bytes, a multiple of 8, of padding
  PacketBuilder& dest_opts(std::size_t n);
  PacketBuilder& routing(std::size_t n = 8, std::uint8_t segments_left = 0);
  /// Protocol or next header; else it follows from the layer above. 59 when there is none over IPv6, 255 over
  /// IPv4.
  PacketBuilder& protocol(std::uint8_t protocol);

  // L4.
  PacketBuilder& tcp(std::uint16_t sport, std::uint16_t dport, Flags flags);
  PacketBuilder& seq(std::uint32_t seq);
  PacketBuilder& ack(std::uint32_t ack);
  PacketBuilder& window(std::uint16_t window);  ///< 65,535 unless set
  PacketBuilder& urgent(std::uint16_t pointer);
  PacketBuilder& mss(std::uint16_t mss);
  PacketBuilder& window_scale(std::uint8_t shift);
  PacketBuilder& sack_permitted();
  PacketBuilder& timestamps(std::uint32_t value, std::uint32_t echo);
  PacketBuilder& sack_blocks(std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks);
  PacketBuilder& tcp_options(std::span<const std::byte> bytes);  ///< verbatim; padded with NOPs to 4 bytes
  PacketBuilder& udp(std::uint16_t sport, std::uint16_t dport);
  PacketBuilder& no_udp_checksum();
  PacketBuilder& icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);
  PacketBuilder& icmp6(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);

  // What follows the last header.
  PacketBuilder& payload(std::string_view text);
  PacketBuilder& payload(std::size_t n);  ///< pattern(n)
  PacketBuilder& raw(std::span<const std::byte> bytes);
  /// The first `n` bytes of the other packet's IP header and what follows it, as an ICMP error quotes it.
  PacketBuilder& quote(const PacketBuilder& other, std::size_t n = SIZE_MAX);
  /// `n` bytes behind the packet: Ethernet padding, counted by no header. Not zero, so that whoever counts
  /// them in is found out.
  PacketBuilder& padding(std::size_t n);

  // Wrong on purpose.
  /// Inverts a bit of the checksum of the layer made last: IPv4, TCP, UDP, ICMP or ICMPv6.
  PacketBuilder& bad_checksum();
  PacketBuilder& version(std::uint8_t version);      ///< IP version field
  PacketBuilder& ihl(std::uint8_t words);            ///< IPv4 header length field
  PacketBuilder& total_length(std::uint16_t bytes);  ///< IPv4 total length or IPv6 payload length field
  PacketBuilder& udp_length(std::uint16_t bytes);    ///< UDP length field
  PacketBuilder& data_offset(std::uint8_t words);    ///< TCP data offset field
  PacketBuilder& cut(std::size_t n);                 ///< only the first n bytes of the frame

  /// The frame.
  [[nodiscard]] Bytes bytes() const;
  /// The frame without Ethernet header, tags and padding.
  [[nodiscard]] Bytes ip_bytes() const;

 private:
  enum class Net : std::uint8_t { none, v4, v6 };
  enum class L4 : std::uint8_t { none, tcp, udp, icmp, icmp6 };
  struct Tag {
    std::uint16_t tpid, tci;
  };
  struct Extension {
    std::uint8_t type;
    Bytes bytes;  ///< whole; its first byte, the next header, is filled in when built
  };

  PacketBuilder& extension(std::uint8_t type, Bytes bytes);
  PacketBuilder& tcp_option(std::uint8_t kind, std::span<const std::byte> value);
  [[nodiscard]] std::uint8_t l4_protocol() const;
  [[nodiscard]] Bytes l4_bytes() const;
  [[nodiscard]] Bytes ip4_bytes() const;
  [[nodiscard]] Bytes ip6_bytes() const;

  base::Mac src_mac_ = kDefaultSrcMac, dst_mac_ = kDefaultDstMac;
  std::vector<Tag> tags_;
  std::optional<std::uint16_t> ether_type_;

  Net net_ = Net::none;
  base::Ipv4 src4_, dst4_;
  base::Ipv6 src6_, dst6_;
  std::uint8_t ttl_ = 64, tos_ = 0;
  std::uint32_t flow_label_ = 0;
  std::uint16_t id_ = 0, fragment_ = 0;
  Bytes options_;
  std::vector<Extension> extensions_;
  std::optional<std::uint8_t> protocol_, version_, ihl_;
  std::optional<std::uint16_t> total_length_;
  bool bad_ip_checksum_ = false;

  L4 l4_ = L4::none;
  std::uint16_t sport_ = 0, dport_ = 0, window_ = 0xffff, urgent_ = 0;
  std::uint32_t seq_ = 0, ack_ = 0, rest_ = 0;
  Flags flags_;
  std::uint8_t icmp_type_ = 0, icmp_code_ = 0;
  Bytes tcp_options_;
  std::optional<std::uint16_t> udp_length_;
  std::optional<std::uint8_t> data_offset_;
  bool no_checksum_ = false, bad_l4_checksum_ = false;

  Bytes payload_;
  std::size_t padding_ = 0;
  std::optional<std::size_t> cut_;
};

/// A frame begins here.
[[nodiscard]] PacketBuilder eth(base::Mac src = kDefaultSrcMac, base::Mac dst = kDefaultDstMac);

/// The fragments of a whole frame: `mtu` counts the IP header and what follows. IPv6: after the extension
/// headers that every hop reads. The last may be shorter; in order. Pre: an untagged frame of a builder, not
/// a fragment.
[[nodiscard]] std::vector<Bytes> fragments(const Bytes& frame, std::size_t mtu, std::uint32_t id);
/// The whole frame that fragments in any order make up, headers as in the first; nothing when some are
/// missing or do not belong together. Pre: untagged frames.
[[nodiscard]] std::optional<Bytes> whole_of(const std::vector<Bytes>& fragments);

}  // namespace sluice::test
