#pragma once

#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// Finds the flow of a classified packet, or begins one, and follows its state. Sets meta.flow, and the
/// verdict where there is no flow to go on with. Pre: classify() left the packet pending; this worker owns
/// it. Thread: worker.
template <base::Family F>
void track(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept;

/// A source with which nothing begins: no host can have it, or it is one of our own addresses.
template <base::Family F>
[[nodiscard]] bool is_bad_source(const base::Address<F>& source, const ServiceTables& tables) noexcept;

}  // namespace sluice::dp
