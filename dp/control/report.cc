#include "dp/control/report.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unistd.h>

#include "base/clock.h"

namespace sluice::dp {
namespace {

std::string describe_next_hop(const Snapshot& snapshot, const PortSet& ports, std::uint16_t slot) {
  const AdjacencyId id = slot < snapshot.server_hops.size() ? snapshot.server_hops[slot] : kNoAdjacency;
  if (id == kNoAdjacency) return "no route";
  const Adjacency& hop = snapshot.next_hops->adjacency(id);
  switch (hop.state) {
    case AdjacencyState::gone: return "no route";
    case AdjacencyState::incomplete: return "incomplete";
    case AdjacencyState::failed: return "failed";
    case AdjacencyState::reachable: break;
  }
  base::Mac mac;
  std::transform(hop.header.begin(), hop.header.begin() + 6, mac.bytes.begin(),
                 [](std::byte b) { return static_cast<std::uint8_t>(b); });
  const std::string port = hop.port < ports.ports().size() ? ports.ports()[hop.port]->name() : "?";
  return mac.to_string() + " via " + port;
}

const ServerLoad& load_of(const Control& control, std::uint16_t slot) {
  return control.workers().front()->state().load->servers[slot];
}

std::uint32_t failures_in_row(const Control& control, std::uint16_t slot) {
  return load_of(control, slot).failures_in_row.load(std::memory_order_relaxed);
}

/// How long the first of a queue has waited; 0: it is empty.
std::uint64_t oldest_ms(const Control& control, SynQueue queue) {
  const base::Tick now = control.now();
  std::uint64_t oldest = 0;
  for (const Worker* worker : control.workers()) {
    const SynQueueState& q = worker->state().syns.queue(queue);
    if (q.oldest_ticket.get() == 0) continue;
    const std::int32_t waited = now - base::tick_of(q.oldest_since.get());
    oldest = std::max<std::uint64_t>(oldest, waited > 0 ? static_cast<std::uint64_t>(waited) : 0);
  }
  return oldest;
}

std::string_view word(Failure failure) noexcept {
  switch (failure) {
    case Failure::none: return {};
    case Failure::refused: return "refused";
    case Failure::unreachable: return "unreachable";
    case Failure::unanswered: return "unanswered";
  }
  return {};
}

/// The servers that a request is for.
class Wanted {
 public:
  explicit Wanted(const config::ReportRequest& request) : all_(!request.only) {
    if (all_) return;
    for (const config::ServerName& name : *request.only) names_[name.service].insert(name.server);
  }
  [[nodiscard]] bool service(std::string_view name) const { return all_ || names_.contains(name); }
  [[nodiscard]] bool server(std::string_view service, std::string_view name) const {
    if (all_) return true;
    const auto found = names_.find(service);
    return found != names_.end() && (found->second.contains(name) || found->second.contains("*"));
  }

 private:
  bool all_;
  std::map<std::string_view, std::set<std::string_view>> names_;  ///< the request's
};

std::vector<config::ServiceReport> services(const Control& control, const Wanted& wanted) {
  const ServiceCompiler& compiler = control.compiler();
  const ServiceTables& tables = *control.snapshot().services;
  std::map<std::string, std::vector<config::ServerReport>> servers;  // by service
  for (std::uint16_t slot = 0; slot < compiler.servers().size(); ++slot) {
    const auto* holder = compiler.servers()[slot];
    if (holder == nullptr || !wanted.service(holder->service)) continue;
    const ServerTally tally = control.ledger().server(slot);
    config::ServerReport report{.name = holder->server,
                                .endpoint = holder->endpoint,
                                .weight = holder->weight,
                                .maxconn = holder->maxconn,
                                .draining = holder->draining,
                                .next_hop = describe_next_hop(control.snapshot(), control.ports(), slot),
                                .failures_in_row = failures_in_row(control, slot),
                                .counters = tally.traffic,
                                .handshakes = tally.handshakes,
                                .queue = tally.queue,
                                .transition = control.transitions().of(slot)};
    report.queue.oldest_ms = oldest_ms(control, queue_of_server(slot));
    for (const std::uint16_t pool : holder->pools) {
      for (std::size_t w = 0; w < control.workers().size(); ++w) {
        const PortPool& ports = *tables.pools[pool * control.workers().size() + w];
        report.ports_free += ports.available();
        report.ports_total += ports.total();
      }
    }
    servers[holder->service].push_back(std::move(report));
  }
  std::map<std::string, ServerLedger::ServiceTally> tallies = control.ledger().services();
  for (std::uint16_t slot = 0; slot < compiler.services().size(); ++slot) {
    if (compiler.services()[slot] == nullptr) continue;
    std::uint64_t& oldest = tallies[compiler.services()[slot]->service.name].queue.oldest_ms;
    oldest = std::max(oldest, oldest_ms(control, queue_of_service(slot)));
  }
  std::vector<config::ServiceReport> reports;
  const auto add_service = [&](const config::ForwardingService& service) {
    if (!wanted.service(service.name)) return;
    ServerTally sum = control.ledger().removed_servers(service.name);
    config::ServiceReport report{.name = service.name,
                                 .vip = service.vip,
                                 .protocol = service.protocol,
                                 .balance = service.balance,
                                 .counters = {},
                                 .servers = std::move(servers[service.name])};
    // The configuration's order; what drains comes last.
    const auto place = [&](const config::ServerReport& server) {
      const auto it =
          std::find_if(service.servers.begin(), service.servers.end(), [&](const auto& configured) {
            return configured.name == server.name && configured.endpoint == server.endpoint;
          });
      return it - service.servers.begin();
    };
    std::stable_sort(report.servers.begin(), report.servers.end(),
                     [&](const auto& a, const auto& b) { return place(a) < place(b); });
    const ServerLedger::ServiceTally& own = tallies[service.name];
    const config::QueueCounters& queue = own.queue;
    report.clients = own.clients;
    sum.add({.traffic = {}, .handshakes = {}, .queue = queue});
    std::uint64_t oldest = queue.oldest_ms;
    for (const config::ServerReport& server : report.servers) {
      sum.add({server.counters, server.handshakes, server.queue});
      oldest = std::max(oldest, server.queue.oldest_ms);
    }
    report.counters = sum.traffic;
    report.handshakes = sum.handshakes;
    report.queue = sum.queue;
    report.queue.oldest_ms = oldest;
    std::erase_if(report.servers, [&](const auto& each) { return !wanted.server(service.name, each.name); });
    reports.push_back(std::move(report));
  };
  for (const config::ForwardingService& service : control.state().services) add_service(service);
  for (const auto* slot : compiler.services()) {
    if (slot == nullptr || !slot->draining) continue;
    // One that has but moved to another VIP was reported above: servers and counters go by the name.
    const auto has_name = [&](const config::ServiceReport& r) { return r.name == slot->service.name; };
    if (std::none_of(reports.begin(), reports.end(), has_name)) add_service(slot->service);
  }
  return reports;
}

std::vector<config::PortReport> ports(const Control& control) {
  std::vector<config::PortReport> reports;
  for (const auto& port : control.ports().ports()) {
    const PortCounters counters = port->counters();
    config::PortReport report{.name = port->name(),
                              .device = port->device(),
                              .interface = port->interface(),
                              .mac = port->mac().to_string(),
                              .driver = port->driver(),
                              .link_up = port->link_up(),
                              .queues = port->nic().rx_queues(),
                              .mtu = port->mtu(),
                              .rx_packets = counters.rx_packets,
                              .rx_bytes = counters.rx_bytes,
                              .tx_packets = counters.tx_packets,
                              .tx_bytes = counters.tx_bytes,
                              .rx_missed = counters.rx_missed,
                              .rx_errors = counters.rx_errors,
                              .tx_errors = counters.tx_errors,
                              .rx_nombuf = counters.rx_nombuf};
    for (const Worker* worker : control.workers()) {
      report.punted += worker->twin_counters(port->index()).punted.get();
      report.from_twin += worker->twin_counters(port->index()).from_twin.get();
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<config::DropReport> drops(const Control& control) {
  std::vector<config::DropReport> reports;
  for (std::size_t reason = 1; reason < kDropReasons.size(); ++reason) {
    config::DropReport report{.reason = std::string(kDropReasons[reason].name),
                              .description = std::string(kDropReasons[reason].description)};
    for (const Worker* worker : control.workers())
      report.packets += worker->state().counters.drops[reason].get();
    reports.push_back(std::move(report));
  }
  return reports;
}

config::WorkerReport worker(const Worker& worker, const ReportBasics& basics) {
  const WorkerState& state = worker.state();
  const WorkerCounters& c = state.counters;
  const auto& cpus = basics.cpus[state.id];
  return {.id = static_cast<std::uint16_t>(state.id),
          .cpu = cpus.empty() ? std::uint16_t{0} : cpus.front(),
          .packets = c.packets.get(),
          .handed_over = c.handed_over.get(),
          .bursts = c.bursts.get(),
          .empty_polls = c.empty_polls.get(),
          .busy_cycles = c.busy_cycles.get(),
          .total_cycles = c.total_cycles.get(),
          .originated = c.originated.get(),
          .timed_out = c.timed_out.get(),
          .killed = c.killed.get(),
          .cookies_returned = c.cookies_returned.get(),
          .cookies_active = c.cookies_active.get() != 0,
          .flows = static_cast<std::uint32_t>(c.flows.get()),
          .flows_max = state.flows_v4.capacity() + state.flows_v6.capacity(),
          .half_open = static_cast<std::uint32_t>(c.half_open.get()),
          .half_open_max = 2 * state.half_open_max,
          .generation = c.generation.get()};
}

}  // namespace

std::vector<config::FailureReport> failing_servers(const Control& control) {
  std::vector<config::FailureReport> failures;
  const auto& slots = control.compiler().servers();
  for (std::uint16_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] == nullptr || slots[slot]->draining) continue;
    const std::uint32_t in_row = failures_in_row(control, slot);
    if (in_row == 0) continue;
    const Failure last = load_of(control, slot).last_failure.load(std::memory_order_relaxed);
    failures.push_back({.service = slots[slot]->service,
                        .server = slots[slot]->server,
                        .endpoint = slots[slot]->endpoint,
                        .in_row = in_row,
                        .last = std::string(word(last))});
  }
  return failures;
}

config::AliveReport signs_of_life(const Control& control, const std::vector<std::string>& services) {
  config::AliveReport report{
      .generation = control.snapshot().generation, .workers = {}, .ports = {}, .services = {}};
  for (const Worker* w : control.workers()) {
    const WorkerCounters& c = w->state().counters;
    report.workers.push_back(
        {static_cast<std::uint16_t>(w->state().id), c.bursts.get() + c.empty_polls.get()});
  }
  for (const auto& port : control.ports().ports()) report.ports.push_back({port->name(), port->link_up()});
  for (const config::ForwardingService& service : control.state().services) {
    if (std::ranges::find(services, service.name) == services.end()) continue;
    const auto usable = std::ranges::count_if(service.servers, [](const auto& s) { return s.weight != 0; });
    report.services.push_back({service.name, static_cast<std::uint32_t>(usable)});
  }
  return report;
}

config::DataplaneReport make_report(const Control& control, const ReportBasics& basics,
                                    const config::ReportRequest& request) {
  config::DataplaneReport report{.version = SLUICE_VERSION,
                                 .generation = control.snapshot().generation,
                                 .uptime_ms = base::steady_ms() - basics.started_ms,
                                 .pid = static_cast<std::uint64_t>(::getpid()),
                                 .hugepages = basics.hugepages,
                                 .services = services(control, Wanted(request)),
                                 .ports = {},
                                 .drops = {},
                                 .workers = {}};
  if (request.only) return report;
  report.ports = ports(control);
  report.drops = drops(control);
  for (const Worker* w : control.workers()) report.workers.push_back(worker(*w, basics));
  return report;
}

}  // namespace sluice::dp
