#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "config/forwarding.h"
#include "config/model.h"
#include "cp/health.h"

namespace sluice::cp {

/// A server by its place in Config::services and Service::servers.
struct ServerKey {
  std::size_t service = 0;
  std::size_t server = 0;
  friend bool operator==(const ServerKey&, const ServerKey&) = default;
};

/// What is wanted (the configuration) and what was seen (the servers' health), and the one place where both
/// become the forwarding state that the data plane is to run. No I/O, no clock: time is passed in.
///
/// Every change of either side ends in one recomputation; where that leads to another state, desired() gets
/// the next generation. Whoever talks to the data plane compares desired().generation with what was
/// acknowledged. Invariant: desired() is never older than what any member function took in. Thread: one.
class Controller {
 public:
  Controller(config::Config config, TimePoint now);

  /// Takes in the result of a check that ended at `now`. Pre: the key is one of this configuration.
  Transition record(ServerKey key, const CheckResult& result, TimePoint now);

  /// Takes in what the data plane runs, at each new connection to it: the generation continues above it, or
  /// is adopted with nothing to do where it is the desired state already. On the first contact of this
  /// process it also inherits from it which servers were down (weight 0 there, not so here, and no check of
  /// ours has ended yet), so that a restart of the control plane sends no connection to a server that is
  /// known to be dead.
  void reconcile(const config::ForwardingState& running, TimePoint now);

  /// The data plane confirmed that it runs `generation`.
  void acknowledge(std::uint64_t generation) noexcept { acknowledged_ = generation; }
  /// The data plane is gone: nothing counts as acknowledged.
  void forget_acknowledged() noexcept { acknowledged_ = 0; }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  [[nodiscard]] bool in_step() const noexcept { return acknowledged_ == desired_.generation; }

  [[nodiscard]] const config::ForwardingState& desired() const noexcept { return desired_; }
  [[nodiscard]] const config::Config& config() const noexcept { return config_; }
  [[nodiscard]] const Health& health(ServerKey key) const { return health_[key.service][key.server]; }
  [[nodiscard]] const config::Service& service(ServerKey key) const { return config_.services[key.service]; }
  [[nodiscard]] const config::Server& server(ServerKey key) const { return service(key).servers[key.server]; }
  /// All servers that have a check, in the order of the configuration.
  [[nodiscard]] std::vector<ServerKey> checked_servers() const;
  /// The servers of a service that get new connections.
  [[nodiscard]] std::size_t active_servers(std::size_t service) const;

 private:
  [[nodiscard]] std::uint32_t effective_weight(ServerKey key) const;
  void recompute();
  void inherit_health(const config::ForwardingState& running, TimePoint now);

  config::Config config_;
  std::vector<std::vector<Health>> health_;  ///< by service, then server
  config::ForwardingState desired_;
  std::uint64_t acknowledged_ = 0;
  bool met_data_plane_ = false;
};

}  // namespace sluice::cp
