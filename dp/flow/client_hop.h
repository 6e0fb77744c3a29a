#pragma once

#include <cstdint>

#include "dp/flow/flow.h"
#include "dp/kernel/adjacency_table.h"

namespace sluice::dp {

/// How packets reach the flow's client. Looked up anew only when routes may have changed; what was found is
/// kept in the flow.
template <base::Family F>
[[nodiscard]] inline Resolution client_hop(Flow<F>& flow, const AdjacencyTable& hops) noexcept {
  const auto epoch = static_cast<std::uint16_t>(hops.epoch());
  if (flow.client_hop != kNoAdjacency && flow.hop_epoch == epoch &&
      hops.adjacency(flow.client_hop).state != AdjacencyState::gone) {
    return {ResolutionKind::adjacency, flow.client_hop, 0, 0};
  }
  const Resolution resolution = hops.template resolve<F>(flow.client);
  if (resolution.kind == ResolutionKind::adjacency) {
    flow.client_hop = resolution.id;
    flow.hop_epoch = epoch;
  }
  return resolution;
}

}  // namespace sluice::dp
