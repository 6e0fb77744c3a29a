#pragma once

#include <compare>
#include <cstdint>

#include "dp/prefix_table.h"

namespace sluice::dp {

/// Number of an adjacency (adjacency_table.h); stable for as long as the adjacency lives.
using AdjacencyId = std::uint16_t;
inline constexpr AdjacencyId kNoAdjacency = 0xffff;

/// What a route says about the destinations under it.
enum class RouteKind : std::uint8_t {
  via,          ///< through a gateway: `adjacency`
  on_link,      ///< every destination is its own next hop on `ifindex`
  local,        ///< the host's own address, a broadcast or multicast destination: the kernel's business
  blackhole,    ///< dropped in silence
  unreachable,  ///< refused: kernel types unreachable and prohibit
  foreign,      ///< leaves by an interface that is no port of ours
};

/// What the data plane keeps of a route.
struct RouteValue {
  std::uint32_t ifindex = 0;             ///< egress interface; 0 for local, blackhole, unreachable
  AdjacencyId adjacency = kNoAdjacency;  ///< for `via`
  std::uint16_t mtu = 0;                 ///< the route's own MTU in bytes; 0: the link's
  RouteKind kind = RouteKind::blackhole;
  friend constexpr auto operator<=>(const RouteValue&, const RouteValue&) noexcept = default;
};

/// The routes of one family.
template <base::Family F>
using RouteTable = PrefixTable<F, RouteValue>;

}  // namespace sluice::dp
