#pragma once

#include "dp/flow/flow.h"
#include "dp/server_load.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// How attempts to reach a server end: what a flow in syn_sent is.
namespace sluice::dp {

/// The server has answered: by its SYN (`opens`), or by something else that the client gets to see, which
/// leaves nobody else to try.
template <base::Family F>
void attempt_answered(const Flow<F>& flow, FlowDetail& detail, bool opens, WorkerState& worker) noexcept;

/// Accounts for a failure, once for each attempt, whatever else is heard of it. True: the SYN is tried again,
/// and this flow is gone; the client must not hear of it. False: there is no copy of the SYN left, and the
/// flow goes on as it was.
template <base::Family F>
[[nodiscard]] bool attempt_failed(std::uint32_t flow, Failure how, const Snapshot& snapshot,
                                  WorkerState& worker, base::Tick now) noexcept;

/// Whether an ICMP error says that the server cannot be reached by the very SYN of this flow: it quotes its
/// sequence number, which nobody else knows (RFC 5927 §4.1). Pre: packet.meta.icmp_error.
template <base::Family F>
[[nodiscard]] bool says_unreachable(const Packet& packet, const FlowDetail& detail) noexcept;

}  // namespace sluice::dp
