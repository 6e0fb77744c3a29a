#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/model.h"
#include "dp/eal_log.h"
#include "dp/ports/port_plan.h"

/// DPDK's environment abstraction layer (EAL), started once for the life of the process.
///
/// Theory of operation. lcore 0 is the thread that calls start(): the control thread, floating over all CPUs
/// that the process may use. lcore 1 + w runs worker w: on one CPU of the configured list each, in turn (so
/// several may share one), or floating like the control thread when no list is given. Memory comes from
/// hugepages when enough are free and a hugetlbfs is mounted, else from ordinary pages reserved by size
/// ("-m"). Nothing of the PCI bus is touched unless a port names a device. Several processes coexist by their
/// file prefix, derived from the runtime directory.
///
/// Signals. net_tap (the twins) raises a real-time signal for each frame that the kernel sends; it is blocked
/// in the workers and reaches the control thread, whose system calls then fail with EINTR. SIGIO, which the
/// kernel falls back to when such signals pile up and which would end the process, is ignored.
namespace sluice::dp {

struct EalOptions {
  config::Dataplane dataplane;
  std::string runtime_dir;
  /// MiB that the caller will take from DPDK's heap itself (flow tables, rings), besides what the ports take.
  std::uint32_t caller_memory_mb = 0;
};

class Eal {
 public:
  /// Error, one sentence each: no permission, not enough memory, a bad CPU list, another process with the
  /// same runtime directory. Once per process, successful or not: EAL cannot be started again.
  static base::Result<Eal> start(const EalOptions& options, const PortsPlan& plan);
  Eal(Eal&& other) noexcept;
  Eal& operator=(Eal&&) = delete;
  ~Eal();

  [[nodiscard]] static constexpr unsigned lcore_of(std::uint16_t worker) noexcept { return worker + 1U; }
  /// CPUs that the worker may run on; one when pinned.
  [[nodiscard]] const std::vector<std::uint16_t>& cpus_of(std::uint16_t worker) const noexcept {
    return cpus_[worker];
  }
  [[nodiscard]] bool hugepages() const noexcept { return hugepages_; }
  /// For dpdk-telemetry.py --file-prefix and dpdk-dumpcap --file-prefix.
  [[nodiscard]] const std::string& file_prefix() const noexcept { return file_prefix_; }
  [[nodiscard]] EalLog& log() const noexcept { return *log_; }

 private:
  Eal() = default;

  std::unique_ptr<EalLog> log_;
  std::vector<std::vector<std::uint16_t>> cpus_;  // by worker
  std::string file_prefix_;
  bool hugepages_ = false;
  bool capture_ = false;  // rte_pdump is on
  bool started_ = false;
};

/// "sluice-" + last part of the directory + a hash of the whole path: distinct for distinct directories.
[[nodiscard]] std::string eal_file_prefix(const std::string& runtime_dir);

}  // namespace sluice::dp
