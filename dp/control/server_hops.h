#pragma once

#include <cstdint>
#include <vector>

#include "dp/kernel/adjacency_table.h"
#include "dp/snapshot.h"

namespace sluice::dp {

/// Snapshot::server_hops: the adjacency of each server slot; kNoAdjacency where there is no route, or the
/// server's link address has never been asked for.
[[nodiscard]] std::vector<AdjacencyId> server_hops(const ServiceTables& tables, const AdjacencyTable& hops);

/// Snapshot::server_mtus. `server_hops`: of the same tables.
[[nodiscard]] std::vector<std::uint16_t> server_mtus(const ServiceTables& tables, const AdjacencyTable& hops,
                                                     const std::vector<AdjacencyId>& server_hops);

/// Snapshot::server_links.
[[nodiscard]] std::vector<std::uint32_t> server_links(const ServiceTables& tables,
                                                      const AdjacencyTable& hops);

}  // namespace sluice::dp
