#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/headers.h"

/// What the kernel knows of links, addresses, routes and neighbours, as plain values. KernelMirror keeps them
/// equal to the kernel's; tests fill them by hand. Thread: one at a time.
namespace sluice::dp {

/// The tag that a VLAN interface puts on its parent's frames.
struct VlanTag {
  base::EtherType protocol = base::EtherType::vlan;  ///< vlan (802.1Q) or qinq (802.1ad)
  std::uint16_t id = 0;
  friend constexpr bool operator==(const VlanTag&, const VlanTag&) noexcept = default;
};

struct Link {
  std::uint32_t ifindex = 0;
  std::string name;
  base::Mac mac;
  std::uint32_t mtu = 0;        ///< bytes, without the Ethernet header
  bool up = false;              ///< administratively
  bool running = false;         ///< operational: carrier and everything below it
  std::uint32_t parent = 0;     ///< ifindex of a VLAN interface's or macvlan's lower interface; else 0
  std::optional<VlanTag> vlan;  ///< with `parent`: it is a VLAN interface, else a macvlan
  friend bool operator==(const Link&, const Link&) = default;
};

struct InterfaceAddress {
  std::uint32_t ifindex = 0;
  base::Prefix prefix;
  friend constexpr auto operator<=>(const InterfaceAddress&, const InterfaceAddress&) noexcept = default;
};

/// Tables that are mirrored: the two that the default rules (ip rule) consult. Others (VRF, policy routing)
/// are not.
enum class RouteOrigin : std::uint8_t { local_table, main_table };

enum class RouteType : std::uint8_t { unicast, local, blackhole, unreachable };

/// Identity of a route in the kernel. The order is the order of choice among routes to one prefix.
struct RouteKey {
  base::Prefix destination;  ///< without host bits
  RouteOrigin origin = RouteOrigin::main_table;
  std::uint32_t priority = 0;  ///< metric; the lowest is taken
  friend constexpr auto operator<=>(const RouteKey&, const RouteKey&) noexcept = default;
};

/// One way out of a unicast route.
struct RouteHop {
  std::uint32_t ifindex = 0;
  std::optional<base::IpAddress> gateway;  ///< none: on-link. IPv6 for an IPv4 route too (RFC 8950)
  bool dead = false;                       ///< the kernel has given it up
  friend bool operator==(const RouteHop&, const RouteHop&) = default;
};

struct Route {
  RouteType type = RouteType::unicast;
  std::uint32_t mtu = 0;       ///< the route's own, 0: the link's
  std::vector<RouteHop> hops;  ///< of a unicast route; several when multipath
  friend bool operator==(const Route&, const Route&) = default;
};

struct NeighbourKey {
  std::uint32_t ifindex = 0;
  base::IpAddress address;
  friend constexpr auto operator<=>(const NeighbourKey&, const NeighbourKey&) noexcept = default;
};

/// The kernel's NUD states as far as they differ to us (RFC 4861 §7.3.2).
enum class NeighbourState : std::uint8_t {
  none,
  incomplete,
  usable,  ///< reachable, delay, probe, permanent, noarp: the kernel sees to it
  stale,   ///< usable; the kernel will not look again unless someone asks
  failed,
};

struct Neighbour {
  NeighbourState state = NeighbourState::none;
  base::Mac mac;  ///< meaningful when usable or stale
  friend constexpr bool operator==(const Neighbour&, const Neighbour&) noexcept = default;
};

/// The route that the kernel would take among those to one prefix, reduced to the one hop that we use.
struct ChosenRoute {
  base::Prefix destination;
  RouteType type = RouteType::unicast;
  RouteHop hop;           ///< of a unicast route
  std::uint32_t mtu = 0;  ///< the route's own, 0: the link's
};

/// Answer to "how does a packet to this address leave": for the control thread.
struct NextHop {
  enum class Kind : std::uint8_t { forward, local, blackhole, unreachable, no_route };
  Kind kind = Kind::no_route;
  std::uint32_t ifindex = 0;  ///< for forward
  base::IpAddress address;    ///< for forward: the gateway, or the destination itself when on-link
  std::uint32_t mtu = 0;      ///< for forward: smaller of the route's and the link's
  friend bool operator==(const NextHop&, const NextHop&) = default;
};

struct KernelTables {
  std::unordered_map<std::uint32_t, Link> links;  ///< by ifindex
  std::set<InterfaceAddress> addresses;
  std::map<RouteKey, Route> routes;
  std::map<NeighbourKey, Neighbour> neighbours;

  /// Null when there is none.
  [[nodiscard]] const Link* link(std::uint32_t ifindex) const;
  [[nodiscard]] const Link* link_named(std::string_view name) const;
  [[nodiscard]] const Neighbour* neighbour(const NeighbourKey& key) const;

  /// The interface that holds `address` as its own; 0 when none does.
  [[nodiscard]] std::uint32_t owner_of(const base::IpAddress& address) const;

  /// The kernel's choice for each prefix of a family, ordered by prefix. Dead ways and ways over links that
  /// are down are passed over, as the kernel does; of several equal ways (multipath) the first usable one is
  /// taken, running links before others. Prefixes of the main table that lie under a route of the local table
  /// are left out: rules consult the local table first.
  [[nodiscard]] std::vector<ChosenRoute> chosen_routes(base::Family family) const;

  /// Longest prefix match over the same choice.
  [[nodiscard]] NextHop resolve(const base::IpAddress& destination) const;
};

}  // namespace sluice::dp
