#include "dp/flow/flow_source.h"

#include <algorithm>

#include "dp/flow/flow_life.h"

namespace sluice::dp {
namespace {

using base::Family;
using base::IpProto;

PortPool& pool_of(std::uint16_t pool, const ServiceTables& tables, const WorkerState& worker) noexcept {
  return *tables.pools[std::size_t{pool} * worker.workers + worker.id];
}

/// Finds a source port towards the flow's server, starting at a local address that the client's hash chooses.
/// Fills local address, port and pool. Nothing when all are in use. Ports: PortPool&, or PortPool::Foresight,
/// which leaves the pool as it is.
template <typename Ports, Family F>
std::optional<PortPool::Lease> lease_port(Flow<F>& flow, std::uint16_t& pool, std::uint64_t hash,
                                          const ServiceTables& tables, const WorkerState& worker,
                                          base::Tick now) noexcept {
  const Service& service = tables.services[flow.service];
  const Server& server = tables.servers[flow.server_slot];
  const std::size_t n = service.local_addresses.size();
  constexpr unsigned kAttempts = 8;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t which = (hash + i) % n;
    const ServedAddress& address = tables.addresses[service.local_addresses[which]];
    pool = server.pools[which];
    Ports ports(pool_of(pool, tables, worker));
    flow.local = address.address.template as<F>();
    for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
      const auto lease = ports.take(now, address.excluded_for(flow.proto));
      if (!lease) break;
      flow.local_port = lease->port;
      const FlowKey<F> key = flow.server_key();
      // A flow of an earlier configuration may still use the pair.
      if (!worker.flows<F>().find(key, worker.flows<F>().hash(key))) return lease;
      ports.give_back(lease->port);
    }
  }
  return std::nullopt;
}

/// Like lease_port(); when no port is free, connections that are over give theirs up early, the oldest first.
/// A bounded number of them: they may be of other servers.
template <Family F>
std::optional<PortPool::Lease> lease_port_or_evict(Flow<F>& flow, std::uint16_t& pool, std::uint64_t hash,
                                                   const Snapshot& snapshot, WorkerState& worker,
                                                   base::Tick now) noexcept {
  constexpr unsigned kEvictions = 16;
  for (unsigned evicted = 0;; ++evicted) {
    const auto lease = lease_port<PortPool&>(flow, pool, hash, *snapshot.services, worker, now);
    if (lease || evicted == kEvictions) return lease;
    const std::uint32_t over = worker.flows<F>().soonest(FlowClass::closed);
    if (over == kNoFlow) return std::nullopt;
    end_flow<F>(over, snapshot, worker, now);
  }
}

/// RFC 3927, RFC 4291 §2.5.6.
bool is_link_local(const base::Ipv4& address) noexcept {
  return address.value.host() >> 16 == 0xa9fe;
}
bool is_link_local(const base::Ipv6& address) noexcept {
  return address.is_link_local();
}

/// Whether a client is on `link` (an interface), or claims to be this host. A default route onto a link says
/// nothing of who is there.
template <Family F>
bool is_near(const base::Address<F>& client, std::uint32_t link, const Snapshot& snapshot) noexcept {
  const RouteTable<F>& routes = *snapshot.next_hops->routing<F>().routes;
  const RouteValue* route = routes.lookup(client);
  if (route == nullptr || routes.length_of(client) == 0) return false;
  return route->kind == RouteKind::local || (route->kind == RouteKind::on_link && route->ifindex == link);
}

}  // namespace

template <Family F>
FullNat needs_full_nat(const Flow<F>& flow, const Snapshot& snapshot, const WorkerState& worker) noexcept {
  const ServiceTables& tables = *snapshot.services;
  const base::IpAddress client(flow.client);
  if (is_link_local(flow.client) ||
      is_near<F>(flow.client, snapshot.server_links[flow.server_slot], snapshot))
    return FullNat::shared_link;
  const auto& servers = tables.services[flow.service].server_addresses;
  if (std::binary_search(servers.begin(), servers.end(), client)) return FullNat::client_is_server;
  const FlowKey<F> reply{flow.server, flow.client, flow.server_port, flow.client_port, flow.proto};
  const FlowTable<F>& flows = worker.flows<F>();
  return flows.find(reply, flows.hash(reply)) ? FullNat::port_in_use : FullNat::none;
}

template <Family F>
std::optional<PortPool::Lease> take_source(Flow<F>& flow, std::uint16_t& pool, std::uint64_t hash,
                                           const Snapshot& snapshot, WorkerState& worker,
                                           base::Tick now) noexcept {
  if (snapshot.services->services[flow.service].mode == config::Mode::dnat &&
      needs_full_nat(flow, snapshot, worker) == FullNat::none) {
    pool = kNoIndex;
    flow.local = flow.client;
    flow.local_port = flow.client_port;
    return PortPool::Lease{.port = flow.client_port};
  }
  return lease_port_or_evict(flow, pool, hash, snapshot, worker, now);
}

template <Family F>
void give_source_back(const Flow<F>& flow, const FlowDetail& detail, const Snapshot& snapshot,
                      const WorkerState& worker, base::Tick now) noexcept {
  const bool server_forgot =
      flow.proto != IpProto::tcp || flow.state == FlowState::reset ||
      (flow.state == FlowState::time_wait && (flow.flags & Flow<F>::kServerClosedFirst) == 0);
  if (server_forgot) return give_source_back(flow, detail.pool, snapshot, worker);
  if (detail.pool == kNoIndex) return;
  pool_of(detail.pool, *snapshot.services, worker)
      .give_back_lingering(flow.local_port, now,
                           flow.end[index(Direction::to_server)] + detail.sequence_delta);
}

template <Family F>
void give_source_back(const Flow<F>& flow, std::uint16_t pool, const Snapshot& snapshot,
                      const WorkerState& worker) noexcept {
  if (pool != kNoIndex) pool_of(pool, *snapshot.services, worker).give_back(flow.local_port);
}

template <Family F>
std::optional<Source> foresee_source(const FlowKey<F>& key, std::uint16_t server, std::uint64_t hash,
                                     const Snapshot& snapshot, const WorkerState& worker,
                                     base::Tick now) noexcept {
  const ServiceTables& tables = *snapshot.services;
  Flow<F> flow;
  flow.client = key.src;
  flow.client_port = key.src_port;
  flow.server_slot = server;
  const Server& its = tables.servers[server];
  flow.service = its.service;
  flow.server = its.address.as<F>();
  flow.server_port = its.port;
  flow.proto = key.proto;
  Source source;
  if (tables.services[its.service].mode == config::Mode::dnat) {
    source.full_nat = needs_full_nat(flow, snapshot, worker);
    if (source.full_nat == FullNat::none) {
      source.local = {flow.client, flow.client_port.host()};
      return source;
    }
  }
  std::uint16_t pool = kNoIndex;
  const auto lease = lease_port<PortPool::Foresight>(flow, pool, hash, tables, worker, now);
  if (!lease) return std::nullopt;
  source.local = {flow.local, lease->port.host()};
  source.reused = lease->reused;
  return source;
}

template FullNat needs_full_nat(const Flow<Family::v4>&, const Snapshot&, const WorkerState&) noexcept;
template FullNat needs_full_nat(const Flow<Family::v6>&, const Snapshot&, const WorkerState&) noexcept;
template std::optional<PortPool::Lease> take_source(Flow<Family::v4>&, std::uint16_t&, std::uint64_t,
                                                    const Snapshot&, WorkerState&, base::Tick) noexcept;
template std::optional<PortPool::Lease> take_source(Flow<Family::v6>&, std::uint16_t&, std::uint64_t,
                                                    const Snapshot&, WorkerState&, base::Tick) noexcept;
template void give_source_back(const Flow<Family::v4>&, const FlowDetail&, const Snapshot&,
                               const WorkerState&, base::Tick) noexcept;
template void give_source_back(const Flow<Family::v6>&, const FlowDetail&, const Snapshot&,
                               const WorkerState&, base::Tick) noexcept;
template void give_source_back(const Flow<Family::v4>&, std::uint16_t, const Snapshot&,
                               const WorkerState&) noexcept;
template void give_source_back(const Flow<Family::v6>&, std::uint16_t, const Snapshot&,
                               const WorkerState&) noexcept;
template std::optional<Source> foresee_source(const FlowKey<Family::v4>&, std::uint16_t, std::uint64_t,
                                              const Snapshot&, const WorkerState&, base::Tick) noexcept;
template std::optional<Source> foresee_source(const FlowKey<Family::v6>&, std::uint16_t, std::uint64_t,
                                              const Snapshot&, const WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
