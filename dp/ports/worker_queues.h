#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/result.h"

/// Which worker serves which queues of a device, so that workers share nothing but SPSC rings.
///
/// Theory of operation. Receive queue q is polled by worker q mod W, and by no other thread. Transmit queue w
/// is worker w's own. Where the device has fewer transmit queues than there are workers (net_af_xdp has as
/// many as the NIC has channels), the workers beyond hand their frames to worker w mod Q over a ring, and
/// that one sends them in its next flush(). No PMD queue is ever touched by two threads, and none needs a
/// lock.
namespace sluice::dp {

struct RingFree {
  void operator()(rte_ring* ring) const noexcept { ::rte_ring_free(ring); }
};

class WorkerQueues {
 public:
  /// One queue of one DPDK device.
  struct Queue {
    std::uint16_t ethdev = 0;
    std::uint16_t queue = 0;
  };
  /// `rx` and `tx`: the queues of the port, which may belong to several devices; neither is empty.
  /// Error: no memory for the rings. Thread: the control thread.
  static base::Result<WorkerQueues> make(const std::vector<Queue>& rx, const std::vector<Queue>& tx,
                                         std::uint16_t workers);
  WorkerQueues(WorkerQueues&&) noexcept = default;
  WorkerQueues& operator=(WorkerQueues&&) = delete;
  /// Frees what still waits in the rings. REQUIRES: no worker runs.
  ~WorkerQueues();

  /// Up to `count` frames from the worker's receive queues. Thread: the worker's own.
  [[nodiscard]] std::uint16_t receive(std::uint16_t worker, rte_mbuf** mbufs, std::uint16_t count) noexcept {
    Lane& lane = *lanes_[worker];
    const auto queues = static_cast<std::uint16_t>(lane.rx.size());
    std::uint16_t received = 0;
    for (std::uint16_t i = 0; i < queues && received < count; ++i) {
      if (lane.next_rx >= queues) lane.next_rx = 0;
      const Queue from = lane.rx[lane.next_rx];
      received = static_cast<std::uint16_t>(received +
                                            ::rte_eth_rx_burst(from.ethdev, from.queue, mbufs + received,
                                                               static_cast<std::uint16_t>(count - received)));
      ++lane.next_rx;
    }
    return received;
  }

  /// Sends frames, or hands them to the worker who does; returns how many were taken, from the front. The
  /// others stay the caller's. The mbufs are single-segment, direct and unshared (net_af_xdp can send no
  /// other). Thread: the worker's own.
  [[nodiscard]] std::uint16_t transmit(std::uint16_t worker, rte_mbuf** mbufs, std::uint16_t count) noexcept {
    Lane& lane = *lanes_[worker];
    if (lane.to_owner == nullptr) return ::rte_eth_tx_burst(lane.tx.ethdev, lane.tx.queue, mbufs, count);
    const auto taken = static_cast<std::uint16_t>(
        ::rte_ring_sp_enqueue_burst(lane.to_owner.get(), reinterpret_cast<void**>(mbufs), count, nullptr));
    add(lane.handed_over, taken);
    return taken;
  }

  /// Sends what other workers left with this one; returns how many frames. Call once per round of the
  /// worker's loop. Frames that the device does not take are dropped and counted. Thread: the worker's own.
  std::uint16_t flush(std::uint16_t worker) noexcept {
    Lane& lane = *lanes_[worker];
    std::uint16_t sent = 0;
    for (rte_ring* ring : lane.from_others) {
      rte_mbuf* mbufs[kFlushBurst];
      const auto count = static_cast<std::uint16_t>(
          ::rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(mbufs), kFlushBurst, nullptr));
      if (count == 0) continue;
      const std::uint16_t done = ::rte_eth_tx_burst(lane.tx.ethdev, lane.tx.queue, mbufs, count);
      if (done < count) [[unlikely]] {
        ::rte_pktmbuf_free_bulk(mbufs + done, count - done);
        add(lane.dropped, static_cast<std::uint64_t>(count - done));
      }
      sent = static_cast<std::uint16_t>(sent + count);
    }
    return sent;
  }

  [[nodiscard]] std::uint16_t rx_queues() const noexcept { return rx_queues_; }
  [[nodiscard]] std::uint16_t tx_queues() const noexcept { return tx_queues_; }
  /// Whether the worker has a receive queue here: one that has none need not poll.
  [[nodiscard]] bool receives(std::uint16_t worker) const noexcept { return !lanes_[worker]->rx.empty(); }
  /// Frames that were sent through another worker, and of these, those that the device did not take. Thread:
  /// any.
  [[nodiscard]] std::uint64_t handed_over() const noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept;

 private:
  static constexpr std::uint16_t kFlushBurst = 32;

  /// One worker's share. Written by its worker only.
  struct alignas(64) Lane {
    std::vector<Queue> rx;
    std::uint16_t next_rx = 0;
    Queue tx;
    std::unique_ptr<rte_ring, RingFree> to_owner;  ///< null: the worker has a transmit queue itself
    std::vector<rte_ring*> from_others;
    std::atomic<std::uint64_t> handed_over{0};
    std::atomic<std::uint64_t> dropped{0};
  };

  WorkerQueues(std::uint16_t rx_queues, std::uint16_t tx_queues) noexcept
      : rx_queues_(rx_queues), tx_queues_(tx_queues) {}
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::uint16_t rx_queues_;
  std::uint16_t tx_queues_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // by worker
};

}  // namespace sluice::dp
