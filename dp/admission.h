#pragma once

#include "dp/choose_server.h"
#include "dp/flow/flow.h"
#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// Theory of operation. Admission stands before the beginning of a TCP flow. A SYN that finds a place at a
/// server goes on; else a copy of it waits (dp/syn_store.h), first in, first out over all workers: each
/// worker publishes the lowest ticket of each of its queues, and only the worker that has the lowest of all
/// may take a place. As in HAProxy, what waits for a server and what waits for any compete by age for that
/// server's places, and new SYNs stand behind all that wait. The worker asks in each round whose time has
/// come (next_due()), and runs these through the stages (run_stored()).
///
/// As long as a server has not answered, a flow in syn_sent keeps the copy of its SYN: an attempt that fails
/// ends the flow, of which the client has seen nothing, and the copy begins another, elsewhere or after a
/// pause. The copy goes when the answer passes.
namespace sluice::dp {

/// What a SYN is to mind in the choice of its server: what it has been through already.
[[nodiscard]] Wish wish_of(const Packet& packet, const ServiceTables& tables,
                           const WorkerState& worker) noexcept;

/// Has a SYN wait that found no place; `choice` says for whom. Sets the verdict: hold, or drop where it
/// cannot be stored. Returns where it is stored; kNoIndex: it is not.
std::uint16_t hold(Packet& packet, const Choice& choice, const ServiceTables& tables, WorkerState& worker,
                   base::Tick now) noexcept;

/// Ties the SYN that began a flow to it, while further attempts are left, or its answer is to tell who was
/// silent to it without reason. `syn` is FlowDetail::syn.
void keep_syn(const Packet& packet, const Service& service, std::uint16_t& syn, WorkerState& worker) noexcept;

/// Lets go of a flow's stored SYN, if it has one: it was answered, or the flow is over.
inline void forget_syn(std::uint16_t& syn, WorkerState& worker) noexcept {
  if (syn == kNoIndex) return;
  worker.syns.release(syn);
  syn = kNoIndex;
}

/// What a client sends while its SYN waits: a SYN again takes the place of the copy, and keeps its place in
/// the queue; a RST that follows the SYN ends the wait. Who has been answered by a cookie has nothing to say
/// but a RST yet. False: nothing waits, or the segment has nothing to do with it.
template <base::Family F>
[[nodiscard]] bool absorb(Packet& packet, const FlowKey<F>& key, const ServiceTables& tables,
                          WorkerState& worker) noexcept;

/// Whether a SYN that `server` has failed is tried at others: who else has heard it can tell whose fault it
/// was.
[[nodiscard]] bool goes_elsewhere(const Service& service, std::uint16_t server) noexcept;

/// Has the loose SYN of a flow that did not reach `server` tried again: elsewhere at once, or there after a
/// pause.
void retry(std::uint16_t syn, std::uint16_t server, const ServiceTables& tables, WorkerState& worker,
           base::Tick now) noexcept;

/// A stored SYN whose time has come.
struct DueSyn {
  std::uint16_t slot = kNoIndex;          ///< kNoIndex: none
  DropReason refusal = DropReason::none;  ///< why it is answered with a RST; none: it tries to get a server
};
/// Whose time has come; looks at a bounded number of queues. To be asked until there is none, or the round
/// has done enough.
[[nodiscard]] DueSyn next_due(const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept;

/// Runs a stored SYN, of which `packet` holds a copy, through the stages; the caller disposes of the packet.
/// Pre: `due` was just returned by next_due(); packet.in_port is the SYN's.
void run_stored(Packet& packet, const DueSyn& due, const Snapshot& snapshot, WorkerState& worker,
                base::Tick now) noexcept;

}  // namespace sluice::dp
