#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/model.h"
#include "dp/offline/offline_frame.h"
#include "dp/pipeline.h"

namespace sluice::dp {

/// sluice's packet path without EAL, ports or threads: workers, tables and clock are in the caller's hands.
/// The stages, and all that begins, times and ends flows, are those of sluice-dp; in the place of
/// dp/worker.cc and dp/dispose.cc, which move mbufs, the caller decides when which worker does what, and
/// gets what would have become of each frame. Deterministic: the same calls have the same outcome.
/// Thread: one at a time.
class OfflinePath {
 public:
  /// `hop_use`: one for each worker, which outlive the path. `ports`: what the stages
  /// know of ports, by number. Errors: exhausted.
  static base::Result<std::unique_ptr<OfflinePath>> create(std::span<AdjacencyUse* const> hop_use,
                                                           const config::Dataplane& limits,
                                                           const FlowHash::Seed& seed,
                                                           const std::vector<PortView>& ports,
                                                           base::Tick now);
  OfflinePath(const OfflinePath&) = delete;
  OfflinePath& operator=(const OfflinePath&) = delete;

  /// What workers read from now on.
  void publish(std::shared_ptr<const ServiceTables> services, std::shared_ptr<const AdjacencyTable> next_hops,
               std::uint64_t generation);
  /// The MAC addresses of virtual routers, for whose frames the ports are open beside their own.
  void set_virtual_macs(std::vector<VirtualMac> macs) { snapshot_.virtual_macs = std::move(macs); }
  [[nodiscard]] const Snapshot& snapshot() const noexcept { return snapshot_; }

  [[nodiscard]] unsigned workers() const noexcept { return static_cast<unsigned>(workers_.size()); }
  [[nodiscard]] WorkerState& worker(unsigned id) noexcept { return *workers_[id]; }
  [[nodiscard]] const WorkerState& worker(unsigned id) const noexcept { return *workers_[id]; }
  [[nodiscard]] Load& load() noexcept { return *load_; }
  [[nodiscard]] const Load& load() const noexcept { return *load_; }

  /// What became of a frame: the packet has its verdict. `packet.bytes` lies in the frame.
  struct Handled {
    Packet packet;
    unsigned worker = 0;       ///< that decided
    bool handed_over = false;  ///< from the worker at which it came in
    /// Unchanged until it was handed over; fragments twice at most, by way of their shard, others once.
    bool intact = true;
  };
  /// Runs frames that came in at `worker` through its stages, as one burst; those that are another's then
  /// through the stages of their owner. Fragments that are to be kept are copied. Pre: frames.size() <=
  /// kBurst.
  std::vector<Handled> run(std::span<OfflineFrame> frames, unsigned worker, base::Tick now);
  /// The next fragment of a worker that is kept no more, and what became of it; nothing: there is none.
  struct KeptRun {
    std::uint16_t place = kNoIndex;  ///< where it was; by now another may be there
    OfflineFrame frame;
    Handled handled;
  };
  std::optional<KeptRun> run_kept(unsigned worker, base::Tick now);

  /// A stored SYN whose time has come, and what became of it.
  struct StoredRun {
    std::uint16_t slot = kNoIndex;  ///< in the worker's SynStore; by now it may be free
    OfflineFrame frame;
    Handled handled;
  };
  /// Runs the next stored SYN of a worker; nothing: none is due.
  std::optional<StoredRun> run_stored(unsigned worker, base::Tick now);
  /// Looks after the flows whose timers have come up, at all workers.
  void expire(base::Tick now);

 private:
  OfflinePath() : load_(std::make_unique<Load>()) {}
  Handled follow(OfflineFrame& frame, const Packet& packet, unsigned worker, base::Tick now);

  std::unique_ptr<Load> load_;
  std::vector<std::unique_ptr<WorkerState>> workers_;
  std::vector<const WorkerState*> peers_;
  std::vector<std::map<std::uint16_t, OfflineFrame>> kept_;  ///< by worker and place
  Snapshot snapshot_;
};

}  // namespace sluice::dp
