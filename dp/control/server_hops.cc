#include "dp/control/server_hops.h"

namespace sluice::dp {
namespace {

/// The interface by which packets to `address` leave; 0: none.
template <base::Family F>
std::uint32_t link_towards(const base::Address<F>& address, const AdjacencyTable& hops) {
  const RouteValue* route = hops.routing<F>().routes->lookup(address);
  if (route == nullptr) return 0;
  return route->kind == RouteKind::via ? hops.adjacency(route->adjacency).ifindex : route->ifindex;
}

}  // namespace

std::vector<AdjacencyId> server_hops(const ServiceTables& tables, const AdjacencyTable& hops) {
  std::vector<AdjacencyId> ids;
  ids.reserve(tables.servers.size());
  for (const Server& server : tables.servers) {
    const Resolution hop = server.address.is_v4() ? hops.resolve<base::Family::v4>(server.address.v4())
                                                  : hops.resolve<base::Family::v6>(server.address.v6());
    ids.push_back(hop.kind == ResolutionKind::adjacency ? hop.id : kNoAdjacency);
  }
  return ids;
}

std::vector<std::uint16_t> server_mtus(const ServiceTables& tables, const AdjacencyTable& hops,
                                       const std::vector<AdjacencyId>& server_hops) {
  std::vector<std::uint16_t> mtus(tables.services.size(), 0);
  for (std::size_t slot = 0; slot < mtus.size(); ++slot) {
    const Choices* choices = tables.services[slot].choices;
    if (choices == nullptr) continue;
    for (const std::uint16_t server : choices->servers) {
      const std::uint16_t mtu = hops.adjacency(server_hops[server]).mtu;
      if (mtu != 0 && (mtus[slot] == 0 || mtu < mtus[slot])) mtus[slot] = mtu;
    }
  }
  return mtus;
}

std::vector<std::uint32_t> server_links(const ServiceTables& tables, const AdjacencyTable& hops) {
  std::vector<std::uint32_t> links(tables.servers.size(), 0);
  for (std::size_t slot = 0; slot < links.size(); ++slot) {
    const Server& server = tables.servers[slot];
    if (server.service == kNoIndex || tables.services[server.service].mode != config::Mode::dnat) continue;
    links[slot] = server.address.is_v4() ? link_towards<base::Family::v4>(server.address.v4(), hops)
                                         : link_towards<base::Family::v6>(server.address.v6(), hops);
  }
  return links;
}

}  // namespace sluice::dp
