#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/forwarding.h"
#include "dp/kernel/kernel_sockets.h"
#include "dp/snapshot.h"

/// Theory of operation. The compiler turns what cp wants (ForwardingState) into what workers read
/// (ServiceTables). It remembers the slots that it gave to services and servers, because flows refer to them:
/// what stays in the configuration keeps its slot, what is removed keeps it until its last flow has ended (it
/// drains: weight 0). Source-port pools belong to (protocol, local address, server endpoint, range),
/// whichever services share that, and live as long as a server that uses them. What did not change is shared
/// with the tables before.
namespace sluice::dp {

class ServiceCompiler {
 public:
  explicit ServiceCompiler(unsigned workers) noexcept : workers_(workers) {}

  /// Compiles `state`. Errors, with nothing changed: families that do not go together, a local address with
  /// two source ranges, two services on one endpoint, more services, servers or pools than there are slots;
  /// no memory for a table of clients. Thread: control.
  base::Result<std::shared_ptr<const ServiceTables>> compile(const config::ForwardingState& state,
                                                             const KernelPorts& kernel_ports);

  /// What holds a server slot.
  struct ServerSlot {
    std::string service, server;
    base::Endpoint endpoint;
    std::uint32_t weight = 0;
    std::uint32_t maxconn = 0, maxqueue = 0;
    bool draining = false;  ///< no longer configured; lives for its flows
    std::vector<std::uint16_t> pools;
  };
  struct ServiceSlot {
    config::ForwardingService service;
    bool draining = false;
  };
  /// By slot; null: free.
  [[nodiscard]] const std::vector<const ServerSlot*>& servers() const noexcept { return servers_by_slot_; }
  [[nodiscard]] const std::vector<const ServiceSlot*>& services() const noexcept { return services_by_slot_; }

  /// Says which server slots have flows; compile() frees draining ones that have none, and pools that no
  /// server uses any more and no flow either. True when it would free any. Pre: every worker runs the tables
  /// compiled last, else one may just be giving a server its first flow.
  bool note_flows(std::vector<bool> in_use);

 private:
  /// Name, VIP, protocol, mode: a service whose mode changes is another, beside which the one before drains.
  using ServiceKey = std::tuple<std::string, base::Endpoint, config::Protocol, config::Mode>;
  using ServerKey = std::tuple<ServiceKey, std::string, base::Endpoint>;  // service, name, endpoint
  using PoolKey = std::tuple<config::Protocol, base::IpAddress, base::Endpoint, std::uint16_t, std::uint16_t>;
  template <typename Value>
  struct Slotted {
    std::uint16_t slot = kNoIndex;
    Value value;
  };
  /// What Choices were made from, to share them when the same comes again.
  struct ChoicesSource {
    config::Balance balance{};
    std::vector<std::pair<std::uint16_t, std::uint32_t>> servers;  // slot, weight
    std::shared_ptr<const Choices> choices;
  };
  /// What ClientRules were made from. Their table lives as long as the service has its slot, because flows
  /// have places in it.
  struct ClientsSource {
    config::Clients clients;
    std::shared_ptr<const ClientRules> rules;
  };
  /// All that compile() changes: worked on as a copy, which takes the original's place when all went well.
  struct Registry {
    std::map<ServiceKey, Slotted<ServiceSlot>> services;
    std::map<ServerKey, Slotted<ServerSlot>> servers;
    std::map<PoolKey, Slotted<std::shared_ptr<std::vector<PortPool>>>> pools;
    std::map<ServiceKey, ChoicesSource> choices;
    std::map<ServiceKey, ClientsSource> clients;
    std::uint16_t last_table = 0;  ///< ClientTable::id that was given last
  };
  class Build;

  unsigned workers_;
  std::uint64_t serial_ = 0;  // of the tables compiled last
  Registry registry_;
  std::vector<const ServerSlot*> servers_by_slot_;
  std::vector<const ServiceSlot*> services_by_slot_;
  std::vector<bool> in_use_;
  std::vector<bool> idle_pools_;  // by slot; says nothing when empty
};

}  // namespace sluice::dp
