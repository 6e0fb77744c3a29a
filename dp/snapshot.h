#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/headers.h"
#include "config/model.h"
#include "dp/address_index.h"
#include "dp/client_rules.h"
#include "dp/kernel/adjacency_table.h"
#include "dp/kernel/virtual_macs.h"
#include "dp/packet.h"
#include "dp/port_pool.h"

/// What workers read. All of it is immutable once published, but for the port pools, of which each worker has
/// its own.
///
/// Theory of operation. A Snapshot is a handful of pointers to parts. The control thread builds the parts
/// that a change concerns, shares the others with the snapshot before, and publishes with one pointer store;
/// a neighbour that changes its MAC costs no more than the small table of next hops, and a Maglev table is
/// built anew only when the weights of its own service change. Workers fetch the pointer once per burst; old
/// snapshots are freed when every worker has passed a quiescent state (rte_rcu_qsbr).
namespace sluice::dp {

/// Slots are stable for the life of what they number: flows refer to services and servers by slot.
inline constexpr std::uint16_t kMaxServices = 4096;
inline constexpr std::uint16_t kMaxServers = 16384;
inline constexpr std::uint16_t kMaxPools = 32768;

/// From whom a service's new connections choose. Shared between snapshots while it does not change.
struct Choices {
  /// Server slots: `roundrobin`: the repeating order; `source`, `hash`: the Maglev table; else one per
  /// server.
  std::vector<std::uint16_t> order;
  /// For roundrobin: what a worker goes through before `order`, as long as that; empty: no difference.
  std::vector<std::uint16_t> first_lap;
  /// Each server once, in the configuration's order.
  std::vector<std::uint16_t> servers;
  /// For leastconn and random: the weight of order[i]. Empty otherwise.
  std::vector<std::uint32_t> weights;
};

struct Service {
  base::IpProto proto = base::IpProto::tcp;
  config::Mode mode = config::Mode::fullnat;
  config::Balance balance = config::Balance::roundrobin;
  config::HashKey hash_key = config::HashKey::source;
  std::uint32_t half_open_ms = 0;      ///< connect timeout; for UDP the same as open_ms
  std::uint32_t open_ms = 0;           ///< idle, as the two that follow
  std::uint32_t client_closed_ms = 0;  ///< the server may still send
  std::uint32_t server_closed_ms = 0;  ///< the client may still send
  config::IdleRefresh idle_refresh = config::IdleRefresh::any;
  config::SynCookies syn_cookies = config::SynCookies::automatic;
  const Choices* choices = nullptr;               ///< null or empty: no usable server
  const ClientRules* clients = nullptr;           ///< null: all may come
  std::uint32_t maxconn = 0;                      ///< connections at one time; 0: no limit
  std::uint32_t queue_ms = 0;                     ///< a SYN may wait for a place for so long
  std::uint32_t retry_ms = 0;                     ///< between two attempts at one server
  std::uint16_t retries = 0;                      ///< further attempts
  bool redispatch = false;                        ///< further attempts go to other servers
  std::uint16_t mss = config::Mss::kAuto;         ///< config::Mss::limit
  bool refuses = true;                            ///< when no server is usable; else silence
  std::vector<std::uint16_t> local_addresses;     ///< numbers in ServiceTables::addresses
  std::vector<base::IpAddress> server_addresses;  ///< in mode dnat, those that drain too; sorted
};

struct Server {
  base::IpAddress address;
  base::Be16 port;
  std::uint16_t service = kNoIndex;
  bool usable = false;               ///< takes new connections
  std::uint32_t maxconn = 0;         ///< connections at one time; 0: no limit
  std::uint32_t maxqueue = 0;        ///< SYNs that wait for this very server; 0: no limit
  std::vector<std::uint16_t> pools;  ///< pool numbers, one for each of the service's local addresses
};

/// An address on which we receive: a VIP, a local address, or both.
struct ServedAddress {
  base::IpAddress address;
  bool is_local = false;           ///< servers answer to it
  config::PortRange source_ports;  ///< the least range that holds all pools on it
  /// One bit per port that sources may not have (service ports, the kernel's own sockets): [tcp, udp].
  std::array<std::vector<std::uint64_t>, 2> excluded;

  [[nodiscard]] std::span<const std::uint64_t> excluded_for(base::IpProto proto) const noexcept {
    return excluded[proto == base::IpProto::udp ? 1 : 0];
  }
  [[nodiscard]] bool is_excluded(base::IpProto proto, base::Be16 port) const noexcept {
    const auto bits = excluded_for(proto);
    return !bits.empty() && (bits[port.host() / 64U] >> (port.host() % 64U) & 1U) != 0;
  }
};

/// Services, servers and addresses: changes with configuration, health and weights.
struct ServiceTables {
  std::uint64_t serial = 0;   ///< rises with every one compiled
  std::uint32_t maxconn = 0;  ///< connections of all services at one time; 0: no limit
  AddressIndex<base::Family::v4> addresses_v4;
  AddressIndex<base::Family::v6> addresses_v6;
  std::vector<ServedAddress> addresses;
  ServiceIndex by_port;
  EndpointSet dnat_servers;       ///< that know clients by their own addresses, and answer to these
  std::vector<Service> services;  ///< by slot
  std::vector<Server> servers;    ///< by slot
  std::vector<PortPool*> pools;   ///< [pool * workers + worker]; null: unused number
  std::vector<std::shared_ptr<const Choices>> choices;           ///< keeps Service::choices alive
  std::vector<std::shared_ptr<void>> pool_owners;                ///< keeps `pools` alive
  std::vector<std::shared_ptr<const ClientRules>> client_rules;  ///< keeps Service::clients alive

  template <base::Family F>
  [[nodiscard]] std::uint16_t find_address(const base::Address<F>& address) const noexcept {
    if constexpr (F == base::Family::v4) {
      return addresses_v4.find(address);
    } else {
      return addresses_v6.find(address);
    }
  }
};

struct Snapshot {
  std::uint64_t serial = 0;      ///< rises with every one published
  std::uint64_t generation = 0;  ///< of the ForwardingState that it carries out
  unsigned workers = 1;
  std::shared_ptr<const ServiceTables> services;
  std::shared_ptr<const AdjacencyTable> next_hops;
  std::vector<AdjacencyId> server_hops;  ///< by server slot; kNoAdjacency: no route
  std::vector<std::uint32_t>
      server_links;  ///< by server slot, in mode dnat: the interface towards it; 0: none
  std::vector<std::uint16_t> server_mtus;  ///< by service slot: the least towards its servers; 0: not known
  std::vector<VirtualMac> virtual_macs;
};

}  // namespace sluice::dp
