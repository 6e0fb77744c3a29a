#include "dp/control/control.h"

#include <algorithm>
#include <sys/epoll.h>
#include <utility>

#include <rte_cycles.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/wire.h"
#include "dp/control/server_hops.h"

namespace sluice::dp {
namespace {

/// How long a worker's question for a next hop, an acknowledgement or a listing may wait for the control
/// thread.
constexpr std::chrono::milliseconds kFastTick{10};
constexpr std::chrono::milliseconds kSlowTick{1000};
constexpr std::int32_t kNextHopsMs = 100;

std::vector<const WorkerState*> states_of(const std::vector<Worker*>& workers) {
  std::vector<const WorkerState*> states;
  for (const Worker* worker : workers) states.push_back(&worker->state());
  return states;
}

}  // namespace

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
      ledger_(states_of(workers_)),
      flow_jobs_(workers_.size(),
                 [this](std::size_t worker, FlowQuery* query) { return workers_[worker]->ask(query); }),
      explain_jobs_(
          [this](std::size_t worker, ExplainQuery* query) { return workers_[worker]->ask(query); }) {}

Control::~Control() {
  loop_.cancel(fast_timer_);
  loop_.cancel(slow_timer_);
  loop_.remove(mirror_->fd());
}

base::Result<void> Control::start() {
  for (const auto& port : ports_.ports()) {
    if (!port->interface().empty()) interfaces_.push_back({port->interface(), port->index()});
  }
  next_hops_.set_ports(interfaces_);
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
  std::vector<std::uint16_t> shut_down = newly_shut_down(state_, state, compiler_);
  state_ = std::move(state);
  publish_tables();
  // Not before every worker has stopped giving these servers new connections.
  const std::uint64_t serial = publisher_.current()->serial;
  acks_.push_back({serial, [this, slots = std::move(shut_down)] {
                     end_connections(slots, "their server was marked down");
                   }});
  acks_.push_back({serial, std::move(done)});
  return {};
}

/// Compiles `state` into the tables that the next publish() takes.
base::Result<void> Control::recompile(const config::ForwardingState& state) {
  auto tables = compiler_.compile(state, kernel_ports_);
  if (!tables) return std::move(tables).error();
  const auto before = std::exchange(tables_, std::move(*tables));
  Load& load = *workers_.front()->state().load;
  const std::vector<std::uint16_t> fresh = ledger_.follow(compiler_);
  for (const std::uint16_t slot : fresh) load.forget(slot);
  transitions_.note(before.get(), *tables_, fresh, load, state.generation);
  (void)hard_stop_.overdue(compiler_, std::nullopt, base::steady_ms());  // notes who drains from now on
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
  if (update.changed || find_virtual_macs() != publisher_.current()->virtual_macs) publish();
}

std::vector<VirtualMac> Control::find_virtual_macs() const {
  return virtual_macs(mirror_->tables(), interfaces_, [this](const base::IpAddress& address) {
    return (address.is_v4() ? tables_->find_address<base::Family::v4>(address.v4())
                            : tables_->find_address<base::Family::v6>(address.v6())) != kNoIndex;
  });
}

void Control::publish() {
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->generation = state_.generation;
  snapshot->workers = static_cast<unsigned>(workers_.size());
  snapshot->services = tables_;
  snapshot->next_hops = next_hops_.table();
  snapshot->server_hops = server_hops(*tables_, *snapshot->next_hops);
  snapshot->server_links = server_links(*tables_, *snapshot->next_hops);
  snapshot->server_mtus = server_mtus(*tables_, *snapshot->next_hops, snapshot->server_hops);
  snapshot->virtual_macs = find_virtual_macs();
  for (const auto& port : ports_.ports()) port->hear(macs_of(snapshot->virtual_macs, port->index()));
  publisher_.publish(std::move(snapshot));
}

/// Packets of what is new must find their way to the workers before these send any that are answered by such;
/// those of what is no more, until the workers have been told.
void Control::publish_tables() {
  FilterTable filter = dp::compile(filter_rules());
  update_filters(merged(filter_, filter));
  publish();
  filter_ = std::move(filter);
  update_filters(filter_);
}

void Control::update_filters(const FilterTable& table) {
  if (auto updated = ports_.update_filters(table); !updated) base::log::error("{}", updated.error().message);
}

FilterRules Control::filter_rules() const {
  FilterRules rules;
  for (const auto* slot : compiler_.services()) {
    if (slot == nullptr) continue;
    rules.services.push_back({slot->service.vip.address, slot->service.protocol, slot->service.vip.port});
  }
  for (const Server& server : tables_->servers) {
    if (server.service == kNoIndex || tables_->services[server.service].mode != config::Mode::dnat) continue;
    const bool udp = tables_->services[server.service].proto == base::IpProto::udp;
    rules.servers.push_back(
        {server.address, udp ? config::Protocol::udp : config::Protocol::tcp, server.port.host()});
  }
  if (!rules.servers.empty()) {
    for (const InterfaceAddress& address : mirror_->tables().addresses)
      rules.hosts.push_back(address.prefix.address);
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
  return rules;
}

void Control::look_after_ports() {
  for (const auto& port : ports_.ports()) {
    port->pass_link_on();
    const std::string lost = port->lost_interface();
    if (lost.empty() || failure_) continue;
    // DPDK's drivers do not open an interface again. Who starts this process again gives the port a new one.
    failure_ = base::Error{base::ErrorCode::unavailable,
                           "port \"" + port->name() + "\": interface " + lost + " has been deleted"};
    loop_.stop();
  }
}

void Control::on_kernel() {
  const KernelChanges changes = mirror_->process();
  if (changes.links) look_after_ports();
  if (changes.any()) update_next_hops(changes);
  // Which of the packets of servers that see the clients are for the host itself.
  if (changes.addresses && tables_ != nullptr && !tables_->dnat_servers.empty()) {
    filter_ = dp::compile(filter_rules());
    update_filters(filter_);
  }
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
  const bool due = tick - next_hops_checked_ >= kNextHopsMs;
  if (due) look_after_ports();  // NICs may be none of the kernel's
  if (wanted || due) update_next_hops({});
  publisher_.reclaim();
  finish_acks();
  flow_jobs_.step(compiler_, *tables_);
  if (!explain_jobs_.idle()) step_explanations();
}

void Control::step_explanations() {
  const WorkerState& any = workers_.front()->state();
  ExplainContext context{compiler_, *tables_, *any.load, mirror_->tables(), {}};
  for (const auto& port : ports_.ports()) context.ports.push_back(port->name());
  explain_jobs_.step(*publisher_.current(), any, context);
}

void Control::tell_of_floods() {
  const auto active = [](const Worker* w) { return w->state().counters.cookies_active.get() != 0; };
  const bool flood = std::any_of(workers_.begin(), workers_.end(), active);
  if (flood == std::exchange(flood_, flood)) return;
  if (flood) {
    base::log::warn(
        "possible SYN flood: more handshakes are unfinished than dataplane.syn_backlog; services with "
        "syn_cookies \"auto\" answer by SYN cookies");
  } else {
    base::log::info(
        "the SYN flood is over: services with syn_cookies \"auto\" answer by their servers again");
  }
}

void Control::on_slow_tick() {
  stop_long_drains();
  tell_of_floods();
  for (const std::string& sentence : client_notices_.due(ledger_.services(), base::steady_ms()))
    base::log::warn("{}", sentence);
  const bool ports_changed = refresh_kernel_ports();
  // Only when no worker reads older tables can "no flows" be believed of a server that drains.
  const bool settled = publisher_.retired() == 0;
  const bool freed = settled && compiler_.note_flows(ledger_.slots_in_use());
  if (!ports_changed && !freed) return;
  if (auto compiled = recompile(state_); !compiled) {
    base::log::error("forwarding state: {}", compiled.error().message);
    return;
  }
  publish_tables();
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

base::Result<void> Control::list_flows(const config::FlowFilter& filter,
                                       std::function<void(config::FlowList)> done) {
  const auto by_slot = resolve_filter(filter, compiler_);
  if (!by_slot) return by_slot.error();
  flow_jobs_.list(*by_slot, filter.limit, std::move(done));
  return {};
}

base::Result<void> Control::kill_flows(const config::FlowFilter& filter,
                                       std::function<void(std::uint64_t)> done) {
  auto by_slot = resolve_filter(filter, compiler_);
  if (!by_slot) return std::move(by_slot).error();
  if (!filter.state) by_slot->states = FlowStates::alive();
  flow_jobs_.kill(*by_slot, std::move(done));
  return {};
}

void Control::end_connections(const std::vector<std::uint16_t>& slots, const std::string& why) {
  if (slots.empty()) return;
  FlowQuery::Filter filter;
  filter.states = FlowStates::alive();
  filter.servers.emplace(kMaxServers);
  for (const std::uint16_t slot : slots) (*filter.servers)[slot] = true;
  flow_jobs_.take_from_servers(filter, [why](std::uint64_t ended) {
    if (ended != 0) base::log::info("{} connections ended: {}", ended, why);
  });
}

void Control::stop_long_drains() {
  if (!flow_jobs_.idle()) return;  // it may be one of these that is still at work
  std::vector<std::uint16_t> slots = hard_stop_.overdue(compiler_, state_.hard_stop_after, base::steady_ms());
  std::erase_if(slots,
                [&](std::uint16_t slot) { return ledger_.server(slot).traffic.connections_current == 0; });
  end_connections(slots, "their server was removed, and hard_stop_after has passed");
}

}  // namespace sluice::dp
