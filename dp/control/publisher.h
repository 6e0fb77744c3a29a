#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <rte_rcu_qsbr.h>

#include "base/result.h"
#include "dp/snapshot.h"
#include "dp/worker.h"

namespace sluice::dp {

/// Puts snapshots before the workers, one pointer store each, and frees the ones before when no worker can
/// still read them (quiescent-state based reclamation). Never waits. Thread: control.
class Publisher {
 public:
  /// Sets shared.quiescence up for `workers`. Errors: exhausted.
  static base::Result<Publisher> make(WorkerShared& shared, unsigned workers);
  Publisher(Publisher&&) noexcept = default;

  /// Gives the snapshot the next serial and publishes it. Returns the serial.
  std::uint64_t publish(std::unique_ptr<Snapshot> snapshot);
  /// Frees what no worker reads any more. To be called now and then.
  void reclaim();

  [[nodiscard]] const Snapshot* current() const noexcept { return current_.get(); }
  [[nodiscard]] std::size_t retired() const noexcept { return retired_.size(); }

 private:
  struct Free {
    void operator()(rte_rcu_qsbr* v) const noexcept;
  };
  explicit Publisher(WorkerShared& shared) noexcept : shared_(&shared) {}

  WorkerShared* shared_;
  std::unique_ptr<rte_rcu_qsbr, Free> quiescence_;
  std::unique_ptr<const Snapshot> current_;
  std::vector<std::pair<std::uint64_t, std::unique_ptr<const Snapshot>>> retired_;  ///< token, snapshot
  std::uint64_t serial_ = 0;
};

}  // namespace sluice::dp
