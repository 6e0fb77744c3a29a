#include "test/fuzz/pipeline_driver.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "dp/control/flow_query.h"
#include "dp/flow/flow_life.h"

namespace sluice::test {
namespace {

config::ForwardingService few_places(config::ForwardingService service) {
  service.source_ports = {20'000, 20'019};
  service.retries = 2;
  service.clients.table = 16;  // for its life
  for (std::size_t n = 0; n < service.servers.size(); ++n) {
    service.servers[n].maxconn = static_cast<std::uint32_t>(3 + n);
    service.servers[n].maxqueue = 2;
  }
  return service;
}

/// Limits, retries and policies as they may stand in any configuration.
void vary(config::ForwardingService& service, Choices& choices) {
  if (choices.one_in(3)) service.mode = config::Mode::dnat;
  if (choices.one_in(3)) service.maxconn = choices.below(8);
  if (choices.one_in(3)) service.retries = static_cast<std::uint16_t>(choices.below(4));
  if (choices.one_in(3)) service.redispatch = false;
  if (choices.one_in(2)) service.syn_cookies = config::SynCookies(choices.below(3));
  if (choices.one_in(3)) service.no_server = config::NoServer(choices.below(3));
  if (choices.one_in(3)) service.timeouts.queue = config::Milliseconds(1 + choices.below(60'000));
  if (choices.one_in(3)) service.timeouts.connect = config::Milliseconds(1 + choices.below(10'000));
  if (choices.one_in(4)) service.balance = config::Balance(choices.below(6));
  if (choices.one_in(4)) service.hash_key = config::HashKey(choices.below(3));
  for (auto& server : service.servers) {
    server.maxconn = choices.below(6);
    server.maxqueue = choices.below(3);
    server.weight = choices.one_in(6) ? 0 : 1 + choices.below(3);
  }
  if (choices.one_in(3)) {
    service.clients.rate = choices.below(4);
    service.clients.burst = 2 * service.clients.rate;
    service.clients.maxconn = choices.below(4);
    if (choices.one_in(4)) service.clients.deny = {base::Prefix{service.vip.address, 0}};
  }
}

template <Family F>
std::string text_of(const dp::FlowKey<F>& key) {
  return {reinterpret_cast<const char*>(&key), sizeof(key)};
}

/// Flows and connections, by slot.
struct Held {
  std::map<std::uint16_t, std::uint32_t> flows, connections;  // of servers
  std::map<std::uint16_t, std::uint32_t> of_services;         // connections
};

/// Goes over one worker's flows of a family. Returns how many are handshakes.
template <Family F>
std::uint32_t expect_sound_table(Balancer& b, unsigned id, std::set<std::string>& clients,
                                 std::set<std::string>& servers, Held& held) {
  const auto& table = b.worker(id).flows<F>();
  std::uint32_t used = 0, handshakes = 0;
  for (std::uint32_t n = 0; n < table.used_records(); ++n) {
    const dp::Flow<F>& flow = table.flow(n);
    if (flow.state == FlowState::unused) continue;
    ++used;
    EXPECT_TRUE(clients.insert(text_of(flow.client_key())).second) << "two flows of one client's port";
    EXPECT_TRUE(servers.insert(text_of(flow.server_key())).second) << "two flows share a reply key";
    const bool leased = table.detail(n).pool != dp::kNoIndex;
    const std::uint64_t hash = table.client_hash(flow.local, flow.local_port, flow.proto);
    EXPECT_EQ(leased ? flow.local_port.host() % b.workers() : dp::owner_of_hash(hash, b.workers()), id)
        << "a reply would lead to another worker";
    ++held.flows[flow.server_slot];
    if (dp::class_of(flow.state) != FlowClass::closed) {
      ++held.connections[flow.server_slot];
      ++held.of_services[flow.service];
    }
    handshakes += dp::is_handshake(flow) ? 1 : 0;
  }
  EXPECT_EQ(used, table.size());
  return handshakes;
}

void expect_counters_add_up(Balancer& b, const Held& held) {
  const auto of = [](const std::map<std::uint16_t, std::uint32_t>& counts, std::size_t slot) {
    const auto found = counts.find(static_cast<std::uint16_t>(slot));
    return found == counts.end() ? 0U : found->second;
  };
  std::uint64_t connections = 0;
  const std::size_t slots = b.snapshot().services->servers.size();
  for (std::size_t slot = 0; slot < slots; ++slot) {
    std::uint64_t begun = 0, ended = 0, closed = 0;
    for (unsigned id = 0; id < b.workers(); ++id) {
      const dp::ServerCounters& c = b.worker(id).servers[slot];
      begun += c.connections_new.get();
      ended += c.connections_ended.get();
      closed += c.connections_closed.get();
    }
    EXPECT_EQ(begun - ended, of(held.flows, slot)) << "of server slot " << slot;
    EXPECT_EQ(begun - closed, of(held.connections, slot)) << "of server slot " << slot;
    EXPECT_EQ(b.load().servers[slot].open.taken(), of(held.connections, slot)) << "of server slot " << slot;
    connections += of(held.connections, slot);
  }
  EXPECT_EQ(b.load().open.taken(), connections) << "a place for each connection";
  for (std::size_t slot = 0; slot < b.snapshot().services->services.size(); ++slot) {
    EXPECT_EQ(b.load().services[slot].open.taken(), of(held.of_services, slot)) << "of service slot " << slot;
  }
}

}  // namespace

std::vector<config::ForwardingService> few_services() {
  auto web6 = web<Family::v6>(2), dns6 = dns<Family::v6>(2), other = web<Family::v4>(2);
  web6.name = "web6";
  dns6.name = "dns6";
  other.name = "other";  // of the same servers
  other.vip.port = kOtherPort;
  return {few_places(web<Family::v4>(2)), few_places(dns<Family::v4>(2)), few_places(web6), few_places(dns6),
          few_places(other)};
}

Balancer::Options cramped_options(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  options.limits.flows_per_worker = 24;
  options.limits.half_open_per_worker = 8;
  options.limits.syn_backlog = 4;
  options.limits.rst_per_second = 1'000;
  options.limits.icmp_per_second = 1'000;
  return options;
}

void expect_sound(Balancer& b) {
  std::set<std::string> clients, servers;
  Held held;
  for (unsigned id = 0; id < b.workers(); ++id) {
    const std::uint32_t handshakes = expect_sound_table<Family::v4>(b, id, clients, servers, held) +
                                     expect_sound_table<Family::v6>(b, id, clients, servers, held);
    EXPECT_EQ(b.worker(id).handshakes_open, handshakes);
  }
  EXPECT_EQ(b.leased_ports(), b.flows() - b.flows_without_lease())
      << "a source port for each flow that needs one, a flow for each source port";
  expect_counters_add_up(b, held);
  b.expect_clients_add_up();
}

void expect_all_ends(Balancer& b) {
  b.advance(2 * 3'600'000, 60'000);
  EXPECT_EQ(b.flows(), 0U) << "after two hours of silence";
  for (const dp::PortPool* pool : b.snapshot().services->pools) {
    if (pool != nullptr) {
      EXPECT_EQ(pool->available(), pool->total());
    }
  }
  expect_sound(b);
}

namespace {

Balancer::Options any_options(unsigned workers, Choices& choices) {
  Balancer::Options options = cramped_options(workers);
  if (choices.one_in(3)) options.limits.syn_overflow = config::SynOverflow::drop;
  if (choices.one_in(3)) options.limits.rst_per_second = 5;
  if (choices.one_in(3)) options.limits.icmp_per_second = 5;
  return options;
}

}  // namespace

PipelineDriver::PipelineDriver(unsigned workers, Choices& choices)
    : choices_(choices),
      balancer_(any_options(workers, choices)),
      v4_(balancer_, choices),
      v6_(balancer_, choices) {
  balancer_.configure(few_services());
}

void PipelineDriver::step() {
  switch (choices_.below(64)) {
    case 60: pass_time(); break;
    case 61: reconfigure(); break;
    case 62: disturb_network(); break;
    case 63: end_flows(); break;
    default: add_frame(); return;
  }
  check();
  balancer_.expect_stored_syns_add_up();
}

void PipelineDriver::check() {
  expect_sound(balancer_);
  for (const Outcome& own : balancer_.take_own()) {
    const Flags flags = own.seen().flags;
    if ((flags.bits & (SYN | RST).bits) == SYN.bits) ++own_syns_;
  }
  (void)balancer_.take_stored();
  (void)balancer_.take_kept();
  slots_ = std::max(slots_, balancer_.snapshot().services->servers.size());
  std::uint64_t counted = 0;
  for (unsigned id = 0; id < balancer_.workers(); ++id) {
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      const dp::ServerCounters& server = balancer_.worker(id).servers[slot];
      counted += server.packets[0].get() + server.packets[1].get();
    }
  }
  EXPECT_EQ(counted, balancer_.translated() + own_syns_)
      << "each packet of a connection is counted for its server";
}

void PipelineDriver::add_frame() {
  if (burst_.empty()) {
    burst_size_ = choices_.one_in(4) ? 1 + choices_.below(static_cast<std::uint32_t>(dp::kBurst)) : 1;
  }
  burst_.push_back(choices_.one_in(2) ? v6_.any_frame() : v4_.any_frame());
  if (burst_.size() >= burst_size_) send_burst();
}

void PipelineDriver::send_burst() {
  const auto port = static_cast<std::uint16_t>(choices_.below(2));
  for (Bytes& frame : burst_) {  // most frames are for the port that they come to
    if (frame.size() >= 6 && !choices_.one_in(50)) frame[5] = std::byte(port + 1);
  }
  const auto outcomes = balancer_.burst(burst_, {choices_.below(balancer_.workers()), port,
                                                 choices_.one_in(10) ? std::size_t{512} : std::size_t{0}});
  for (const Outcome& outcome : outcomes) {
    v4_.note(outcome);
    v6_.note(outcome);
  }
  frames_ += burst_.size();
  check();
  if (testing::Test::HasFailure()) {
    for (const Bytes& frame : burst_) ADD_FAILURE() << "in the burst: " << describe(frame);
  }
  burst_.clear();
}

void PipelineDriver::pass_time() {
  balancer_.advance(choices_.one_in(4) ? choices_.below(200'000) : choices_.below(2'000));
}

/// A configuration takes the place of another while packets fly.
void PipelineDriver::reconfigure() {
  auto services = few_services();
  for (auto& service : services) {
    if (choices_.one_in(2)) service.servers.erase(service.servers.begin());
    vary(service, choices_);
  }
  if (choices_.one_in(3)) services.erase(services.begin() + choices_.below(5));
  if (choices_.one_in(3)) balancer_.set_maxconn(choices_.below(12));
  balancer_.configure(services);
}

/// Hosts come and go, links change, removed servers are forgotten.
void PipelineDriver::disturb_network() {
  constexpr dp::AdjacencyState kStates[]{dp::AdjacencyState::reachable, dp::AdjacencyState::incomplete,
                                         dp::AdjacencyState::failed};
  const auto hop = static_cast<dp::AdjacencyId>(
      choices_.one_in(3) ? Balancer::kGateway : Balancer::kFirstServer + choices_.below(2));
  switch (choices_.below(4)) {
    case 0: balancer_.set_state(hop, kStates[choices_.below(3)]); break;
    case 1: balancer_.set_mtu(hop, choices_.one_in(2) ? 1'280 : 1'500); break;
    case 2: balancer_.set_tags(hop, std::vector<std::uint16_t>(choices_.below(3), 7)); break;
    default: balancer_.settle(); break;
  }
}

/// An operator, or a server's end, ends some or all.
void PipelineDriver::end_flows() {
  using Purpose = dp::FlowQuery::Purpose;
  dp::FlowQuery::Filter filter;
  filter.states = dp::FlowStates::alive();
  if (!choices_.one_in(4)) {
    std::vector<bool> servers(dp::kMaxServers);
    servers[choices_.below(static_cast<std::uint32_t>(balancer_.compiler().servers().size()))] = true;
    filter.servers = std::move(servers);
  }
  const Purpose purpose = choices_.one_in(2) ? Purpose::take_from_server : Purpose::kill;
  for (unsigned id = 0; id < balancer_.workers(); ++id) {
    dp::FlowQuery query(purpose, filter, 0);
    // An outbox that is full is emptied as time passes.
    while (!query.advance(balancer_.snapshot(), balancer_.worker(id), balancer_.now(), 64))
      balancer_.advance(1);
    EXPECT_TRUE(query.done());
  }
  balancer_.advance(1);
}

void PipelineDriver::finish() {
  if (!burst_.empty()) send_burst();
  balancer_.configure(few_services());
  balancer_.set_maxconn(0);
  expect_all_ends(balancer_);
}

PipelineDriver::Totals PipelineDriver::totals() {
  Totals totals{.frames = frames_, .handed_over = balancer_.handed_over(), .cookies_returned = 0};
  for (unsigned id = 0; id < balancer_.workers(); ++id) {
    totals.cookies_returned += balancer_.worker(id).counters.cookies_returned.get();
  }
  return totals;
}

}  // namespace sluice::test
