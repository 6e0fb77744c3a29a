#pragma once

#include <span>

#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// Packets taken from a queue at once.
inline constexpr std::size_t kBurst = 32;

/// Where a burst came from: packets from a port may belong to another worker, packets from a worker are ours;
/// but fragments may then have to go on to their flow's owner.
enum class Origin : std::uint8_t { port, worker };

/// A burst's way: parse, classify, (fragments: gather,) track, rewrite. Afterwards no packet is pending;
/// dispose() acts on the verdicts. Pre: burst.size() <= kBurst; verdicts are pending. Neither allocates,
/// locks, logs nor reads a clock. Thread: worker.
void process_burst(std::span<Packet> burst, Origin origin, const Snapshot& snapshot, WorkerState& worker,
                   base::Tick now) noexcept;

}  // namespace sluice::dp
