#include "dp/control/service_compiler.h"

#include <algorithm>
#include <limits>
#include <set>

#include "dp/maglev.h"
#include "dp/schedule.h"

namespace sluice::dp {
namespace {

/// HAProxy's pause before it tries a server again that has failed.
constexpr std::uint32_t kRetryMs = 1'000;

base::IpProto proto_of(config::Protocol protocol) noexcept {
  return protocol == config::Protocol::udp ? base::IpProto::udp : base::IpProto::tcp;
}

base::Error invalid(const config::ForwardingService& service, const std::string& what) {
  return {base::ErrorCode::invalid, "service \"" + service.name + "\": " + what};
}

Choices make_choices(config::Balance balance,
                     const std::vector<std::pair<std::uint16_t, std::uint32_t>>& servers,
                     const std::vector<std::string>& names) {
  Choices choices;
  std::vector<std::uint32_t> weights;
  for (const auto& [slot, weight] : servers) {
    weights.push_back(weight);
    choices.servers.push_back(slot);
  }
  const auto add = [&](const std::vector<std::uint16_t>& indexes) {
    for (const std::uint16_t i : indexes) choices.order.push_back(servers[i].first);
    return indexes;
  };
  switch (balance) {
    case config::Balance::roundrobin: {
      const RoundRobin ring = build_round_robin(weights);
      add(ring.order);
      for (const std::uint16_t i : ring.first_lap) choices.first_lap.push_back(servers[i].first);
      break;
    }
    case config::Balance::random:
      for (const std::uint16_t i : add(build_round_robin(weights).order))
        choices.weights.push_back(weights[i]);
      break;
    case config::Balance::source:
    case config::Balance::hash: {
      std::vector<MaglevBackend> backends;
      for (std::size_t i = 0; i < servers.size(); ++i) backends.push_back({names[i], weights[i]});
      add(build_maglev(backends));
      break;
    }
    case config::Balance::leastconn:
    case config::Balance::first:
      for (const auto& [slot, weight] : servers) choices.order.push_back(slot);
      choices.weights = weights;
      break;
  }
  return choices;
}

void set_bit(std::vector<std::uint64_t>& bits, std::uint16_t port) {
  bits[port / 64] |= std::uint64_t{1} << (port % 64);
}

}  // namespace

/// One run of compile(): works on a copy of the registry.
class ServiceCompiler::Build {
 public:
  Build(Registry registry, std::vector<bool> in_use, std::vector<bool> idle_pools, unsigned workers)
      : registry_(std::move(registry)),
        in_use_(std::move(in_use)),
        idle_pools_(std::move(idle_pools)),
        workers_(workers) {
    idle_pools_.resize(kMaxPools);
    in_use_.resize(kMaxServers);
  }

  base::Result<void> run(const config::ForwardingState& state, const KernelPorts& kernel_ports) {
    if (auto added = add_configured(state); !added) return added;
    drain_removed();
    ephemeral_.assign(65536 / 64, 0);
    for (unsigned port = 0; port < 65536; ++port) {
      const auto p = static_cast<std::uint16_t>(port);
      if (kernel_ports.is_ephemeral(p)) set_bit(ephemeral_, p);
    }
    if (auto served = number_addresses(); !served) return served;
    if (auto filled = fill_services(); !filled) return filled;
    if (auto filled = fill_servers(); !filled) return filled;
    tables_->maxconn = state.maxconn;
    serve_pools();
    exclude_ports(kernel_ports);
    index_addresses();
    return {};
  }

  Registry registry_;
  std::vector<bool> in_use_;
  std::shared_ptr<ServiceTables> tables_ = std::make_shared<ServiceTables>();

 private:
  static ServiceKey key_of(const config::ForwardingService& s) { return {s.name, s.vip, s.protocol, s.mode}; }

  base::Result<void> add_configured(const config::ForwardingState& state) {
    std::set<std::pair<base::Endpoint, config::Protocol>> endpoints;
    for (auto& [key, entry] : registry_.services) entry.value.draining = true;
    for (auto& [key, entry] : registry_.servers) {
      // A worker may give it a flow until it sees the new tables: in use until note_flows() has said
      // otherwise since.
      if (!entry.value.draining) in_use_[entry.slot] = true;
      entry.value.draining = true;
    }
    for (const config::ForwardingService& service : state.services) {
      if (!endpoints.insert({service.vip, service.protocol}).second) {
        return invalid(service, service.vip.to_string() + " belongs to another service already");
      }
      if (service.source_ports.first == 0 || service.source_ports.first > service.source_ports.last) {
        return invalid(service, "source ports " + std::to_string(service.source_ports.first) + "-" +
                                    std::to_string(service.source_ports.last) + " are no range from 1 on");
      }
      if (service.local_addresses.empty()) return invalid(service, "has no local address");
      for (const base::IpAddress& local : service.local_addresses) {
        if (local.family() != service.vip.address.family()) {
          return invalid(service,
                         "local address " + local.to_string() + " is of another family than the VIP");
        }
      }
      auto& slot = registry_.services[key_of(service)];
      if (slot.slot == kNoIndex) {
        slot.slot = fresh_service_slot();
        if (slot.slot == kNoIndex)
          return invalid(service, "more services than " + std::to_string(kMaxServices));
      }
      slot.value = {service, false};
      for (const config::ForwardingServer& server : service.servers) {
        if (server.endpoint.address.family() != service.vip.address.family()) {
          return invalid(service, "server \"" + server.name + "\" is of another family than the VIP");
        }
        auto& entry = registry_.servers[{key_of(service), server.name, server.endpoint}];
        if (entry.slot == kNoIndex) {
          entry.slot = fresh_server_slot();
          if (entry.slot == kNoIndex)
            return invalid(service, "more servers than " + std::to_string(kMaxServers));
        }
        entry.value = {.service = service.name,
                       .server = server.name,
                       .endpoint = server.endpoint,
                       .weight = server.weight,
                       .maxconn = server.maxconn,
                       .maxqueue = server.maxqueue,
                       .draining = false,
                       .pools = {}};
      }
    }
    return {};
  }

  /// A slot that no entry has; an entry that was just made has none itself. kNoIndex when all are taken.
  std::uint16_t fresh_service_slot() { return fresh(registry_.services, kMaxServices, next_service_); }
  std::uint16_t fresh_server_slot() { return fresh(registry_.servers, kMaxServers, next_server_); }
  template <typename Map>
  static std::uint16_t fresh(const Map& map, std::uint16_t limit, std::vector<std::uint16_t>& free) {
    if (free.empty()) {
      std::vector<bool> taken(limit);
      for (const auto& [key, entry] : map) {
        if (entry.slot != kNoIndex) taken[entry.slot] = true;
      }
      for (std::uint16_t i = limit; i-- > 0;) {
        if (!taken[i]) free.push_back(i);
      }
      if (free.empty()) return kNoIndex;
    }
    const std::uint16_t slot = free.back();
    free.pop_back();
    return slot;
  }

  /// Keeps what is no longer configured as long as it has flows.
  void drain_removed() {
    std::set<ServiceKey> needed;
    std::erase_if(registry_.servers,
                  [&](const auto& item) { return item.second.value.draining && !in_use_[item.second.slot]; });
    for (auto& [key, entry] : registry_.servers) {
      if (!entry.value.draining) continue;
      entry.value.weight = 0;
      needed.insert(std::get<0>(key));
    }
    std::erase_if(registry_.services, [&](const auto& item) {
      return item.second.value.draining && !needed.contains(item.first);
    });
    const auto is_gone = [&](const auto& item) { return !registry_.services.contains(item.first); };
    std::erase_if(registry_.choices, is_gone);
    std::erase_if(registry_.clients, is_gone);
  }

  std::uint16_t number(const base::IpAddress& address) {
    const auto [it, fresh] =
        numbers_.try_emplace(address, static_cast<std::uint16_t>(tables_->addresses.size()));
    if (fresh)
      tables_->addresses.push_back(
          {.address = address, .is_local = false, .source_ports = {}, .excluded = {}});
    return it->second;
  }

  base::Result<void> number_addresses() {
    for (const auto& [key, entry] : registry_.services) {
      const config::ForwardingService& service = entry.value.service;
      number(service.vip.address);
      if (entry.value.draining) continue;  // its ports: serve_pools()
      for (const base::IpAddress& local : service.local_addresses) {
        ServedAddress& address = tables_->addresses[number(local)];
        if (address.is_local && address.source_ports != service.source_ports) {
          return invalid(service, "local address " + local.to_string() +
                                      " has other source_ports in another service: they must be the same");
        }
        address.is_local = true;
        address.source_ports = service.source_ports;
      }
    }
    return {};
  }

  base::Result<void> fill_services() {
    for (auto& [key, entry] : registry_.services) {
      const config::ForwardingService& from = entry.value.service;
      if (tables_->services.size() <= entry.slot) tables_->services.resize(entry.slot + std::size_t{1});
      Service& to = tables_->services[entry.slot];
      const auto ms = [](config::Milliseconds d) {
        return static_cast<std::uint32_t>(
            std::clamp<std::int64_t>(d.count(), 1, std::numeric_limits<std::int32_t>::max()));
      };
      to.proto = proto_of(from.protocol);
      to.mode = from.mode;
      to.balance = from.balance;
      to.hash_key = from.hash_key;
      const bool udp = from.protocol == config::Protocol::udp;
      to.half_open_ms = udp ? ms(from.timeouts.udp) : ms(from.timeouts.connect);
      to.maxconn = from.maxconn;
      to.queue_ms = ms(from.timeouts.queue.value_or(from.timeouts.connect));
      to.retry_ms = std::min(ms(from.timeouts.connect), kRetryMs);
      to.retries = from.retries;
      to.redispatch = from.redispatch;
      to.mss = from.mss.limit;
      to.refuses = from.no_server != config::NoServer::drop;
      const config::Timeouts& t = from.timeouts;
      const config::Milliseconds open = udp ? t.udp : t.tunnel.value_or(std::min(t.client, t.server));
      to.open_ms = ms(open);
      to.client_closed_ms = ms(t.server_fin.value_or(open));
      to.server_closed_ms = ms(t.client_fin.value_or(open));
      to.idle_refresh = from.idle_refresh;
      to.syn_cookies = from.syn_cookies;
      for (const base::IpAddress& local : from.local_addresses) to.local_addresses.push_back(number(local));
      if (!entry.value.draining) to.choices = choices_for(key, entry.value.service);
      auto clients = clients_for(key, from);
      if (!clients) return std::move(clients).error();
      to.clients = *clients;
    }
    return {};
  }

  /// Null: there are no rules, and never were any.
  base::Result<const ClientRules*> clients_for(const ServiceKey& key,
                                               const config::ForwardingService& service) {
    const config::Clients& wanted = service.clients;
    ClientsSource& source = registry_.clients[key];
    if (source.rules == nullptr && wanted.allow.empty() && wanted.deny.empty() && !wanted.counts()) {
      registry_.clients.erase(key);
      return nullptr;
    }
    if (source.rules == nullptr || source.clients != wanted) {
      if (++registry_.last_table == 0) ++registry_.last_table;
      auto rules =
          make_client_rules(wanted, service.vip.address.family(), source.rules.get(), registry_.last_table);
      if (!rules) return invalid(service, rules.error().message);
      source = {wanted, std::move(*rules)};
    }
    tables_->client_rules.push_back(source.rules);
    return source.rules.get();
  }

  const Choices* choices_for(const ServiceKey& key, const config::ForwardingService& service) {
    std::vector<std::pair<std::uint16_t, std::uint32_t>> servers;
    std::vector<std::string> names;
    for (const config::ForwardingServer& server : service.servers) {
      if (server.weight == 0) continue;
      servers.emplace_back(registry_.servers.at({key, server.name, server.endpoint}).slot, server.weight);
      names.push_back(server.name);
    }
    ChoicesSource& source = registry_.choices[key];
    if (source.choices == nullptr || source.balance != service.balance || source.servers != servers) {
      source = {service.balance, servers,
                std::make_shared<const Choices>(make_choices(service.balance, servers, names))};
    }
    tables_->choices.push_back(source.choices);
    return source.choices.get();
  }

  base::Result<void> fill_servers() {
    std::set<PoolKey> used;
    std::set<EndpointSet::Entry> dnat_servers;
    for (auto& [key, entry] : registry_.servers) {
      const auto& service = registry_.services.at(std::get<0>(key));
      if (tables_->servers.size() <= entry.slot) tables_->servers.resize(entry.slot + std::size_t{1});
      Server& to = tables_->servers[entry.slot];
      to.address = entry.value.endpoint.address;
      to.port = base::Be16{entry.value.endpoint.port};
      to.service = service.slot;
      to.usable = entry.value.weight != 0;
      to.maxconn = entry.value.maxconn;
      to.maxqueue = entry.value.maxqueue;
      if (Service& its = tables_->services[service.slot]; its.mode == config::Mode::dnat) {
        dnat_servers.insert({to.address, its.proto, to.port});
        its.server_addresses.push_back(to.address);
      }
      entry.value.pools.clear();
      for (const base::IpAddress& local : service.value.service.local_addresses) {
        const config::PortRange range = service.value.service.source_ports;
        const PoolKey pool{service.value.service.protocol, local, entry.value.endpoint, range.first,
                           range.last};
        const std::uint16_t slot = pool_slot(pool, range);
        if (slot == kNoIndex) {
          return invalid(service.value.service, "more source-port pools than " + std::to_string(kMaxPools) +
                                                    " (one per server endpoint and local address)");
        }
        used.insert(pool);
        to.pools.push_back(slot);
      }
      entry.value.pools = to.pools;
    }
    tables_->dnat_servers = EndpointSet(dnat_servers);
    for (Service& service : tables_->services)
      std::sort(service.server_addresses.begin(), service.server_addresses.end());
    // A pool outlives its configuration until it has got all ports back that its flows have.
    std::erase_if(registry_.pools, [&](const auto& item) {
      return !used.contains(item.first) &&
             (idle_pools_[item.second.slot] || !has_server_at(std::get<2>(item.first)));
    });
    for (const auto& [key, entry] : registry_.pools) {
      if (tables_->pools.size() < (entry.slot + std::size_t{1}) * workers_) {
        tables_->pools.resize((entry.slot + std::size_t{1}) * workers_);
      }
      for (unsigned w = 0; w < workers_; ++w) {
        tables_->pools[std::size_t{entry.slot} * workers_ + w] = &(*entry.value)[w];
      }
      tables_->pool_owners.push_back(entry.value);
    }
    return {};
  }

  /// What servers send to the ports of a pool is recognised as long as the pool lives, though the
  /// configuration may name another range or another local address by now.
  void serve_pools() {
    for (const auto& [key, entry] : registry_.pools) {
      ServedAddress& address = tables_->addresses[number(std::get<1>(key))];
      const config::PortRange range{std::get<3>(key), std::get<4>(key)};
      if (!address.is_local) address.source_ports = range;
      address.is_local = true;
      address.source_ports.first = std::min(address.source_ports.first, range.first);
      address.source_ports.last = std::max(address.source_ports.last, range.last);
    }
  }

  bool has_server_at(const base::Endpoint& endpoint) const {
    return std::any_of(registry_.servers.begin(), registry_.servers.end(),
                       [&](const auto& item) { return item.second.value.endpoint == endpoint; });
  }

  std::uint16_t pool_slot(const PoolKey& key, config::PortRange range) {
    auto& entry = registry_.pools[key];
    if (entry.slot != kNoIndex) return entry.slot;
    entry.slot = fresh(registry_.pools, kMaxPools, next_pool_);
    if (entry.slot == kNoIndex) return kNoIndex;
    entry.value = std::make_shared<std::vector<PortPool>>();
    for (unsigned w = 0; w < workers_; ++w) entry.value->emplace_back(range, w, workers_, ephemeral_);
    return entry.slot;
  }

  /// Source ports never are a service's port, nor one that the kernel has a socket on or may give to one.
  void exclude_ports(const KernelPorts& kernel_ports) {
    for (ServedAddress& address : tables_->addresses) {
      if (!address.is_local) continue;
      for (const config::Protocol protocol : {config::Protocol::tcp, config::Protocol::udp}) {
        auto& bits = address.excluded[protocol == config::Protocol::udp ? 1 : 0];
        bits.assign(65536 / 64, 0);
        for (const std::uint16_t port : kernel_ports.excluded(protocol, address.address)) set_bit(bits, port);
        for (const auto& [key, entry] : registry_.services) {
          const config::ForwardingService& service = entry.value.service;
          if (service.vip.address == address.address && service.protocol == protocol)
            set_bit(bits, service.vip.port);
        }
      }
    }
  }

  void index_addresses() {
    std::vector<base::Ipv4> v4;
    std::vector<base::Ipv6> v6;
    std::vector<std::uint16_t> v4_numbers, v6_numbers;
    for (const auto& [address, n] : numbers_) {
      if (address.is_v4()) {
        v4.push_back(address.v4());
        v4_numbers.push_back(n);
      } else {
        v6.push_back(address.v6());
        v6_numbers.push_back(n);
      }
    }
    tables_->addresses_v4 = AddressIndex<base::Family::v4>(v4, v4_numbers);
    tables_->addresses_v6 = AddressIndex<base::Family::v6>(v6, v6_numbers);

    // A draining service yields its endpoint to a configured one.
    std::map<std::pair<base::Endpoint, config::Protocol>, std::uint16_t> owners;
    for (const bool draining : {false, true}) {
      for (const auto& [key, entry] : registry_.services) {
        if (entry.value.draining != draining) continue;
        owners.try_emplace({entry.value.service.vip, entry.value.service.protocol}, entry.slot);
      }
    }
    std::vector<ServiceIndex::Key> keys;
    std::vector<std::uint16_t> slots;
    for (const auto& [where, slot] : owners) {
      keys.push_back({number(where.first.address), proto_of(where.second), base::Be16{where.first.port}});
      slots.push_back(slot);
    }
    tables_->by_port = ServiceIndex(keys, slots);
  }

  std::vector<bool> idle_pools_;  // by slot: no server used it, and no flow, when note_flows() looked last
  unsigned workers_;
  std::map<base::IpAddress, std::uint16_t> numbers_;
  std::vector<std::uint64_t> ephemeral_;                               // a bit per port
  std::vector<std::uint16_t> next_service_, next_server_, next_pool_;  // free slots, highest first
};

base::Result<std::shared_ptr<const ServiceTables>> ServiceCompiler::compile(
    const config::ForwardingState& state, const KernelPorts& kernel_ports) {
  Build build(registry_, in_use_, idle_pools_, workers_);
  if (auto done = build.run(state, kernel_ports); !done) return std::move(done).error();
  registry_ = std::move(build.registry_);
  in_use_ = std::move(build.in_use_);
  idle_pools_.clear();  // the new tables may use them, and what has their slots may be another
  servers_by_slot_.assign(build.tables_->servers.size(), nullptr);
  for (const auto& [key, entry] : registry_.servers) servers_by_slot_[entry.slot] = &entry.value;
  services_by_slot_.assign(build.tables_->services.size(), nullptr);
  for (const auto& [key, entry] : registry_.services) services_by_slot_[entry.slot] = &entry.value;
  build.tables_->serial = ++serial_;
  return std::shared_ptr<const ServiceTables>(std::move(build.tables_));
}

bool ServiceCompiler::note_flows(std::vector<bool> in_use) {
  in_use_ = std::move(in_use);
  in_use_.resize(kMaxServers);
  bool frees = false;
  std::vector<bool> used(kMaxPools);
  for (const auto& [key, entry] : registry_.servers) {
    frees = frees || (entry.value.draining && !in_use_[entry.slot]);
    for (const std::uint16_t pool : entry.value.pools) used[pool] = true;
  }
  idle_pools_.assign(kMaxPools, false);
  for (const auto& [key, entry] : registry_.pools) {
    idle_pools_[entry.slot] =
        !used[entry.slot] && std::all_of(entry.value->begin(), entry.value->end(), [](const PortPool& pool) {
          return pool.available() == pool.total();
        });
    frees = frees || idle_pools_[entry.slot];
  }
  return frees;
}

}  // namespace sluice::dp
