#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <rte_mbuf.h>

#include "base/clock.h"
#include "dp/counters.h"
#include "dp/handover.h"
#include "dp/mbuf_tag.h"
#include "dp/packet.h"
#include "dp/parking.h"
#include "dp/ports/ports.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// What a worker counts for a port's twin.
struct TwinCounters {
  Counter punted;     ///< to the kernel
  Counter from_twin;  ///< from the kernel, out of the port
};

/// The end of every packet: sends it, gives it to the kernel, hands it over, parks or keeps it, or drops it
/// with a counted reason. The only place that lets go of an mbuf; each leaves here exactly once. Thread: its
/// worker.
class Disposer {
 public:
  Disposer(WorkerState& worker, PortSet& ports, Handover& handover, MbufTag tag);
  Disposer(const Disposer&) = delete;
  Disposer& operator=(const Disposer&) = delete;
  ~Disposer();

  /// Acts on the verdicts. `since`: when the packets were parked first, for those that come from the parking.
  void dispose(std::span<Packet> burst, const Snapshot& snapshot, base::Tick since) noexcept;
  /// Sends what the twin's kernel sent out of the port.
  void send_for_kernel(std::uint16_t port, rte_mbuf** mbufs, std::uint16_t count) noexcept;
  /// Sends the frames of the worker's own outbox; what finds no buffer stays there. Returns how many went.
  std::uint32_t send_own() noexcept;
  /// Sends what dispose() has gathered. Call after each burst.
  void flush() noexcept;

  /// A frame that dispose() has kept. Pre: Fragments::take_out() has just named the place.
  [[nodiscard]] rte_mbuf* take_kept(std::uint16_t place) noexcept {
    return std::exchange(kept_[place], nullptr);
  }

  [[nodiscard]] Parking& parking() noexcept { return parking_; }
  [[nodiscard]] const TwinCounters& twin_counters(std::uint16_t port) const noexcept {
    return twin_counters_[port];
  }

 private:
  /// Frames that wait for one transmit call.
  struct Batch {
    static constexpr std::uint16_t kRoom = 64;
    std::uint16_t count = 0;
    std::array<rte_mbuf*, kRoom> mbufs;
  };

  void drop(rte_mbuf* mbuf, DropReason reason) noexcept;
  void punt(const Packet& packet) noexcept;
  /// Sends a packet in fragments.
  void send_split(const Packet& packet, const Adjacency& hop) noexcept;
  void post(Batch& batch, WorkerQueues& queues, DropReason full, rte_mbuf* mbuf) noexcept;
  void send(Batch& batch, WorkerQueues& queues, DropReason full) noexcept;

  WorkerState& worker_;
  PortSet& ports_;
  Handover& handover_;
  MbufTag tag_;
  Parking parking_;
  std::array<rte_mbuf*, Fragments::kPlaces> kept_{};  ///< by place
  std::vector<Batch> to_nic_, to_twin_;               ///< by port
  std::vector<TwinCounters> twin_counters_;
};

}  // namespace sluice::dp
