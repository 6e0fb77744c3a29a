#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/model.h"

/// What cp wants dp to do: the desired forwarding state. A plain value, complete in itself; dp finds out what
/// changed.
namespace sluice::config {

/// A server as dp sees it: where, and what share of new connections. Identified by its name within its
/// service; the same name with another endpoint is another server (the old one drains).
struct ForwardingServer {
  std::string name;
  base::Endpoint endpoint;
  std::uint32_t weight = 0;  ///< share of new connections, 0..4096; 0: none, existing ones go on
  friend bool operator==(const ForwardingServer&, const ForwardingServer&) = default;
};

struct ForwardingService {
  std::string name;
  base::Endpoint vip;
  Protocol protocol = Protocol::tcp;
  Mode mode = Mode::fullnat;
  Balance balance = Balance::roundrobin;
  HashKey hash_key = HashKey::source;
  Timeouts timeouts;
  std::vector<base::IpAddress> local_addresses;  ///< never empty
  PortRange source_ports;
  std::vector<ForwardingServer> servers;
  friend bool operator==(const ForwardingService&, const ForwardingService&) = default;
};

struct ForwardingState {
  std::uint64_t generation = 0;  ///< rises with every change; dp acknowledges it once workers run it
  std::vector<ForwardingService> services;
  friend bool operator==(const ForwardingState&, const ForwardingState&) = default;
};

/// The weight that a server is to have now, from its configuration and its health.
using WeightOf = std::function<std::uint32_t(const Service&, const Server&)>;

/// What dp is to do for `config`, in the configuration's order. Pure.
[[nodiscard]] ForwardingState forwarding_of(const Config& config, std::uint64_t generation,
                                            const WeightOf& weight_of);

}  // namespace sluice::config
