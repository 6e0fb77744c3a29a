#pragma once

#include <cstdint>

#include "base/clock.h"
#include "dp/flow/flow.h"
#include "dp/flow/tcp_options.h"
#include "dp/outbox.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// TCP segments without data that sluice sends of its own accord to an end of a flow, in the name of the
/// other: which way they go, and how they are written.
namespace sluice::dp {

/// The IP header of a segment that is made in a packet's place.
template <base::Family F>
struct SegmentEnds {
  base::Address<F> src, dst;
  std::uint8_t hop_limit = 0;      ///< or TTL
  std::uint8_t traffic_class = 0;  ///< or type of service
};
/// Makes the packet a SYN or SYN-ACK: its link header, an IP header without options or extensions, and `tcp`
/// with `options`; lengths, data offset and checksums are filled in, and packet.meta agrees. False, and
/// nothing done, when there is no room for the headers.
template <base::Family F>
[[nodiscard]] bool make_segment(Packet& packet, const SegmentEnds<F>& ends, base::TcpHdr tcp,
                                const SynOptions& options, WorkerState& worker) noexcept;

/// What a segment says, in the numbering of the side that it goes to.
struct OwnSegment {
  std::uint32_t seq = 0, ack = 0;
  base::TcpFlags flags;
  std::uint16_t window = 0;
};

/// Where a segment leaves. Without a hop: not now, or nowhere, and why.
struct Way {
  const Adjacency* hop = nullptr;
  bool later = false;  ///< the link address of the next hop is being asked for
  DropReason lost = DropReason::none;
};
template <base::Family F>
[[nodiscard]] Way way_to_client(Flow<F>& flow, const Snapshot& snapshot, WorkerState& worker,
                                base::Tick now) noexcept;
template <base::Family F>
[[nodiscard]] Way way_to_server(const Flow<F>& flow, const Snapshot& snapshot) noexcept;

/// Puts the segment into the worker's outbox. Pre: the outbox has room; `hop` is reachable.
template <base::Family F>
void post_segment(const Flow<F>& flow, Direction direction, const OwnSegment& segment, const Adjacency& hop,
                  WorkerState& worker) noexcept;

}  // namespace sluice::dp
