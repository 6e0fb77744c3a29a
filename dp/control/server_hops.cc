#include "dp/control/server_hops.h"

namespace sluice::dp {
namespace {

/// The network on one of our links that holds `address`; length 0: none, or one of which nothing is known.
template <base::Family F>
base::Prefix network_of(const base::Address<F>& address, const AdjacencyTable& hops) {
  const RouteTable<F>& routes = *hops.routing<F>().routes;
  const RouteValue* route = routes.lookup(address);
  if (route == nullptr || route->kind != RouteKind::on_link) return {};
  return {address, routes.length_of(address)};
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

std::vector<base::Prefix> server_networks(const ServiceTables& tables, const AdjacencyTable& hops) {
  std::vector<base::Prefix> networks(tables.servers.size());
  for (std::size_t slot = 0; slot < networks.size(); ++slot) {
    const Server& server = tables.servers[slot];
    if (server.service == kNoIndex || tables.services[server.service].mode != config::Mode::dnat) continue;
    networks[slot] = server.address.is_v4() ? network_of<base::Family::v4>(server.address.v4(), hops)
                                            : network_of<base::Family::v6>(server.address.v6(), hops);
  }
  return networks;
}

}  // namespace sluice::dp
