#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "base/address.h"
#include "base/byte_order.h"
#include "base/clock.h"
#include "base/headers.h"
#include "dp/flow/tcp_state.h"
#include "dp/packet.h"

/// Theory of operation. A flow is one connection (TCP) or association (UDP) through the balancer, known by
/// two keys:
///
///     client:port ──► vip:port        what the client sends         (Direction::to_server)
///     server:port ──► local:port      what the server answers       (Direction::to_client)
///
/// Records are plain data without pointers, found by index, so that an arena of them can be mapped elsewhere
/// or sent to a peer. What every packet touches lies in Flow (one cache line for IPv4, two for IPv6); the
/// rest in FlowDetail.
namespace sluice::dp {

/// The addresses and ports of a packet as it arrived.
template <base::Family F>
struct FlowKey {
  base::Address<F> src, dst;
  base::Be16 src_port, dst_port;
  base::IpProto proto{};
  friend constexpr bool operator==(const FlowKey&, const FlowKey&) noexcept = default;
};

/// Written by its worker only.
template <base::Family F>
struct alignas(kCacheLine) Flow {
  base::Address<F> client, vip, local, server;
  base::Be16 client_port, vip_port, local_port, server_port;
  std::uint16_t address_delta = 0;  ///< IPv4 header checksum, to_server (ChecksumDelta::folded)
  std::uint16_t l4_delta = 0;       ///< TCP/UDP checksum, to_server: addresses and ports
  base::IpProto proto{};
  FlowState state{};
  std::uint8_t flags = 0;            ///< kTranslatesSequence ...
  std::uint8_t window_scale = 0;     ///< client's in the low nibble, server's in the high one
  std::uint16_t service = kNoIndex;  ///< slot in the snapshot
  std::uint16_t server_slot = kNoIndex;
  base::Tick last_seen;
  std::array<std::uint32_t, 2>
      end{};  ///< [direction]: highest sequence number sent, + 1; the client's numbering
  std::array<std::uint32_t, 2> acked{};   ///< [direction]: highest acknowledgement sent
  std::array<std::uint16_t, 2> window{};  ///< [direction]: last window announced, unscaled
  std::uint16_t client_hop = kNoIndex;    ///< next hop towards the client, cached
  std::uint16_t hop_epoch = 0;            ///< low bits of the routes' epoch when it was looked up

  static constexpr std::uint8_t kTranslatesSequence = 1;  ///< FlowDetail::sequence_delta is not zero
  static constexpr std::uint8_t kServerClosedFirst = 2;   ///< the server may hold the port pair in TIME_WAIT
  static constexpr std::uint8_t kStripsTimestamps = 4;    ///< from the client's SYN
  static constexpr std::uint8_t kClientAcked = 8;         ///< acked[to_server] is valid
  static constexpr std::uint8_t kOnlyDataCounts = 16;     ///< for last_seen (config::IdleRefresh::data)
  static constexpr std::uint8_t kKilled = 32;             ///< ends as soon as its RSTs can be sent
  static constexpr std::uint8_t kAttemptFailed = 64;      ///< and was counted: an attempt fails once
  static constexpr std::uint8_t kSpliced = 128;           ///< began by a SYN cookie (dp/splice.h)

  [[nodiscard]] FlowKey<F> client_key() const noexcept { return {client, vip, client_port, vip_port, proto}; }
  [[nodiscard]] FlowKey<F> server_key() const noexcept {
    return {server, local, server_port, local_port, proto};
  }
  [[nodiscard]] FlowKey<F> key(Direction d) const noexcept {
    return d == Direction::to_server ? client_key() : server_key();
  }
};
static_assert(sizeof(Flow<base::Family::v4>) == kCacheLine);
static_assert(sizeof(Flow<base::Family::v6>) == 2 * kCacheLine);
static_assert(std::is_trivially_copyable_v<Flow<base::Family::v4>>);

/// Which ends of a spliced flow (dp/splice.h) scale their windows. `client`: the client believes that the
/// server does, too, by kToldScale; `not_told`: what it knows of the server's windows it has from the server.
enum class SplicedWindows : std::uint8_t { not_told, neither, client, both };
inline constexpr std::uint8_t kToldScale = 7;  ///< what nearly all servers have

/// Who has sent the RST that ended an open connection. `nobody` also: both have, or it was no open one.
enum class ResetBy : std::uint8_t { nobody, client, server };

/// What only the beginning, the end and the timers of a flow touch. Written by its worker only.
struct FlowDetail {
  std::uint32_t next = kNoFlow, prev = kNoFlow;  ///< in a timer wheel slot, or `next` in the free list
  std::uint16_t wheel_slot = 0;
  FlowClass wheel : 2 = FlowClass::half_open;  ///< which wheel it hangs in
  std::uint8_t postponed : 5 = 0;              ///< how often in a row its end had to wait for a next hop
  bool client_counted : 1 = false;             ///< has a place among its client's (dp/client_limits.h)
  SplicedWindows windows : 2 = SplicedWindows::not_told;
  ResetBy reset_by : 2 = ResetBy::nobody;
  base::Tick created;
  std::uint32_t sequence_delta = 0;      ///< added to the client's sequence numbers on the way to the server
  std::array<std::uint32_t, 2> first{};  ///< [direction]: initial sequence number, the client's numbering
  std::uint16_t pool = kNoIndex;         ///< source-port pool that local_port came from
  std::uint16_t syn = kNoIndex;          ///< stored copy, while it may yet be needed
  std::uint32_t server_shift = 0;        ///< of spliced flows: added to the server's numbers for the client
};
static_assert(sizeof(FlowDetail) == 36 && std::is_trivially_copyable_v<FlowDetail>);

}  // namespace sluice::dp
