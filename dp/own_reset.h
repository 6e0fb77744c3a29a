#pragma once

#include <cstdint>

#include "base/clock.h"
#include "dp/flow/flow.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// RSTs by which sluice ends a connection of its own accord: idle for too long, killed, given up.
///
/// Theory of operation. A receiver takes a RST at once only if it carries exactly the sequence number that is
/// expected next (RFC 5961 §3.2). The best that a box on the way knows of it is the last acknowledgement that
/// the receiver has sent: exact when all is quiet, and otherwise within the window of what may be in flight.
/// Then the receiver answers with a challenge ACK, which names the exact number; the flow being forgotten by
/// then, that is a segment of an unknown connection, and is answered with a RST that fits. Each RST carries
/// an acknowledgement, too: a client whose SYN was not answered yet, and a server that waits for the end of
/// its handshake, take none without (RFC 9293 §3.10.7.3, §3.10.7.4).
namespace sluice::dp {

/// Whom a RST goes to.
enum class ResetTo : std::uint8_t { client = 1, server = 2, both = 3 };

enum class ResetResult : std::uint8_t {
  done,     ///< in the outbox; or there is no way to the receiver, and nobody to tell
  no_room,  ///< the outbox is full: try again in a later round
  no_hop,   ///< the link address of a next hop is being asked for: try again a little later
};

/// Puts RSTs for a TCP flow into the worker's outbox: all that are asked for, or none. Leaves the flow as it
/// is, for the caller to end: until then a challenge ACK would still be passed on. To a server that has not
/// answered the SYN yet the RST follows that SYN. Pre: the flow is in use.
template <base::Family F>
[[nodiscard]] ResetResult post_resets(std::uint32_t flow, ResetTo to, const Snapshot& snapshot,
                                      WorkerState& worker, base::Tick now) noexcept;

}  // namespace sluice::dp
