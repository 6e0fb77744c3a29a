#include "dp/kernel/kernel_tables.h"

#include <algorithm>
#include <utility>

namespace sluice::dp {
namespace {

using base::Family;
using base::IpAddress;
using base::Prefix;

constexpr std::uint8_t width(Family family) noexcept {
  return family == Family::v4 ? 32 : 128;
}

IpAddress without_host_bits(const IpAddress& address, unsigned length) {
  std::string wire(address.wire());
  for (std::size_t i = 0; i < wire.size(); ++i) {
    const unsigned first_bit = static_cast<unsigned>(i) * 8;
    if (first_bit >= length) {
      wire[i] = 0;
    } else if (length - first_bit < 8) {
      wire[i] = static_cast<char>(static_cast<unsigned char>(wire[i]) & (0xff00U >> (length - first_bit)));
    }
  }
  return IpAddress::from_wire(wire);
}

/// The hop to use: the first that is alive, over a running link if there is one.
const RouteHop* usable_hop(const KernelTables& tables, const Route& route) {
  const RouteHop* second_best = nullptr;
  for (const RouteHop& hop : route.hops) {
    const Link* link = tables.link(hop.ifindex);
    if (hop.dead || link == nullptr || !link->up) continue;
    if (link->running) return &hop;
    if (second_best == nullptr) second_best = &hop;
  }
  return second_best;
}

/// The route of a group (one prefix, one table, ascending priority) that counts.
std::optional<ChosenRoute> choose(const KernelTables& tables, std::map<RouteKey, Route>::const_iterator first,
                                  std::map<RouteKey, Route>::const_iterator last) {
  for (; first != last; ++first) {
    const auto& [key, route] = *first;
    ChosenRoute chosen{key.destination, route.type, {}, route.mtu};
    if (route.type != RouteType::unicast) return chosen;
    if (const RouteHop* hop = usable_hop(tables, route); hop != nullptr) {
      chosen.hop = *hop;
      return chosen;
    }
  }
  return std::nullopt;
}

NextHop::Kind kind_of(RouteType type) noexcept {
  switch (type) {
    case RouteType::unicast: return NextHop::Kind::forward;
    case RouteType::local: return NextHop::Kind::local;
    case RouteType::blackhole: return NextHop::Kind::blackhole;
    case RouteType::unreachable: return NextHop::Kind::unreachable;
  }
  return NextHop::Kind::no_route;
}

}  // namespace

const Link* KernelTables::link(std::uint32_t ifindex) const {
  const auto found = links.find(ifindex);
  return found == links.end() ? nullptr : &found->second;
}

const Link* KernelTables::link_named(std::string_view name) const {
  const auto found = std::ranges::find_if(links, [&](const auto& item) { return item.second.name == name; });
  return found == links.end() ? nullptr : &found->second;
}

const Neighbour* KernelTables::neighbour(const NeighbourKey& key) const {
  const auto found = neighbours.find(key);
  return found == neighbours.end() ? nullptr : &found->second;
}

std::uint32_t KernelTables::owner_of(const IpAddress& address) const {
  const auto found =
      std::ranges::find_if(addresses, [&](const auto& item) { return item.prefix.address == address; });
  return found == addresses.end() ? 0 : found->ifindex;
}

std::vector<ChosenRoute> KernelTables::chosen_routes(Family family) const {
  std::vector<ChosenRoute> result;
  std::optional<Prefix>
      local_cover;  // outermost local prefix around where we are; a prefix sorts before what it holds
  for (auto at = routes.begin(); at != routes.end();) {
    const Prefix& destination = at->first.destination;
    const RouteOrigin origin = at->first.origin;
    const auto end = std::find_if(at, routes.end(), [&](const auto& item) {
      return item.first.destination != destination || item.first.origin != origin;
    });
    const auto group = std::exchange(at, end);
    if (destination.address.family() != family) continue;
    const bool covered = local_cover && local_cover->length <= destination.length &&
                         local_cover->contains(destination.address);
    if (origin == RouteOrigin::main_table && covered) continue;
    std::optional<ChosenRoute> chosen = choose(*this, group, end);
    if (!chosen) continue;
    if (origin == RouteOrigin::local_table && !covered) local_cover = destination;
    result.push_back(std::move(*chosen));
  }
  return result;
}

NextHop KernelTables::resolve(const IpAddress& destination) const {
  for (const RouteOrigin origin : {RouteOrigin::local_table, RouteOrigin::main_table}) {
    for (int length = width(destination.family()); length >= 0; --length) {
      const Prefix prefix{without_host_bits(destination, static_cast<unsigned>(length)),
                          static_cast<std::uint8_t>(length)};
      const auto first = routes.lower_bound(RouteKey{prefix, origin, 0});
      const auto last = routes.upper_bound(RouteKey{prefix, origin, ~std::uint32_t{0}});
      const std::optional<ChosenRoute> chosen = choose(*this, first, last);
      if (!chosen) continue;
      if (chosen->type != RouteType::unicast) return {kind_of(chosen->type), 0, {}, 0};
      const std::uint32_t link_mtu = links.at(chosen->hop.ifindex).mtu;
      return {NextHop::Kind::forward, chosen->hop.ifindex, chosen->hop.gateway.value_or(destination),
              chosen->mtu == 0 ? link_mtu : std::min(chosen->mtu, link_mtu)};
    }
  }
  return {};
}

}  // namespace sluice::dp
