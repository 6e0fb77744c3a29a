#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/address.h"
#include "base/headers.h"
#include "dp/drop_reason.h"

struct rte_mbuf;

namespace sluice::dp {

inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::uint32_t kNoFlow = 0xffff'ffff;
inline constexpr std::uint16_t kNoIndex = 0xffff;

/// What is to become of a packet. Stages set it; dispose() alone acts on it.
enum class Verdict : std::uint8_t {
  pending,    ///< still on its way through the stages
  forward,    ///< to Meta::next_hop
  reflect,    ///< turned round in place by sluice itself: back out of the port that it came in by
  hold,       ///< a copy is stored (dp/syn_store.h), the frame itself is done with
  keep,       ///< a fragment whose datagram is not known yet: the frame stays at Meta::place (dp/fragments.h)
  park,       ///< until Meta::next_hop's address is known; then the stages run anew
  punt,       ///< the kernel's
  hand_over,  ///< to the worker Meta::owner, which runs the stages anew
  drop,       ///< counted under Packet::reason
};

/// The way that a packet of a flow goes.
enum class Direction : std::uint8_t { to_server, to_client };
[[nodiscard]] constexpr Direction reverse(Direction d) noexcept {
  return d == Direction::to_server ? Direction::to_client : Direction::to_server;
}
[[nodiscard]] constexpr std::size_t index(Direction d) noexcept {
  return static_cast<std::size_t>(d);
}

enum class FragmentKind : std::uint8_t { whole, first, later };

/// Source and destination port, the same place in TCP and UDP.
struct L4Ports {
  base::Be16 src, dst;
  friend constexpr bool operator==(const L4Ports&, const L4Ports&) noexcept = default;
};
static_assert(sizeof(L4Ports) == 4 && alignof(L4Ports) == 1);

/// What a fragment's datagram is, as its shard found out (dp/fragments.h). Stays with the frame when it is
/// handed over, kept or parked.
struct FragmentTag {
  L4Ports ports;  ///< of the first fragment; zero where the protocol has none
  base::Be16 id;  ///< IPv4: the identification that all of the datagram leave with
  base::IpProto proto{};
  bool known = false;
  /// TCP: the sequence number that byte 0 of the datagram's payload would have, were its headers counted in,
  /// so that origin + n is the one behind n bytes; in the numbering of its sender.
  std::uint32_t origin = 0;
  std::uint32_t ack = 0;  ///< TCP: of the segment, likewise
  bool has_ack = false;
};
static_assert(std::is_trivially_copyable_v<FragmentTag>);

/// What the stages found out about a packet. Offsets are from the first byte of the frame; lengths in bytes.
struct Meta {
  // parse
  base::Family family = base::Family::v4;
  base::IpProto proto{};  ///< of the L4 header, after all extension headers
  FragmentKind fragment = FragmentKind::whole;
  DropReason problem = DropReason::none;  ///< why it cannot be served, should it be for a service
  base::TcpFlags tcp_flags;
  bool is_ip = false;
  bool has_l4 = false;  ///< l4_offset.. holds a whole TCP, UDP or ICMP header
  std::uint8_t l3_offset = 0;
  std::uint16_t l4_offset = 0;
  std::uint16_t l3_length = 0;        ///< IP header and payload, as the header says (no padding)
  std::uint16_t l4_length = 0;        ///< L4 header and payload, of a fragment: as much as is in it
  std::uint16_t fragment_header = 0;  ///< IPv6: where the fragment header is
  // classify
  Direction direction = Direction::to_server;
  bool icmp_error = false;            ///< about a packet of the flow; direction is the way the *error* goes
  std::uint8_t owner = 0;             ///< worker
  std::uint16_t service = kNoIndex;   ///< only for packets that came to a service's VIP and port
  std::uint16_t inner_l3_offset = 0;  ///< of the packet that an ICMP error quotes
  std::uint16_t inner_l4_offset = 0;
  base::IpProto inner_proto{};
  std::uint64_t hash = 0;  ///< of the flow key
  // track
  std::uint32_t flow = kNoFlow;
  std::uint16_t next_hop = kNoIndex;
  std::uint16_t split_mtu =
      0;  ///< forward: to be cut into fragments of this size (dp/ipv4_split.h); 0: whole
  std::uint16_t place = kNoIndex;  ///< keep: in dp/fragments.h
  bool spliced = false;  ///< a SYN that was made of a cookie: its client has been answered (dp/splice.h)
  // set where a stored SYN is run through the stages anew (dp/admission.h)
  std::uint16_t syn = kNoIndex;
};

/// A frame on its way through the stages. `bytes` is the contiguous start of the frame: all headers lie in
/// it.
struct Packet {
  std::span<std::byte> bytes;
  rte_mbuf* mbuf = nullptr;  ///< touched by receive and dispose only; null in tests without EAL
  std::uint32_t frame_length =
      0;                       ///< whole frame, further segments included; stages may shorten it (reflect)
  std::uint16_t headroom = 0;  ///< writable bytes before `bytes`
  std::uint16_t in_port = 0;   ///< index in the port set
  Verdict verdict = Verdict::pending;
  DropReason reason = DropReason::none;
  FragmentTag tag;  ///< of a fragment
  Meta meta;

  /// Moves the start of the frame by `n` bytes to the front (n > 0) or back. False when there is no room.
  [[nodiscard]] bool grow_front(std::ptrdiff_t n) noexcept {
    if (n > headroom || -n > static_cast<std::ptrdiff_t>(bytes.size())) return false;
    bytes = {bytes.data() - n, bytes.size() + static_cast<std::size_t>(n)};
    headroom = static_cast<std::uint16_t>(headroom - n);
    frame_length = static_cast<std::uint32_t>(frame_length + n);
    return true;
  }
  void drop(DropReason why) noexcept {
    verdict = Verdict::drop;
    reason = why;
  }
  [[nodiscard]] bool pending() const noexcept { return verdict == Verdict::pending; }
};

}  // namespace sluice::dp
