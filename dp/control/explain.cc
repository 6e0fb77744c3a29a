#include "dp/control/explain.h"

#include <algorithm>

#include "dp/admission.h"
#include "dp/classify.h"
#include "dp/flow/client_hop.h"
#include "dp/flow/track.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::Family;
using base::IpProto;
using config::Claim;

template <Family F>
FlowKey<F> key_of(const config::FiveTuple& tuple) noexcept {
  return {tuple.source.address.as<F>(), tuple.destination.address.as<F>(), base::Be16{tuple.source.port},
          base::Be16{tuple.destination.port},
          tuple.protocol == config::Protocol::udp ? IpProto::udp : IpProto::tcp};
}

HopFound hop_found(const Resolution& resolution, const Snapshot& snapshot) noexcept {
  HopFound hop{resolution, {}};
  if (resolution.kind == ResolutionKind::adjacency)
    hop.adjacency = snapshot.next_hops->adjacency(resolution.id);
  return hop;
}

/// Packets take the hop that the snapshot has for the server; why it has none is looked up here.
template <Family F>
HopFound towards_server(std::uint16_t server, const base::Address<F>& address,
                        const Snapshot& snapshot) noexcept {
  const AdjacencyId id = snapshot.server_hops[server];
  const Resolution known{ResolutionKind::adjacency, id, 0, 0};
  return hop_found(id != kNoAdjacency ? known : snapshot.next_hops->resolve<F>(address), snapshot);
}

/// Bytes that one end has sent, by its numbering: without its SYN, and its FIN if that is known.
template <Family F>
std::optional<std::uint32_t> bytes_from(const Flow<F>& flow, const FlowDetail& detail, Direction d) noexcept {
  if (flow.proto != IpProto::tcp || flow.state == FlowState::reset) return std::nullopt;
  if (flow.state == FlowState::syn_sent && d == Direction::to_client) return std::nullopt;
  const bool both = flow.state == FlowState::closing || flow.state == FlowState::time_wait;
  const FlowState own_fin = d == Direction::to_server ? FlowState::fin_client : FlowState::fin_server;
  const std::uint32_t fin = both || flow.state == own_fin ? 1 : 0;
  return flow.end[index(d)] - detail.first[index(d)] - 1 - fin;
}

template <Family F>
FlowFound flow_found(typename FlowTable<F>::Found which, const Snapshot& snapshot,
                     const WorkerState& worker) noexcept {
  const Flow<F>& flow = worker.flows<F>().flow(which.flow);
  const FlowDetail& detail = worker.flows<F>().detail(which.flow);
  return {.row = row_of(flow, detail),
          .direction = which.direction,
          .killed = (flow.flags & Flow<F>::kKilled) != 0,
          .strips_timestamps = (flow.flags & Flow<F>::kStripsTimestamps) != 0,
          .sequence_delta = detail.sequence_delta,
          .attempts = detail.syn == kNoIndex ? std::uint16_t{0} : worker.syns.at(detail.syn).attempts,
          .bytes_from_client = bytes_from(flow, detail, Direction::to_server),
          .bytes_from_server = bytes_from(flow, detail, Direction::to_client),
          .towards_server = towards_server<F>(flow.server_slot, flow.server, snapshot)};
}

/// What becomes of a SYN that has got a server whose next hop will not have it: as rewrite() decides.
void meet_hop(StartFound& start, const Service& service, const SynStore& syns) noexcept {
  const AdjacencyState state = start.towards_server.adjacency.state;
  if (start.towards_server.resolution.kind == ResolutionKind::adjacency &&
      state == AdjacencyState::reachable) {
    return;
  }
  if (state == AdjacencyState::incomplete) {
    start.verdict = Verdict::park;
    return;
  }
  if (service.proto == IpProto::tcp && service.retries != 0 && syns.has_room(false)) {
    start.verdict = Verdict::drop;
    start.reason = DropReason::retried;
    return;
  }
  start.verdict = Verdict::reflect;
  start.reason = state == AdjacencyState::failed ? DropReason::neighbour_failed : DropReason::no_route;
}

void refuse(StartFound& start, DropReason reason) noexcept {
  start.verdict = Verdict::reflect;
  start.reason = reason;
}

/// As admit_client() judges, ahead of which a SYN that a cookie answers meets the prefixes alone. False: the
/// client is refused.
template <Family F>
bool admits(StartFound& start, const base::Address<F>& client, const ClientRules& rules,
            const WorkerState& worker, base::Tick now) noexcept {
  ClientFound& found = start.client.emplace();
  found.denied = rules.access_of<F>(client) == ClientAccess::denied;
  if (!found.denied) found.sight = foresee_client<F>(client, rules, worker, now);
  start.reason = found.denied ? DropReason::client_denied : refusal_of(found.sight.entry);
  if (start.reason == DropReason::none) return true;
  if (found.denied) start.by_cookie = false;
  // Who has been told by a cookie that it is connected hears in any case that it is not.
  start.verdict = rules.answers || start.by_cookie ? Verdict::reflect : Verdict::drop;
  return false;
}

/// What the choice that follows goes by, as far as others change it all the time.
void note_load(StartFound& start, std::uint16_t service_slot, const ServiceTables& tables, const Load& load,
               Findings& found) noexcept {
  start.instance_connections = load.open.taken();
  start.service_connections = load.services[service_slot].open.taken();
  const Choices* choices = tables.services[service_slot].choices;
  if (choices == nullptr) return;
  for (const std::uint16_t server : choices->servers)
    found.met[server] = {load.servers[server].open.taken(), load.servers[server].waiting.taken()};
}

/// As start_flow() goes.
template <Family F>
StartFound start_found(const FlowKey<F>& key, std::uint64_t hash, std::uint16_t service_slot,
                       const Snapshot& snapshot, const WorkerState& worker, base::Tick now,
                       Findings& found) noexcept {
  const ServiceTables& tables = *snapshot.services;
  StartFound start;
  if (is_bad_source<F>(key.src, tables)) {
    start.verdict = Verdict::drop;
    start.reason = DropReason::bad_source;
    return start;
  }
  const Service& service = tables.services[service_slot];
  start.by_cookie = key.proto == IpProto::tcp && service.choices != nullptr &&
                    !service.choices->order.empty() && worker.cookies.active(service.syn_cookies);
  if (service.clients != nullptr && !service.clients->empty() &&
      !admits<F>(start, key.src, *service.clients, worker, now))
    return start;
  start.chooses = true;
  start.trace.passed = found.passed;
  note_load(start, service_slot, tables, *worker.load, found);
  const Wish wish{.may_wait = key.proto == IpProto::tcp};
  start.choice = foresee_server(tables, service_slot, key, wish, worker, start.trace);
  switch (start.choice.kind) {
    case Choice::Kind::chosen: break;
    case Choice::Kind::none:
      refuse(start, DropReason::no_server);
      if (!service.refuses) start.verdict = Verdict::drop;
      return start;
    case Choice::Kind::full:
      if (key.proto == IpProto::udp) {
        refuse(start, DropReason::servers_full);
      } else if (!worker.syns.has_room(true)) {
        start.verdict = Verdict::drop;
        start.reason = DropReason::queue_full;
      } else {
        start.verdict = Verdict::hold;
      }
      return start;
  }
  start.room = room_for_flow<F>(worker);
  if (start.room.refusal != DropReason::none) {
    start.verdict = Verdict::drop;
    start.reason = start.room.refusal;
    return start;
  }
  start.source = foresee_source<F>(key, start.choice.server, hash, snapshot, worker, now);
  if (!start.source) {
    // A connection that is over gives its port up: as far as that can be told without ending any.
    if (worker.flows<F>().size(FlowClass::closed) == 0) {
      start.verdict = Verdict::drop;
      start.reason = DropReason::no_source_port;
      return start;
    }
    start.room.victim = FlowClass::closed;
  }
  start.towards_server =
      towards_server<F>(start.choice.server, tables.servers[start.choice.server].address.as<F>(), snapshot);
  meet_hop(start, service, worker.syns);
  return start;
}

/// As classify() goes; the flow key's hash.
template <Family F>
std::uint64_t classify(const FlowKey<F>& key, const Snapshot& snapshot, const WorkerState& worker,
                       Findings& found) noexcept {
  const ServiceTables& tables = *snapshot.services;
  const std::uint64_t hash = worker.flows<F>().hash(key);
  const std::uint16_t address = tables.find_address<F>(key.dst);
  if (const auto destination = find_destination<F>(tables, key, address)) {
    found.claim = destination->direction == Direction::to_server ? Claim::service : Claim::reply;
    found.service = destination->service;
    found.owner = owner_of(*destination, key, worker);
  } else if (address != kNoIndex) {
    found.claim = Claim::foreign_port;
  } else {
    found.claim = tables.find_address<F>(key.src) == kNoIndex ? Claim::foreign_address : Claim::sent;
  }
  return hash;
}

/// As track() goes where there is no flow, or none that a first SYN would meet.
template <Family F>
void without_flow(const FlowKey<F>& key, std::uint64_t hash, const Snapshot& snapshot,
                  const WorkerState& worker, base::Tick now, Findings& found) noexcept {
  const bool tcp = key.proto == IpProto::tcp;
  const bool bad_source = is_bad_source<F>(key.src, *snapshot.services);
  found.others = tcp && !bad_source ? Verdict::reflect : Verdict::drop;
  found.others_reason = bad_source ? DropReason::bad_source
                        : tcp      ? DropReason::reset_sent
                                   : DropReason::no_flow;
  if (found.claim == Claim::reply) return;
  if (const std::uint16_t slot = tcp ? worker.syns.find<F>(key, hash) : kNoIndex; slot != kNoIndex) {
    const StoredSyn& syn = worker.syns.at(slot);
    found.held = {syn.queue, syn.wait_for, syn.attempts, syn.since};
    return;
  }
  found.start = start_found<F>(key, hash, found.service, snapshot, worker, now, found);
  if (!bad_source) found.towards_client = hop_found(snapshot.next_hops->resolve<F>(key.src), snapshot);
}

template <Family F>
void explain(const FlowKey<F>& key, const Snapshot& snapshot, const WorkerState& worker, base::Tick now,
             Findings& found) noexcept {
  const ServiceTables& tables = *snapshot.services;
  const std::uint64_t hash = classify<F>(key, snapshot, worker, found);
  if ((found.claim != Claim::service && found.claim != Claim::reply) || found.owner != worker.id) return;
  const FlowTable<F>& flows = worker.flows<F>();
  const auto which = flows.find(key, hash);
  if (which) {
    found.flow = flow_found<F>(which, snapshot, worker);
    Flow<F> copy = flows.flow(which.flow);  // client_hop() notes what it finds
    found.towards_client = hop_found(client_hop(copy, *snapshot.next_hops), snapshot);
    const bool anew = which.direction == Direction::to_server && key.proto == IpProto::tcp &&
                      class_of(copy.state) == FlowClass::closed;
    if (!anew) return;
  } else if (found.claim == Claim::reply) {
    const std::uint16_t address = tables.find_address<F>(key.dst);
    if (address == kNoIndex) {
      // As without_flow() of dp/flow/track.cc, by whichever port it comes.
      if (std::any_of(worker.ports.begin(), worker.ports.end(),
                      [](const PortView& p) { return !p.has_twin; }))
        return without_flow<F>(key, hash, snapshot, worker, now, found);
      found.claim = Claim::foreign_address;
      return;
    }
    if (tables.addresses[address].is_excluded(key.proto, key.dst_port)) {
      found.claim = Claim::kernel_port;
      return;
    }
  }
  without_flow<F>(key, hash, snapshot, worker, now, found);
}

}  // namespace

std::uint8_t owner_of(const config::FiveTuple& tuple, const Snapshot& snapshot,
                      const WorkerState& worker) noexcept {
  return with_family(tuple.source.address.family(), [&]<Family F>() {
    Findings found(0);
    (void)classify<F>(key_of<F>(tuple), snapshot, worker, found);
    return found.owner;
  });
}

void explain(const config::FiveTuple& tuple, const Snapshot& snapshot, const WorkerState& worker,
             base::Tick now, Findings& found) noexcept {
  found.serial = snapshot.services->serial;
  found.generation = snapshot.generation;
  found.at = now;
  with_family(tuple.source.address.family(),
              [&]<Family F>() { explain<F>(key_of<F>(tuple), snapshot, worker, now, found); });
}

void ExplainQuery::answer(const Snapshot& snapshot, const WorkerState& worker, base::Tick now) noexcept {
  explain(tuple_, snapshot, worker, now, findings_);
  done_.store(true, std::memory_order_release);
}

}  // namespace sluice::dp
