#pragma once

#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// How flows begin and end: the choice of server, the lease of a source port, limits, timers.
namespace sluice::dp {

/// Timeouts that are not configured: how long the remains of a connection stay known, so that retransmitted
/// last segments still find their way. Idle time each, in milliseconds.
inline constexpr std::uint32_t kClosingMs = 60'000;  ///< both sides closed, not all acknowledged
inline constexpr std::uint32_t kTimeWaitMs =
    10'000;  ///< all acknowledged; evicted earlier when room is needed
inline constexpr std::uint32_t kResetMs =
    10'000;  ///< after a RST (RFC 7857 §2: transitory, not deleted at once)

/// Idle time after which a flow in `state` ends.
[[nodiscard]] std::uint32_t idle_timeout_ms(FlowState state, const Service& service) noexcept;

/// What one more flow takes of a worker's table.
struct Room {
  DropReason refusal = DropReason::none;  ///< there is none to be had
  FlowClass victim = FlowClass::kCount;   ///< else: the class of which one must end for it; kCount: none
};
template <base::Family F>
[[nodiscard]] Room room_for_flow(const WorkerState& worker) noexcept;

/// Begins a flow for a client's first packet, and puts it into packet.meta.flow. On failure the packet's
/// verdict is set: dropped with a reason, or, where no server is usable, turned into a refusal. Pre: no flow
/// with `key` exists.
template <base::Family F>
void start_flow(Packet& packet, const FlowKey<F>& key, const Snapshot& snapshot, WorkerState& worker,
                base::Tick now) noexcept;

/// Accounts for a connection that is no longer open, though its flow may still be remembered.
template <base::Family F>
void count_closed(const Flow<F>& flow, WorkerState& worker) noexcept {
  worker.servers[flow.server_slot].connections_closed.add(1);
  worker.load->give_back(flow.service, flow.server_slot);
}

/// A TCP flow whose handshake is not done, and whose client may be nobody: what WorkerState::handshakes_open
/// counts.
template <base::Family F>
[[nodiscard]] bool is_handshake(const Flow<F>& flow) noexcept {
  return flow.proto == base::IpProto::tcp && class_of(flow.state) == FlowClass::half_open &&
         (flow.flags & Flow<F>::kSpliced) == 0;
}

/// Whether kill_flow() is done.
enum class Killing : std::uint8_t {
  done,
  started,  ///< a next hop is not known yet: ends as soon as it is, or when that takes too long
  no_room,  ///< nothing has happened: the outbox is full
};
/// Ends a flow before its time: TCP by RST to both ends unless it is closed already. Pre: the flow is in use.
template <base::Family F>
[[nodiscard]] Killing kill_flow(std::uint32_t flow, const Snapshot& snapshot, WorkerState& worker,
                                base::Tick now) noexcept;

/// Forgets a flow and gives its source port back. Tells nobody.
template <base::Family F>
void end_flow(std::uint32_t flow, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept;

/// Looks after at most `budget` flows whose timers have come up. TCP connections that have been idle for too
/// long end by RST to both ends; when the outbox has no room for these, the flows wait.
void expire_flows(const Snapshot& snapshot, WorkerState& worker, base::Tick now, unsigned budget) noexcept;

}  // namespace sluice::dp
