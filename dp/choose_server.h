#pragma once

#include "dp/flow/flow.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// The server slot that a new connection of `service` goes to, by the service's scheduler; kNoIndex when it
/// has no usable server. `key` is the client's. Thread: worker; moves the worker's own cursor. source and
/// hash: every host and every worker choose the same (Maglev, Eisenbud et al. 2016 §3.4). leastconn and
/// random count the connections of all workers.
template <base::Family F>
[[nodiscard]] std::uint16_t choose_server(const Service& service, std::uint16_t service_slot,
                                          const FlowKey<F>& key, WorkerState& worker) noexcept;

}  // namespace sluice::dp
