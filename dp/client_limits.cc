#include "dp/client_limits.h"

#include "dp/answer.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::Family;

/// A client as its table tells it from others. The key of the hash is the same for all workers.
template <Family F>
ClientId id_of(const base::Address<F>& client, const ClientTable& table, const WorkerState& worker) noexcept {
  using Bits = AddressBits<F>;
  const Bits bits = Bits::of(client) & Bits::mask(table.prefix());
  ClientId id{.hash = worker.flows<F>().hash(FlowKey<F>{bits.address(), {}, {}, {}, {}})};
  if constexpr (F == Family::v4) {
    id.low = bits.word;
  } else {
    id.high = bits.high;
    id.low = bits.low;
  }
  return id;
}

/// The table of a service's clients; null: it has none.
ClientTable* table_of(std::uint16_t service, const ServiceTables& tables) noexcept {
  if (service >= tables.services.size() || tables.services[service].clients == nullptr) return nullptr;
  return tables.services[service].clients->table.get();
}

/// The table in which a stored SYN has a place; null: none, or it has gone with its service.
ClientTable* table_of(const StoredSyn& syn, const ServiceTables& tables) noexcept {
  if (syn.client_table == 0) return nullptr;
  ClientTable* table = table_of(syn.service, tables);
  return table != nullptr && table->id() == syn.client_table ? table : nullptr;
}

}  // namespace

void refuse_client(Packet& packet, DropReason reason, const Service& service, WorkerState& worker,
                   base::Tick now) noexcept {
  ClientLimitCounters& counters = worker.clients[packet.meta.service];
  (reason == DropReason::client_denied ? counters.denied
   : reason == DropReason::client_rate ? counters.over_rate
                                       : counters.over_maxconn)
      .add(1);
  if (!service.clients->answers) return packet.drop(reason);
  refuse(packet, reason, worker, now, IcmpAnswer::prohibited);
}

template <Family F>
std::optional<ClientPlace> admit_client(Packet& packet, const base::Address<F>& client,
                                        const ServiceTables& tables, WorkerState& worker,
                                        base::Tick now) noexcept {
  const std::uint16_t service_slot = packet.meta.service;
  if (packet.meta.syn != kNoIndex) {
    StoredSyn& syn = worker.syns.at(packet.meta.syn);
    if (syn.client_judged && syn.service == service_slot) {
      ClientTable* table = table_of(syn, tables);
      syn.client_table = 0;
      if (table == nullptr) return ClientPlace();
      return ClientPlace(*table, id_of<F>(client, *table, worker));
    }
    leave_client(syn, tables, worker);
    syn.client_judged = true;
  }
  const Service& service = tables.services[service_slot];
  if (service.clients == nullptr) return ClientPlace();
  const ClientRules& rules = *service.clients;
  if (rules.access_of<F>(client) == ClientAccess::denied) {
    refuse_client(packet, DropReason::client_denied, service, worker, now);
    return std::nullopt;
  }
  if (!rules.counts) return ClientPlace();
  const ClientId id = id_of<F>(client, *rules.table, worker);
  const ClientEntry entry = rules.table->enter(id, rules.limits, now);
  if (const DropReason reason = refusal_of(entry); reason != DropReason::none) {
    refuse_client(packet, reason, service, worker, now);
    return std::nullopt;
  }
  if (entry == ClientEntry::counted) return ClientPlace(rules, id, now);
  worker.clients[service_slot].untracked.add(1);
  return ClientPlace();
}

template <Family F>
void leave_client(const Flow<F>& flow, FlowDetail& detail, const ServiceTables& tables,
                  WorkerState& worker) noexcept {
  if (!detail.client_counted) return;
  detail.client_counted = false;
  // A service keeps its slot, and that its table, as long as it has flows.
  ClientTable& table = *table_of(flow.service, tables);
  table.leave(id_of<F>(flow.client, table, worker));
}

void leave_client(StoredSyn& syn, const ServiceTables& tables, WorkerState& worker) noexcept {
  ClientTable* table = table_of(syn, tables);
  syn.client_table = 0;
  if (table == nullptr) return;
  with_family(syn.family, [&]<Family F>() { table->leave(id_of<F>(syn.key<F>().src, *table, worker)); });
}

template <Family F>
void pass_client_on(const Flow<F>& flow, FlowDetail& detail, StoredSyn& syn,
                    const ServiceTables& tables) noexcept {
  syn.client_table = detail.client_counted ? table_of(flow.service, tables)->id() : std::uint16_t{0};
  detail.client_counted = false;
}

template <Family F>
bool admit_successor(Packet& packet, const Flow<F>& flow, const ServiceTables& tables, WorkerState& worker,
                     base::Tick now) noexcept {
  packet.meta.service = flow.service;  // it came to a flow
  const Service& service = tables.services[flow.service];
  if (is_denied<F>(flow.client, service)) {
    refuse_client(packet, DropReason::client_denied, service, worker, now);
    return false;
  }
  const ClientRules* rules = service.clients;
  if (rules == nullptr || rules->limits.rate == 0) return true;
  const ClientId id = id_of<F>(flow.client, *rules->table, worker);
  // The place is that of the flow: a token alone is to be had.
  const ClientLimits rate{.rate = rules->limits.rate, .burst = rules->limits.burst};
  const ClientEntry entry = rules->table->enter(id, rate, now);
  if (entry == ClientEntry::counted) rules->table->leave(id);
  if (entry != ClientEntry::over_rate) return true;
  refuse_client(packet, DropReason::client_rate, service, worker, now);
  return false;
}

template <Family F>
bool recount_client(const Flow<F>& flow, FlowDetail& detail, const ServiceTables& tables, WorkerState& worker,
                    base::Tick now) noexcept {
  const ClientRules* rules = tables.services[flow.service].clients;
  if (rules == nullptr || !rules->counts) return true;
  const ClientId id = id_of<F>(flow.client, *rules->table, worker);
  detail.client_counted = rules->table->reenter(id, rules->limits, now);
  if (!detail.client_counted) {
    worker.clients[flow.service].untracked.add(1);
    return true;
  }
  const std::uint32_t most = rules->limits.maxconn;
  if (most == 0 || rules->table->foresee(id, rules->limits, now).connections <= most) return true;
  worker.clients[flow.service].over_maxconn.add(1);
  return false;
}

template <Family F>
ClientTable::Sight foresee_client(const base::Address<F>& client, const ClientRules& rules,
                                  const WorkerState& worker, base::Tick now) noexcept {
  if (!rules.counts) return {};
  return rules.table->foresee(id_of<F>(client, *rules.table, worker), rules.limits, now);
}

template std::optional<ClientPlace> admit_client<Family::v4>(Packet&, const base::Ipv4&, const ServiceTables&,
                                                             WorkerState&, base::Tick) noexcept;
template std::optional<ClientPlace> admit_client<Family::v6>(Packet&, const base::Ipv6&, const ServiceTables&,
                                                             WorkerState&, base::Tick) noexcept;
template void leave_client(const Flow<Family::v4>&, FlowDetail&, const ServiceTables&, WorkerState&) noexcept;
template void leave_client(const Flow<Family::v6>&, FlowDetail&, const ServiceTables&, WorkerState&) noexcept;
template void pass_client_on(const Flow<Family::v4>&, FlowDetail&, StoredSyn&, const ServiceTables&) noexcept;
template void pass_client_on(const Flow<Family::v6>&, FlowDetail&, StoredSyn&, const ServiceTables&) noexcept;
template bool recount_client(const Flow<Family::v4>&, FlowDetail&, const ServiceTables&, WorkerState&,
                             base::Tick) noexcept;
template bool admit_successor(Packet&, const Flow<Family::v4>&, const ServiceTables&, WorkerState&,
                              base::Tick) noexcept;
template bool recount_client(const Flow<Family::v6>&, FlowDetail&, const ServiceTables&, WorkerState&,
                             base::Tick) noexcept;
template bool admit_successor(Packet&, const Flow<Family::v6>&, const ServiceTables&, WorkerState&,
                              base::Tick) noexcept;
template ClientTable::Sight foresee_client<Family::v4>(const base::Ipv4&, const ClientRules&,
                                                       const WorkerState&, base::Tick) noexcept;
template ClientTable::Sight foresee_client<Family::v6>(const base::Ipv6&, const ClientRules&,
                                                       const WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
