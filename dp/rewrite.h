#pragma once

#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// Whether a packet may travel on: its life has a hop left to spend (RFC 1812 §5.3.1). Pre: parsed.
template <base::Family F>
[[nodiscard]] bool has_hop_left(const Packet& packet) noexcept;

/// Makes a tracked packet ready to leave: next hop, TTL, MTU, addresses, ports, checksums (incrementally),
/// link header; then counts it for its server. Verdict `forward`, or `park` when the next hop's MAC is not
/// known yet (nothing has been changed then: the packet runs through the stages again later), or an ICMP
/// answer, or a drop. What is too big for the next hop and may be fragmented is to be: meta.split_mtu.
/// Source: RFC 1624 §3 eqn 3; RFC 768 (0 = no checksum; computed 0 is sent as 0xffff); RFC 1812 §5.3.1 (TTL).
/// Pre: packet.meta.flow is the flow. Thread: worker.
template <base::Family F>
void rewrite(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept;

}  // namespace sluice::dp
