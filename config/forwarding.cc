#include "config/forwarding.h"

namespace sluice::config {

ForwardingState forwarding_of(const Config& config, std::uint64_t generation,
                              const ForwardingOf& forwarding_of_server) {
  ForwardingState state{.generation = generation,
                        .maxconn = config.global.maxconn,
                        .hard_stop_after = config.global.hard_stop_after,
                        .services = {}};
  state.services.reserve(config.services.size());
  for (const Service& service : config.services) {
    ForwardingService& out = state.services.emplace_back();
    out.name = service.name;
    out.vip = service.vip;
    out.protocol = service.protocol;
    out.mode = service.mode;
    out.balance = service.balance;
    out.hash_key = service.hash_key;
    out.timeouts = service.timeouts;
    out.idle_refresh = service.idle_refresh;
    out.syn_cookies = service.syn_cookies;
    out.no_server = service.no_server;
    out.clients = service.clients;
    out.maxconn = service.maxconn;
    out.retries = service.retries;
    out.redispatch = service.redispatch;
    out.mss = service.mss;
    out.local_addresses = service.local_addresses;
    out.source_ports = service.source_ports;
    out.servers.reserve(service.servers.size());
    for (const Server& server : service.servers) {
      out.servers.push_back(forwarding_of_server(service, server));
    }
  }
  return state;
}

}  // namespace sluice::config
