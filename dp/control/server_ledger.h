#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "config/report.h"
#include "dp/control/service_compiler.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// Turns the workers' counters, which are kept by slot and only ever rise, into those of a server or a
/// service by name: a slot that changes hands starts anew at zero, and what a removed server counted stays
/// with its service. Thread: control.
class ServerLedger {
 public:
  explicit ServerLedger(std::vector<const WorkerState*> workers) : workers_(std::move(workers)) {}

  /// To be called after each compile().
  void follow(const ServiceCompiler& compiler);

  /// Of the server that has the slot now.
  [[nodiscard]] config::TrafficCounters server(std::uint16_t slot) const;
  /// Of servers that the service no longer has; connections_current is 0.
  [[nodiscard]] config::TrafficCounters removed_servers(const std::string& service) const;
  /// Server slots to which flows refer, be they open or closed.
  [[nodiscard]] std::vector<bool> slots_in_use() const;

  static void add(config::TrafficCounters& sum, const config::TrafficCounters& more) noexcept;

 private:
  struct Holder {
    std::string service, server;
    base::Endpoint endpoint;
    friend bool operator==(const Holder&, const Holder&) = default;
  };
  struct Account {
    Holder holder;
    config::TrafficCounters at_start;  ///< what the slot's counters stood at when the holder got it
  };
  [[nodiscard]] config::TrafficCounters sum(std::uint16_t slot) const;

  std::vector<const WorkerState*> workers_;
  std::map<std::uint16_t, Account> accounts_;               ///< by slot
  std::map<std::string, config::TrafficCounters> removed_;  ///< by service
};

}  // namespace sluice::dp
