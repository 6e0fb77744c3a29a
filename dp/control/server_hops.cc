#include "dp/control/server_hops.h"

namespace sluice::dp {

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

}  // namespace sluice::dp
