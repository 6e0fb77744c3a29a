#pragma once

#include <atomic>
#include <cstdint>

#include <rte_rcu_qsbr.h>

#include "config/model.h"
#include "dp/control/explain.h"
#include "dp/control/flow_query.h"
#include "dp/dispose.h"
#include "dp/handover.h"
#include "dp/pipeline.h"
#include "dp/ports/ports.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// What all workers share with the control thread.
struct WorkerShared {
  std::atomic<const Snapshot*> snapshot{
      nullptr};  ///< never null once workers run; written by the control thread
  std::atomic<bool> stop{false};
  rte_rcu_qsbr* quiescence = nullptr;  ///< each worker reports once per round
  std::uint64_t start_tsc = 0;         ///< tick 0
  std::uint64_t tsc_per_ms = 1;
};

/// The tick of a time stamp counter.
[[nodiscard]] inline base::Tick tick_at(std::uint64_t tsc, const WorkerShared& shared) noexcept {
  return {static_cast<std::uint32_t>((tsc - shared.start_tsc) / shared.tsc_per_ms)};
}

/// A poll-mode worker: takes bursts from its queues and from the other workers, runs the stages, looks after
/// timers. Thread: run() in its lcore; the rest from the control thread where said.
class Worker {
 public:
  Worker(WorkerState& state, WorkerShared& shared, PortSet& ports, Handover& handover, MbufTag tag,
         config::IdlePolicy idle);

  /// Until WorkerShared::stop. One TSC read per round; no other system call than the short sleeps of an idle
  /// worker.
  void run() noexcept;

  /// Hands a query to the worker; false while an earlier one of its kind is in progress. Thread: control.
  bool ask(FlowQuery* query) noexcept;
  bool ask(ExplainQuery* query) noexcept;

  /// A next hop that the worker needs to know. Thread: control.
  [[nodiscard]] std::optional<NeighbourRequest> next_neighbour_request() noexcept {
    return state_.neighbour_requests->pop();
  }

  [[nodiscard]] const WorkerState& state() const noexcept { return state_; }
  [[nodiscard]] const TwinCounters& twin_counters(std::uint16_t port) const noexcept {
    return disposer_.twin_counters(port);
  }

 private:
  std::uint32_t poll_ports(const Snapshot& snapshot, base::Tick now) noexcept;
  std::uint32_t poll_workers(const Snapshot& snapshot, base::Tick now) noexcept;
  std::uint32_t run_stored_syns(const Snapshot& snapshot, base::Tick now) noexcept;
  std::uint32_t run_kept_fragments(const Snapshot& snapshot, base::Tick now) noexcept;
  void fill(Packet& packet, rte_mbuf* mbuf) const noexcept;
  void answer_query(const Snapshot& snapshot, base::Tick now) noexcept;
  void retry_parked(const Snapshot& snapshot, base::Tick now) noexcept;
  void handle(rte_mbuf** mbufs, std::uint16_t count, Origin origin, const Snapshot& snapshot,
              base::Tick now) noexcept;
  void housekeeping(const Snapshot& snapshot, base::Tick now) noexcept;
  void rest() noexcept;

  WorkerState& state_;
  WorkerShared& shared_;
  PortSet& ports_;
  Handover& handover_;
  MbufTag tag_;
  Disposer disposer_;
  config::IdlePolicy idle_;
  std::uint32_t idle_rounds_ = 0;
  base::Tick last_housekeeping_;
  std::uint64_t seen_serial_ = 0;
  std::atomic<FlowQuery*> query_{nullptr};
  std::atomic<ExplainQuery*> explain_{nullptr};
  std::array<std::uint16_t, RTE_MAX_ETHPORTS> port_of_ethdev_{};
};

}  // namespace sluice::dp
