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

}  // namespace sluice::dp
