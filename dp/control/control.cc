#include "dp/control/control.h"

#include <algorithm>
#include <sys/epoll.h>
#include <utility>

#include <rte_cycles.h>

#include "base/log.h"
#include "config/wire.h"
#include "dp/control/flow_query.h"
#include "dp/flow/flow_life.h"

namespace sluice::dp {
namespace {

/// How long a worker's question for a next hop, an acknowledgement or a listing may wait for the control
/// thread.
constexpr std::chrono::milliseconds kFastTick{10};
constexpr std::chrono::milliseconds kSlowTick{1000};
constexpr std::int32_t kNextHopsMs = 100;
/// Flows in one listing, whatever is asked for: each worker sets room aside for as many, and all must fit
/// into one line of the channel.
constexpr std::uint32_t kMaxListed = 100'000;

std::vector<const WorkerState*> states_of(const std::vector<Worker*>& workers) {
  std::vector<const WorkerState*> states;
  for (const Worker* worker : workers) states.push_back(&worker->state());
  return states;
}

}  // namespace

/// A flow listing in progress: one query per worker.
struct Control::FlowListing {
  std::vector<std::unique_ptr<FlowQuery>> queries;
  std::vector<bool> asked;
  std::size_t limit = 0;
  std::function<void(config::FlowList)> done;
};

base::Result<std::unique_ptr<Control>> Control::create(base::EventLoop& loop, WorkerShared& shared,
                                                       NextHops& next_hops, PortSet& ports,
                                                       std::vector<Worker*> workers) {
  auto publisher = Publisher::make(shared, static_cast<unsigned>(workers.size()));
  if (!publisher) return std::move(publisher).error();
  auto mirror = KernelMirror::open();
  if (!mirror) return std::move(mirror).error();
  auto sockets = KernelSockets::open();
  if (!sockets) return std::move(sockets).error();
  std::unique_ptr<Control> control(new Control(loop, shared, next_hops, ports, std::move(workers),
                                               std::move(*publisher), std::move(*mirror),
                                               std::move(*sockets)));
  if (auto started = control->start(); !started) return std::move(started).error();
  return control;
}

Control::Control(base::EventLoop& loop, WorkerShared& shared, NextHops& next_hops, PortSet& ports,
                 std::vector<Worker*> workers, Publisher publisher, std::unique_ptr<KernelMirror> mirror,
                 KernelSockets sockets)
    : loop_(loop),
      shared_(shared),
      next_hops_(next_hops),
      ports_(ports),
      workers_(std::move(workers)),
      publisher_(std::move(publisher)),
      mirror_(std::move(mirror)),
      kernel_sockets_(std::move(sockets)),
      compiler_(static_cast<unsigned>(workers_.size())),
      ledger_(states_of(workers_)) {}

Control::~Control() {
  loop_.cancel(fast_timer_);
  loop_.cancel(slow_timer_);
  loop_.remove(mirror_->fd());
}

base::Result<void> Control::start() {
  std::vector<PortInterface> interfaces;
  for (const auto& port : ports_.ports()) {
    if (!port->interface().empty()) interfaces.push_back({port->interface(), port->index()});
  }
  next_hops_.set_ports(std::move(interfaces));
  auto kernel_ports = kernel_sockets_.read();
  if (!kernel_ports) return std::move(kernel_ports).error();
  kernel_ports_ = std::move(*kernel_ports);
  if (auto compiled = recompile({}); !compiled) return compiled;
  publish();
  if (auto added = loop_.add(mirror_->fd(), EPOLLIN, [this](std::uint32_t) { on_kernel(); }); !added)
    return added;
  fast_timer_ = loop_.every(kFastTick, [this] { on_fast_tick(); });
  slow_timer_ = loop_.every(kSlowTick, [this] { on_slow_tick(); });
  return {};
}

base::Tick Control::now() const noexcept {
  return tick_at(::rte_rdtsc(), shared_);
}

base::Result<void> Control::apply(config::ForwardingState state, std::function<void()> done) {
  if (auto compiled = recompile(state); !compiled) return compiled;
  state_ = std::move(state);
  publish();
  update_filters();
  acks_.push_back({publisher_.current()->serial, std::move(done)});
  return {};
}

/// Compiles `state` into the tables that the next publish() takes.
base::Result<void> Control::recompile(const config::ForwardingState& state) {
  auto tables = compiler_.compile(state, kernel_ports_);
  if (!tables) return std::move(tables).error();
  tables_ = std::move(*tables);
  ledger_.follow(compiler_);
  std::vector<base::IpAddress> servers;
  for (const auto* slot : compiler_.servers()) {
    if (slot != nullptr) servers.push_back(slot->endpoint.address);
  }
  std::sort(servers.begin(), servers.end());
  servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
  next_hops_.set_servers(std::move(servers));
  const auto update = next_hops_.update(mirror_->tables(), {}, now());
  for (const NeighbourKey& neighbour : update.solicit) mirror_->solicit(neighbour);
  return {};
}

void Control::update_next_hops(const KernelChanges& changes) {
  next_hops_checked_ = now();
  const auto update = next_hops_.update(mirror_->tables(), changes, next_hops_checked_);
  for (const NeighbourKey& neighbour : update.solicit) mirror_->solicit(neighbour);
  if (update.changed) publish();
}

void Control::publish() {
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->generation = state_.generation;
  snapshot->workers = static_cast<unsigned>(workers_.size());
  snapshot->services = tables_;
  snapshot->next_hops = next_hops_.table();
  snapshot->server_hops.reserve(tables_->servers.size());
  for (const Server& server : tables_->servers) {
    const Resolution hop = server.address.is_v4()
                               ? snapshot->next_hops->resolve<base::Family::v4>(server.address.v4())
                               : snapshot->next_hops->resolve<base::Family::v6>(server.address.v6());
    snapshot->server_hops.push_back(hop.kind == ResolutionKind::adjacency ? hop.id : kNoAdjacency);
  }
  publisher_.publish(std::move(snapshot));
}

void Control::update_filters() {
  FilterRules rules;
  for (const auto* slot : compiler_.services()) {
    if (slot == nullptr) continue;
    rules.services.push_back({slot->service.vip.address, slot->service.protocol, slot->service.vip.port});
  }
  for (const ServedAddress& address : tables_->addresses) {
    if (!address.is_local) continue;
    for (const config::Protocol protocol : {config::Protocol::tcp, config::Protocol::udp}) {
      FilterLocal local{address.address, protocol, address.source_ports, {}};
      const auto proto = protocol == config::Protocol::udp ? base::IpProto::udp : base::IpProto::tcp;
      for (std::uint32_t port = local.ports.first; port <= local.ports.last; ++port) {
        const auto p = static_cast<std::uint16_t>(port);
        if (address.is_excluded(proto, base::Be16{p})) local.excluded.push_back(p);
      }
      rules.locals.push_back(std::move(local));
    }
  }
  if (auto updated = ports_.update_filters(rules); !updated) base::log::error("{}", updated.error().message);
}

void Control::on_kernel() {
  const KernelChanges changes = mirror_->process();
  if (changes.any()) update_next_hops(changes);
}

void Control::on_fast_tick() {
  const base::Tick tick = now();
  bool wanted = false;
  for (Worker* worker : workers_) {
    while (const auto request = worker->next_neighbour_request()) {
      next_hops_.want(*request, tick);
      wanted = true;
    }
  }
  if (wanted || tick - next_hops_checked_ >= kNextHopsMs) update_next_hops({});
  publisher_.reclaim();
  finish_acks();
  finish_listings();
}

void Control::on_slow_tick() {
  const bool ports_changed = refresh_kernel_ports();
  // Only when no worker reads older tables can "no flows" be believed of a server that drains.
  const bool settled = publisher_.retired() == 0;
  const bool freed = settled && compiler_.note_flows(ledger_.slots_in_use());
  if (!ports_changed && !freed) return;
  if (auto compiled = recompile(state_); !compiled) {
    base::log::error("forwarding state: {}", compiled.error().message);
    return;
  }
  publish();
  update_filters();
}

bool Control::refresh_kernel_ports() {
  auto read = kernel_sockets_.read();
  if (!read) {
    base::log::warn("{}; source ports stay as they are", read.error().message);
    return false;
  }
  const KernelPorts before = std::exchange(kernel_ports_, std::move(*read));
  // Sockets of the kernel come and go all the time, on addresses and in ranges that are none of ours.
  const auto& addresses = tables_->addresses;
  return before != kernel_ports_ &&
         std::any_of(addresses.begin(), addresses.end(), [&](const ServedAddress& a) {
           return a.is_local && (before.excluded(config::Protocol::tcp, a.address) !=
                                     kernel_ports_.excluded(config::Protocol::tcp, a.address) ||
                                 before.excluded(config::Protocol::udp, a.address) !=
                                     kernel_ports_.excluded(config::Protocol::udp, a.address));
         });
}

bool Control::all_run(std::uint64_t serial) const noexcept {
  return std::all_of(workers_.begin(), workers_.end(),
                     [serial](const Worker* w) { return w->state().counters.serial.get() >= serial; });
}

void Control::finish_acks() {
  while (!acks_.empty() && all_run(acks_.front().serial)) {
    const auto done = std::move(acks_.front().done);
    acks_.erase(acks_.begin());
    done();
  }
}

void Control::list_flows(const config::FlowFilter& filter, std::function<void(config::FlowList)> done) {
  FlowQuery::Filter by_slot;
  by_slot.client = filter.client;
  if (filter.service) {
    by_slot.services.emplace();
    for (const auto* slot : compiler_.services()) {
      by_slot.services->push_back(slot != nullptr && slot->service.name == *filter.service);
    }
  }
  if (filter.server) {
    by_slot.servers.emplace();
    for (const auto* slot : compiler_.servers()) {
      by_slot.servers->push_back(slot != nullptr && slot->server == *filter.server);
    }
  }
  auto listing = std::make_unique<FlowListing>();
  listing->limit = std::min(filter.limit, kMaxListed);
  listing->done = std::move(done);
  listing->asked.resize(workers_.size());
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    listing->queries.push_back(std::make_unique<FlowQuery>(by_slot, listing->limit));
  }
  listings_.push_back(std::move(listing));
  finish_listings();
}

/// Listings are answered one after the other: a worker takes one query at a time.
void Control::finish_listings() {
  while (!listings_.empty()) {
    FlowListing& listing = *listings_.front();
    bool complete = true;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (!listing.asked[i]) listing.asked[i] = workers_[i]->ask(listing.queries[i].get());
      complete = complete && listing.asked[i] && listing.queries[i]->done();
    }
    if (!complete) return;

    config::FlowList list;
    const ServiceTables& tables = *tables_;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const FlowQuery& query = *listing.queries[i];
      list.total += query.matched();
      for (const FlowQuery::Row& row : query.rows()) {
        if (list.flows.size() == listing.limit) break;
        const auto* service =
            row.service < compiler_.services().size() ? compiler_.services()[row.service] : nullptr;
        const auto* server =
            row.server_slot < compiler_.servers().size() ? compiler_.servers()[row.server_slot] : nullptr;
        if (service == nullptr || server == nullptr) continue;  // freed since the row was taken
        const auto idle = static_cast<std::uint32_t>(query.taken_at() - row.last_seen);
        const std::uint32_t timeout = idle_timeout_ms(row.state, tables.services[row.service]);
        list.flows.push_back(
            {.service = service->service.name,
             .server = server->server,
             .protocol = row.proto == base::IpProto::udp ? config::Protocol::udp : config::Protocol::tcp,
             .client = {row.client, row.client_port.host()},
             .vip = {row.vip, row.vip_port.host()},
             .local = {row.local, row.local_port.host()},
             .real = {row.server, row.server_port.host()},
             .state = std::string(name(row.state)),
             .worker = static_cast<std::uint16_t>(i),
             .age_ms = static_cast<std::uint32_t>(query.taken_at() - row.created),
             .idle_ms = idle,
             .expires_ms = timeout > idle ? timeout - idle : 0});
      }
    }
    const auto done = std::move(listing.done);
    listings_.erase(listings_.begin());
    done(std::move(list));
  }
}

}  // namespace sluice::dp
