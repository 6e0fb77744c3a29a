#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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
  std::uint32_t weight = 0;    ///< share of new connections, 0..4096; 0: none, existing ones go on
  std::uint32_t maxconn = 0;   ///< connections at one time, now (a slow start counted in); 0: no limit
  std::uint32_t maxqueue = 0;  ///< connections that wait for this very server; 0: no limit
  /// How often its connections were to be ended, by RST to both sides; dp ends them whenever it has risen,
  /// though nothing else may tell that the server was gone in between.
  std::uint32_t shutdowns = 0;
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
  IdleRefresh idle_refresh = IdleRefresh::any;
  SynCookies syn_cookies = SynCookies::automatic;
  NoServer no_server = NoServer::reset;  ///< fail_open is cp's work: to dp the same as reset
  Clients clients;
  std::uint32_t maxconn = 0;  ///< connections at one time; 0: no limit
  std::uint16_t retries = 3;
  bool redispatch = true;
  Mss mss;
  std::vector<base::IpAddress> local_addresses;  ///< never empty
  PortRange source_ports;
  std::vector<ForwardingServer> servers;
  friend bool operator==(const ForwardingService&, const ForwardingService&) = default;
};

struct ForwardingState {
  std::uint64_t generation = 0;  ///< rises with every change; dp acknowledges it once workers run it
  std::uint32_t maxconn = 0;     ///< connections of all services at one time; 0: no limit
  /// How long the connections of a server that is no longer named may live on; none: as long as they like.
  std::optional<Milliseconds> hard_stop_after{};
  std::vector<ForwardingService> services;
  friend bool operator==(const ForwardingState&, const ForwardingState&) = default;
};

/// What a server is to get now, from its configuration, its health and its operator.
using ForwardingOf = std::function<ForwardingServer(const Service&, const Server&)>;

/// What dp is to do for `config`, in the configuration's order. Pure.
[[nodiscard]] ForwardingState forwarding_of(const Config& config, std::uint64_t generation,
                                            const ForwardingOf& forwarding_of_server);

}  // namespace sluice::config
