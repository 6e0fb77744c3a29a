#include "dp/control/explain_report.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dp/control/flow_jobs.h"
#include "dp/flow/flow_life.h"

namespace sluice::dp {
namespace {

using config::Fate;
using config::Obstacle;
using config::Standing;

Fate fate_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::pending:
    case Verdict::hand_over:
    case Verdict::forward: return Fate::forward;
    case Verdict::reflect: return Fate::answer;
    case Verdict::keep:  // of a fragment, which nobody asks about
    case Verdict::hold: return Fate::hold;
    case Verdict::park: return Fate::park;
    case Verdict::punt: return Fate::kernel;
    case Verdict::drop: return Fate::drop;
  }
  return Fate::drop;
}

std::string reason_text(DropReason reason) {
  return reason == DropReason::none ? std::string() : std::string(info(reason).name);
}

std::string state_text(const HopFound& hop) {
  switch (hop.resolution.kind) {
    case ResolutionKind::needs_resolution: return "unknown";
    case ResolutionKind::no_route: return "no route";
    case ResolutionKind::local: return "local";
    case ResolutionKind::blackhole: return "blackhole";
    case ResolutionKind::unreachable: return "unreachable";
    case ResolutionKind::foreign: return "foreign";
    case ResolutionKind::adjacency: break;
  }
  switch (hop.adjacency.state) {
    case AdjacencyState::gone: return "unknown";
    case AdjacencyState::incomplete: return "incomplete";
    case AdjacencyState::failed: return "failed";
    case AdjacencyState::reachable: break;
  }
  return "reachable";
}

config::HopReport hop_report(const HopFound& hop, const base::IpAddress& destination,
                             const ExplainContext& context) {
  config::HopReport report{.state = state_text(hop), .gateway = {}, .mac = {}, .port = {}, .vlans = {}};
  const NextHop kernel = context.kernel.resolve(destination);
  if (kernel.kind == NextHop::Kind::forward) report.gateway = kernel.address.to_string();
  if (report.state != "reachable") return report;
  const Adjacency& adjacency = hop.adjacency;
  const std::byte* header = adjacency.header.data();
  base::Mac mac;
  std::memcpy(mac.bytes.data(), header, mac.bytes.size());
  report.mac = mac.to_string();
  report.port = adjacency.port < context.ports.size() ? context.ports[adjacency.port] : std::string();
  report.mtu = adjacency.mtu;
  // Behind the two MAC addresses: a tag of 4 bytes each (IEEE 802.1Q §9.3), then the EtherType.
  for (std::size_t at = 2 * mac.bytes.size(); at + sizeof(base::Be16) < adjacency.header_length; at += 4) {
    base::Be16 control;
    std::memcpy(&control, header + at + sizeof(base::Be16), sizeof(control));
    report.vlans.push_back(control.host() & 0xfffU);
  }
  return report;
}

std::string server_name(std::uint16_t slot, const ExplainContext& context) {
  const auto& slots = context.compiler.servers();
  return slot < slots.size() && slots[slot] != nullptr ? slots[slot]->server : std::string();
}

const ServiceCompiler::ServiceSlot* service_at(std::uint16_t slot, const ExplainContext& context) {
  const auto& slots = context.compiler.services();
  return slot < slots.size() ? slots[slot] : nullptr;
}

Standing standing_of(PassedOver why) noexcept {
  switch (why) {
    case PassedOver::not_asked: return Standing::not_asked;
    case PassedOver::full: return Standing::full;
    case PassedOver::waited_for: return Standing::waited_for;
    case PassedOver::no_less_loaded: return Standing::no_less_loaded;
  }
  return Standing::not_asked;
}

config::SourceKind source_kind(const Source& source, config::Mode mode) noexcept {
  if (mode != config::Mode::dnat) return config::SourceKind::local;
  switch (source.full_nat) {
    case FullNat::none: return config::SourceKind::client;
    case FullNat::shared_link: return config::SourceKind::shared_link;
    case FullNat::client_is_server: return config::SourceKind::client_is_server;
    case FullNat::port_in_use: return config::SourceKind::port_in_use;
  }
  return config::SourceKind::local;
}

/// The service's servers in the configuration's order; those that drain come last.
std::vector<config::ExplainedServer> servers(std::uint16_t service_slot, const StartFound& start,
                                             const Findings& found, const ExplainContext& context) {
  std::vector<std::pair<std::size_t, config::ExplainedServer>> placed;
  const auto& configured = context.compiler.services()[service_slot]->service.servers;
  const auto& slots = context.compiler.servers();
  for (std::uint16_t slot = 0; slot < slots.size(); ++slot) {
    const auto* holder = slots[slot];
    if (holder == nullptr || context.tables.servers[slot].service != service_slot) continue;
    const ServerLoad& load = context.load.servers[slot];
    config::ExplainedServer server{.name = holder->server,
                                   .endpoint = holder->endpoint,
                                   .weight = holder->weight,
                                   .connections = load.open.taken(),
                                   .maxconn = holder->maxconn,
                                   .waiting = load.waiting.taken(),
                                   .maxqueue = holder->maxqueue,
                                   .draining = holder->draining,
                                   .known = {}};
    if (context.tables.servers[slot].usable) {
      server.connections = found.met[slot].connections;
      server.waiting = found.met[slot].waiting;
      const bool chosen = start.choice.kind == Choice::Kind::chosen && start.choice.server == slot;
      server.standing = chosen ? Standing::chosen : standing_of(found.passed[slot]);
    } else {
      server.standing = Standing::no_weight;
    }
    const auto place = std::find_if(configured.begin(), configured.end(), [&](const auto& each) {
      return each.name == holder->server && each.endpoint == holder->endpoint;
    });
    placed.emplace_back(static_cast<std::size_t>(place - configured.begin()), std::move(server));
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<config::ExplainedServer> sorted;
  for (auto& [place, server] : placed) sorted.push_back(std::move(server));
  return sorted;
}

config::ExplainedSchedule schedule(const Service& service, const ChoiceTrace& trace,
                                   const ExplainContext& context) {
  config::ExplainedSchedule told{
      .balance = service.balance, .hash_key = service.hash_key, .slot = 0, .slots = 0, .drawn = {}};
  switch (service.balance) {
    case config::Balance::source: told.hash_key = config::HashKey::source; [[fallthrough]];
    case config::Balance::hash:
    case config::Balance::roundrobin:
      told.slot = static_cast<std::uint32_t>(trace.start);
      told.slots = static_cast<std::uint32_t>(service.choices->order.size());
      break;
    case config::Balance::random:
      for (const std::uint16_t server : trace.drawn) told.drawn.push_back(server_name(server, context));
      break;
    case config::Balance::leastconn:
    case config::Balance::first: break;
  }
  return told;
}

/// What stands in the way, with its numbers.
void tell_obstacle(config::ExplainedStart& told, const Service& service, const StartFound& start,
                   const ExplainContext& context) {
  switch (start.trace.limit) {
    case ChoiceTrace::Limit::queue: told.obstacle = Obstacle::queue; return;
    case ChoiceTrace::Limit::instance:
      told.obstacle = Obstacle::instance_maxconn;
      told.connections = start.instance_connections;
      told.maxconn = context.tables.maxconn;
      return;
    case ChoiceTrace::Limit::service:
      told.obstacle = Obstacle::service_maxconn;
      told.connections = start.service_connections;
      told.maxconn = service.maxconn;
      return;
    case ChoiceTrace::Limit::none: break;
  }
  if (start.choice.kind == Choice::Kind::none) told.obstacle = Obstacle::no_usable_server;
  if (start.choice.kind == Choice::Kind::full) told.obstacle = Obstacle::servers_full;
}

/// The configured prefix that decides of a client.
std::string deciding_prefix(const config::Clients& rules, const base::IpAddress& client) {
  const base::Prefix* longest = nullptr;
  for (const auto* prefixes : {&rules.allow, &rules.deny}) {
    for (const base::Prefix& prefix : *prefixes) {
      if (prefix.contains(client) && (longest == nullptr || prefix.length > longest->length))
        longest = &prefix;
    }
  }
  return longest != nullptr ? longest->to_string() : std::string();
}

void tell_client(config::ExplainedStart& told, const StartFound& start, const Findings& found,
                 const base::IpAddress& client, const ExplainContext& context) {
  const auto* slot = service_at(found.service, context);
  if (!start.client || slot == nullptr) return;
  const config::Clients& rules = slot->service.clients;
  told.client = {.prefix = deciding_prefix(rules, client),
                 .denied = start.client->denied,
                 .tracked = start.client->sight.known,
                 .connections = start.client->sight.connections,
                 .maxconn = rules.maxconn,
                 .rate = rules.rate,
                 .burst = rules.burst,
                 .untracked = start.client->sight.entry == ClientEntry::untracked};
  if (start.reason == DropReason::client_denied) told.obstacle = Obstacle::client_denied;
  if (start.reason == DropReason::client_rate) told.obstacle = Obstacle::client_rate;
  if (start.reason == DropReason::client_maxconn) told.obstacle = Obstacle::client_maxconn;
}

config::ExplainedStart start_report(const StartFound& start, const Findings& found,
                                    const base::IpAddress& client, const ExplainContext& context) {
  config::ExplainedStart told;
  told.fate = fate_of(start.verdict);
  told.reason = reason_text(start.reason);
  told.by_cookie = start.by_cookie;
  tell_client(told, start, found, client, context);
  if (!start.chooses) return told;
  const Service& service = context.tables.services[found.service];
  tell_obstacle(told, service, start, context);
  const bool looked =
      start.choice.kind != Choice::Kind::none && start.trace.limit == ChoiceTrace::Limit::none;
  if (looked) told.schedule = schedule(service, start.trace, context);
  told.servers = servers(found.service, start, found, context);
  if (start.choice.server != kNoIndex) told.server = server_name(start.choice.server, context);
  if (start.verdict == Verdict::hold) {
    const bool any = start.choice.server == kNoIndex;
    told.queue_ms = service.queue_ms;
    told.waiting = any ? context.load.services[found.service].waiting.taken()
                       : context.load.servers[start.choice.server].waiting.taken();
  }
  if (start.choice.kind != Choice::Kind::chosen || start.room.refusal != DropReason::none) return told;
  told.evicts = start.room.victim != FlowClass::kCount;
  if (start.source) {
    told.source = start.source->local;
    told.source_kind = source_kind(*start.source, service.mode);
    told.reuses_port = start.source->reused;
  }
  if (start.reason != DropReason::no_source_port) {
    told.towards_server =
        hop_report(start.towards_server, context.tables.servers[start.choice.server].address, context);
  }
  return told;
}

config::ExplainedFlow flow_report(const FlowFound& flow, base::Tick at, std::size_t worker,
                                  const ExplainContext& context) {
  const Service& service = context.tables.services[flow.row.service];
  const auto* name = service_at(flow.row.service, context);
  const bool attempting = flow.row.state == FlowState::syn_sent;
  return {.flow = report_of(flow.row, at, worker, name != nullptr ? name->service.name : std::string(),
                            server_name(flow.row.server_slot, context), service),
          .to_server = flow.direction == Direction::to_server,
          .connecting = attempting ? std::max<std::uint64_t>(flow.attempts, 1) : 0,
          .retries = service.retries,
          .ending = flow.killed,
          .sequence_delta = flow.sequence_delta,
          .strips_timestamps = flow.strips_timestamps,
          .bytes_from_client = flow.bytes_from_client,
          .bytes_from_server = flow.bytes_from_server,
          .towards_server = hop_report(flow.towards_server, flow.row.server, context)};
}

config::HeldSyn held_report(const HeldFound& held, const Findings& found, const ExplainContext& context) {
  const Service& service = context.tables.services[found.service];
  const bool pauses = !is_service_queue(held.queue) && !is_server_queue(held.queue);
  config::HeldSyn told{.wait_for = server_name(held.wait_for, context),
                       .between_attempts = pauses,
                       .waited_ms = static_cast<std::uint32_t>(found.at - held.since),
                       .timeout_ms = pauses ? service.retry_ms : service.queue_ms,
                       .attempts = held.attempts};
  if (is_service_queue(held.queue)) told.waiting = context.load.services[held.queue].waiting.taken();
  if (is_server_queue(held.queue))
    told.waiting = context.load.servers[held.queue - queue_of_server(0)].waiting.taken();
  return told;
}

}  // namespace

config::Explanation explanation_of(const config::FiveTuple& tuple, const Findings& found, std::size_t worker,
                                   const ExplainContext& context) {
  config::Explanation told;
  told.tuple = tuple;
  told.generation = found.generation;
  told.claim = found.claim;
  if (const Link* link = context.kernel.link(context.kernel.owner_of(tuple.destination.address)))
    told.held_by = link->name;
  const bool ours = found.claim == config::Claim::service || found.claim == config::Claim::reply;
  if (!ours) return told;
  told.worker = static_cast<std::uint16_t>(worker);
  const std::uint16_t service = found.flow ? found.flow->row.service : found.service;
  if (const auto* slot = service_at(service, context)) {
    told.service = slot->service.name;
    told.vip = slot->service.vip;
  }
  if (found.flow) told.flow = flow_report(*found.flow, found.at, worker, context);
  if (found.held) told.held = held_report(*found.held, found, context);
  if (found.start) told.start = start_report(*found.start, found, tuple.source.address, context);
  const bool anew = found.flow && found.start;  // a closed flow, which only a first SYN leaves
  if (!found.flow || anew) {
    const bool begins_all = tuple.protocol == config::Protocol::udp && found.start;
    if (!anew && !begins_all) told.others = {fate_of(found.others), reason_text(found.others_reason)};
  }
  if (found.towards_client) {
    const base::IpAddress client = found.flow ? found.flow->row.client : tuple.source.address;
    told.towards_client = hop_report(*found.towards_client, client, context);
  }
  return told;
}

}  // namespace sluice::dp
