#include "dp/client_limits.h"

#include "dp/answer.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::Family;

/// Keyed, and the same for all workers.
template <Family F>
std::uint64_t hash_of(const base::Address<F>& client, const WorkerState& worker) noexcept {
  return worker.flows<F>().hash(FlowKey<F>{client, {}, {}, {}, {}});
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
      return ClientPlace(*table, ClientId::of(client), hash_of<F>(client, worker));
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
  const ClientId id = ClientId::of(client);
  const std::uint64_t hash = hash_of<F>(client, worker);
  const ClientEntry entry = rules.table->enter(id, hash, rules.limits, now);
  if (const DropReason reason = refusal_of(entry); reason != DropReason::none) {
    refuse_client(packet, reason, service, worker, now);
    return std::nullopt;
  }
  if (entry == ClientEntry::counted) return ClientPlace(*rules.table, id, hash);
  worker.clients[service_slot].untracked.add(1);
  return ClientPlace();
}

template <Family F>
void leave_client(const Flow<F>& flow, FlowDetail& detail, const ServiceTables& tables,
                  WorkerState& worker) noexcept {
  if (!detail.client_counted) return;
  detail.client_counted = false;
  // A service keeps its slot, and that its table, as long as it has flows.
  table_of(flow.service, tables)->leave(ClientId::of(flow.client), hash_of<F>(flow.client, worker));
}

void leave_client(StoredSyn& syn, const ServiceTables& tables, WorkerState& worker) noexcept {
  ClientTable* table = table_of(syn, tables);
  syn.client_table = 0;
  if (table == nullptr) return;
  with_family(syn.family, [&]<Family F>() {
    const base::Address<F> client = syn.key<F>().src;
    table->leave(ClientId::of(client), hash_of<F>(client, worker));
  });
}

template <Family F>
void pass_client_on(const Flow<F>& flow, FlowDetail& detail, StoredSyn& syn,
                    const ServiceTables& tables) noexcept {
  syn.client_table = detail.client_counted ? table_of(flow.service, tables)->id() : std::uint16_t{0};
  detail.client_counted = false;
}

template <Family F>
void recount_client(const Flow<F>& flow, FlowDetail& detail, const ServiceTables& tables, WorkerState& worker,
                    base::Tick now) noexcept {
  const ClientRules* rules = tables.services[flow.service].clients;
  if (rules == nullptr || !rules->counts) return;
  const ClientEntry entry =
      rules->table->enter(ClientId::of(flow.client), hash_of<F>(flow.client, worker), {}, now);
  detail.client_counted = entry == ClientEntry::counted;
  if (!detail.client_counted) worker.clients[flow.service].untracked.add(1);
}

template <Family F>
ClientTable::Sight foresee_client(const base::Address<F>& client, const ClientRules& rules,
                                  const WorkerState& worker, base::Tick now) noexcept {
  if (!rules.counts) return {};
  return rules.table->foresee(ClientId::of(client), hash_of<F>(client, worker), rules.limits, now);
}

template std::optional<ClientPlace> admit_client<Family::v4>(Packet&, const base::Ipv4&, const ServiceTables&,
                                                             WorkerState&, base::Tick) noexcept;
template std::optional<ClientPlace> admit_client<Family::v6>(Packet&, const base::Ipv6&, const ServiceTables&,
                                                             WorkerState&, base::Tick) noexcept;
template void leave_client(const Flow<Family::v4>&, FlowDetail&, const ServiceTables&, WorkerState&) noexcept;
template void leave_client(const Flow<Family::v6>&, FlowDetail&, const ServiceTables&, WorkerState&) noexcept;
template void pass_client_on(const Flow<Family::v4>&, FlowDetail&, StoredSyn&, const ServiceTables&) noexcept;
template void pass_client_on(const Flow<Family::v6>&, FlowDetail&, StoredSyn&, const ServiceTables&) noexcept;
template void recount_client(const Flow<Family::v4>&, FlowDetail&, const ServiceTables&, WorkerState&,
                             base::Tick) noexcept;
template void recount_client(const Flow<Family::v6>&, FlowDetail&, const ServiceTables&, WorkerState&,
                             base::Tick) noexcept;
template ClientTable::Sight foresee_client<Family::v4>(const base::Ipv4&, const ClientRules&,
                                                       const WorkerState&, base::Tick) noexcept;
template ClientTable::Sight foresee_client<Family::v6>(const base::Ipv6&, const ClientRules&,
                                                       const WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
