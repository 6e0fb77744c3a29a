#pragma once

#include "dp/fragments.h"
#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// The stage between classify and track that only fragments go through. dp/fragments.h tells how.
namespace sluice::dp {

/// Whether the packet is a fragment whose datagram must be known before it is known whose it is: one of TCP
/// or UDP, and over IPv6 any, where only the first fragment tells the protocol (RFC 8200 §4.5). Pre: parsed.
template <base::Family F>
[[nodiscard]] constexpr bool is_gathered(const Meta& meta) noexcept {
  if (meta.fragment == FragmentKind::whole) return false;
  return F == base::Family::v6 || meta.proto == base::IpProto::tcp || meta.proto == base::IpProto::udp;
}

/// Where a fragment lies in its datagram. Pre: parsed without a problem; a fragment.
template <base::Family F>
[[nodiscard]] FragmentPlace place_of(const Packet& packet) noexcept;

/// Keyed hash of what fragments of one datagram have in common. Pre: as place_of().
template <base::Family F>
[[nodiscard]] std::uint64_t datagram_hash(const Packet& packet, const WorkerState& worker) noexcept;

/// Finds out what datagram a fragment is of, and so whose it is. Sets packet.tag and what classify() sets of
/// a whole packet; else the verdict: `keep` while the first fragment is missing, `hand_over` to the flow's
/// owner, `punt`, or a drop. Pre: classify() left the fragment pending; this worker is its shard, or it has
/// its tag. Thread: worker.
template <base::Family F>
void gather(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept;

/// Runs a frame that was kept through the stages, or drops it; the caller disposes of the packet. Pre: `due`
/// was just taken out; packet is as it came in.
void run_kept(Packet& packet, const Fragments::Due& due, const Snapshot& snapshot, WorkerState& worker,
              base::Tick now) noexcept;

}  // namespace sluice::dp
