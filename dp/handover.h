#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <rte_mbuf.h>

#include "base/result.h"
#include "dp/ports/worker_queues.h"

namespace sluice::dp {

/// Rings by which a worker passes a packet to the worker that owns its flow: one for each ordered pair,
/// single producer, single consumer. The packet runs through the owner's stages from the start.
class Handover {
 public:
  static constexpr unsigned kDepth = 1024;

  /// Errors: exhausted. Thread: control, before the workers start.
  static base::Result<Handover> make(unsigned workers);
  Handover(Handover&&) noexcept = default;
  /// Frees what still waits. REQUIRES: no worker runs.
  ~Handover();

  /// Thread: worker `from`. False when the ring is full.
  [[nodiscard]] bool push(unsigned from, unsigned to, rte_mbuf* mbuf) noexcept {
    return ::rte_ring_sp_enqueue(ring(from, to), mbuf) == 0;
  }
  /// Thread: worker `to`.
  [[nodiscard]] std::uint16_t pop(unsigned from, unsigned to, rte_mbuf** mbufs,
                                  std::uint16_t count) noexcept {
    return static_cast<std::uint16_t>(
        ::rte_ring_sc_dequeue_burst(ring(from, to), reinterpret_cast<void**>(mbufs), count, nullptr));
  }
  [[nodiscard]] unsigned workers() const noexcept { return workers_; }

 private:
  explicit Handover(unsigned workers) : workers_(workers) {}
  [[nodiscard]] rte_ring* ring(unsigned from, unsigned to) noexcept {
    return rings_[from * workers_ + to].get();
  }

  unsigned workers_;
  std::vector<std::unique_ptr<rte_ring, RingFree>> rings_;  ///< null on the diagonal
};

}  // namespace sluice::dp
