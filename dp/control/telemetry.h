#pragma once

#include <memory>
#include <mutex>

#include "base/result.h"
#include "config/report.h"

namespace sluice::dp {

/// Answers DPDK's telemetry socket (dpdk-telemetry.py) under /sluice/: info, drops, workers, worker,N, ports,
/// port,NAME, servers, server,SERVICE/SERVER. Telemetry has a thread of its own: it is given finished
/// reports, at most one second old. One per process, since DPDK's commands cannot be taken back; it must
/// outlive EAL, whose thread calls it.
class Telemetry {
 public:
  /// Registers the commands. Errors: system.
  static base::Result<std::unique_ptr<Telemetry>> start();
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;
  /// Thread: control.
  void update(config::DataplaneReport report);
  /// The report given last; null when there was none. Thread: any.
  [[nodiscard]] std::shared_ptr<const config::DataplaneReport> latest() const;

 private:
  Telemetry() = default;
  mutable std::mutex mutex_;
  std::shared_ptr<const config::DataplaneReport> report_;
};

}  // namespace sluice::dp
