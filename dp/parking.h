#pragma once

#include <array>
#include <cstdint>

#include <rte_mbuf.h>

#include "base/clock.h"

namespace sluice::dp {

/// Packets of one worker that wait until the link address of their next hop is known. Bounded in number and
/// time, so that a host that asks for many addresses nobody has cannot hold more than this. Thread: its
/// worker.
class Parking {
 public:
  static constexpr std::uint32_t kPlaces = 256;
  /// The kernel gives a neighbour up after 3 probes, one a second (net.ipv4.neigh.default.retrans_time_ms).
  static constexpr std::int32_t kPatienceMs = 3000;

  Parking() = default;
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;
  ~Parking() {
    for (std::uint32_t i = 0; i < count_; ++i) ::rte_pktmbuf_free(places_[i].mbuf);
  }

  /// False when all places are taken. `since`: when the packet was parked first.
  [[nodiscard]] bool put(rte_mbuf* mbuf, base::Tick since) noexcept {
    if (count_ == kPlaces) return false;
    places_[count_++] = {mbuf, since};
    return true;
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return count_; }

  struct Place {
    rte_mbuf* mbuf = nullptr;
    base::Tick since;
  };
  /// Empties the parking into `out`, oldest first; returns how many.
  std::uint32_t take_all(std::array<Place, kPlaces>& out) noexcept {
    out = places_;
    const std::uint32_t taken = count_;
    count_ = 0;
    return taken;
  }

 private:
  std::array<Place, kPlaces> places_{};
  std::uint32_t count_ = 0;
};

}  // namespace sluice::dp
