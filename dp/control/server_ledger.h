#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "config/report.h"
#include "dp/control/service_compiler.h"
#include "dp/syn_store.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// What is counted for a server, or for several.
struct ServerTally {
  config::TrafficCounters traffic;
  config::HandshakeCounters handshakes;
  config::QueueCounters queue;  ///< without oldest_ms

  void add(const ServerTally& more) noexcept;
  /// What was counted since `start`. connections_current and waiting are levels, and stay.
  [[nodiscard]] ServerTally since(const ServerTally& start) const noexcept;
};

/// Turns the workers' counters, which are kept by slot and only ever rise, into those of a server or a
/// service by name: a slot that changes hands starts anew at zero, and what a removed server counted stays
/// with its service. Thread: control.
class ServerLedger {
 public:
  explicit ServerLedger(std::vector<const WorkerState*> workers) : workers_(std::move(workers)) {}

  /// To be called after each compile(). Returns the slots that have a new holder.
  std::vector<std::uint16_t> follow(const ServiceCompiler& compiler);

  /// Of the server that has the slot now.
  [[nodiscard]] ServerTally server(std::uint16_t slot) const;
  /// Of servers that the service no longer has; connections_current is 0.
  [[nodiscard]] ServerTally removed_servers(const std::string& service) const;
  /// What is counted by service slot, not by server.
  struct ServiceTally {
    config::QueueCounters queue;  ///< SYNs that wait for any of its servers; without oldest_ms
    config::ClientCounters clients;
  };
  /// By service.
  [[nodiscard]] std::map<std::string, ServiceTally> services() const;
  /// Server slots to which flows refer, be they open or closed.
  [[nodiscard]] std::vector<bool> slots_in_use() const;

 private:
  struct Holder {
    std::string service, server;
    base::Endpoint endpoint;
    friend bool operator==(const Holder&, const Holder&) = default;
  };
  struct Account {
    Holder holder;
    ServerTally at_start;  ///< what the slot's counters stood at when the holder got it
  };
  struct ServiceAccount {
    std::string service;
    ServiceTally at_start;
  };
  [[nodiscard]] ServerTally sum(std::uint16_t slot) const;
  [[nodiscard]] config::QueueCounters sum_queue(SynQueue queue) const;
  [[nodiscard]] ServiceTally sum_service(std::uint16_t slot) const;
  void follow_services(const ServiceCompiler& compiler);

  std::vector<const WorkerState*> workers_;
  std::map<std::uint16_t, Account> accounts_;          ///< by slot
  std::map<std::uint16_t, ServiceAccount> services_;   ///< by service slot
  std::map<std::string, ServiceTally> past_services_;  ///< of slots that services have left
  std::map<std::string, ServerTally> removed_;         ///< by service
};

}  // namespace sluice::dp
