#include "test/fuzz/pipeline_driver.h"

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

#include "dp/control/flow_query.h"

namespace sluice::test {
namespace {

/// So few that they run out, and so short that it ends within a sequence.
config::ForwardingService few_places(config::ForwardingService service) {
  service.source_ports = {20'000, 20'007};
  service.retries = 2;
  service.timeouts.client = service.timeouts.server = config::Milliseconds(20'000);
  service.timeouts.client_fin = service.timeouts.server_fin = config::Milliseconds(5'000);
  service.clients.table = 16;  // for its life
  for (auto& server : service.servers) server.maxqueue = 2;
  return service;
}

/// Limits, retries and policies as they may stand in any configuration.
void vary(config::ForwardingService& service, Choices& choices) {
  if (choices.one_in(2)) service.mode = config::Mode::dnat;
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
    server.maxconn = choices.one_in(2) ? 1 + choices.below(5) : 0;
    server.maxqueue = choices.below(3);
    server.weight = choices.one_in(6) ? 0 : 1 + choices.below(3);
  }
  if (choices.one_in(4)) service.idle_refresh = config::IdleRefresh::data;
  if (choices.one_in(4)) service.mss.limit = static_cast<std::uint16_t>(500 + choices.below(1'000));
  if (!choices.one_in(3)) return;
  config::Clients& clients = service.clients;
  clients.rate = choices.below(4);
  clients.burst = 2 * clients.rate;
  clients.maxconn = choices.below(4);
  if (choices.one_in(4)) clients.refuse = config::ClientRefusal::drop;
  const base::Prefix all{service.vip.address, 0};
  if (choices.one_in(4)) (choices.one_in(2) ? clients.allow : clients.deny) = {all};
}

/// Those of few_services(), some of them, with some of their servers.
std::vector<config::ForwardingService> any_services(Choices& choices) {
  auto services = few_services();
  for (auto& service : services) {
    if (choices.one_in(2)) service.servers.erase(service.servers.begin());
    vary(service, choices);
  }
  if (choices.one_in(3)) services.erase(services.begin() + choices.below(5));
  return services;
}

Balancer::Options any_options(unsigned workers, Choices& choices) {
  Balancer::Options options = cramped_options(workers);
  if (choices.one_in(3)) options.limits.syn_overflow = config::SynOverflow::drop;
  if (choices.one_in(3)) options.limits.rst_per_second = 5;
  if (choices.one_in(3)) options.limits.icmp_per_second = 5;
  if (choices.one_in(2)) options.start = base::Tick{0xffff'ffff - choices.below(3'000'000)};  // it wraps
  return options;
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

PipelineDriver::PipelineDriver(unsigned workers, Choices& choices)
    : choices_(choices),
      balancer_(any_options(workers, choices)),
      v4_(balancer_, choices),
      v6_(balancer_, choices) {
  for (unsigned id = 0; id < workers; ++id) {
    for (dp::PortView& port : balancer_.worker(id).ports) port.has_twin = choices.one_in(3);
  }
  balancer_.configure(choices.one_in(2) ? any_services(choices) : few_services());
}

void PipelineDriver::step() {
  switch (choices_.below(64)) {
    case 60: pass_time(choices_.one_in(4) ? choices_.below(60'000) : choices_.below(2'000)); break;
    case 61: reconfigure(); break;
    case 62: disturb_network(); break;
    case 63: end_flows(); break;
    default: add_frame(); return;
  }
  check();
}

void PipelineDriver::check() {
  expect_sound(balancer_);
  for (const Outcome& own : balancer_.take_own()) {
    const Seen seen = own.seen();
    if ((seen.flags.bits & (SYN | RST).bits) != SYN.bits) continue;
    ++own_syns_;
    own_bytes_ += seen.ip_length;
  }
  (void)balancer_.take_stored();
  (void)balancer_.take_kept();
  slots_ = std::max(slots_, balancer_.snapshot().services->servers.size());
  std::uint64_t packets = 0, bytes = 0, cookies = 0;
  for (unsigned id = 0; id < balancer_.workers(); ++id) {
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      const dp::ServerCounters& server = balancer_.worker(id).servers[slot];
      packets += server.packets[0].get() + server.packets[1].get();
      bytes += server.bytes[0].get() + server.bytes[1].get();
    }
    cookies += balancer_.worker(id).counters.cookies_returned.get();
  }
  EXPECT_EQ(packets, balancer_.translated() + own_syns_)
      << "each packet of a connection is counted for its server";
  EXPECT_EQ(bytes, balancer_.translated_bytes() + own_bytes_);
  EXPECT_EQ(cookies, balancer_.cookies_seen());
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

/// In steps, so that what holds is looked at between one end of a flow and the next.
void PipelineDriver::pass_time(std::uint64_t ms) {
  constexpr std::uint64_t kStepMs = 1'000;
  while (ms > 0) {
    const std::uint64_t step = std::min(ms, kStepMs);
    ms -= step;
    (void)balancer_.take_stored();
    (void)balancer_.take_kept();
    const Census before(balancer_);
    balancer_.advance(step);
    // Frames that were stored or kept end flows, too.
    if (balancer_.take_stored().empty() && balancer_.take_kept().empty()) {
      const Census::Change change = Census(balancer_).since(before);
      const std::uint64_t connections = change.gone_of(Census::Kind::connection);
      EXPECT_EQ(change.killed, change.gone_of(Census::Kind::killed));
      EXPECT_GE(change.timed_out, connections);
      EXPECT_LE(change.timed_out, connections + change.gone_of(Census::Kind::attempt));
    }
    check();
  }
}

/// A configuration takes the place of another while packets fly.
void PipelineDriver::reconfigure() {
  if (choices_.one_in(3)) balancer_.set_maxconn(choices_.below(12));
  balancer_.configure(any_services(choices_));
}

/// Hosts come and go, links and routes change, removed servers are forgotten.
void PipelineDriver::disturb_network() {
  using Hop = dp::AdjacencyState;
  using Route = dp::RouteKind;
  constexpr Hop kHops[]{Hop::reachable,  Hop::reachable, Hop::reachable,
                        Hop::incomplete, Hop::failed,    Hop::gone};
  constexpr Route kRoutes[]{Route::via,     Route::via,       Route::via,
                            Route::on_link, Route::blackhole, Route::unreachable};
  const auto hop = static_cast<dp::AdjacencyId>(
      choices_.one_in(3) ? Balancer::kGateway : Balancer::kFirstServer + choices_.below(2));
  const bool v4 = choices_.one_in(2);
  switch (choices_.below(6)) {
    case 0: balancer_.set_state(hop, kHops[choices_.below(6)]); break;
    case 1: balancer_.set_mtu(hop, choices_.one_in(2) ? 1'280 : 1'500); break;
    case 2: balancer_.set_tags(hop, std::vector<std::uint16_t>(choices_.below(3), 7)); break;
    case 3: balancer_.settle(); break;
    case 4:
      balancer_.add_route(
          v4 ? base::Prefix{Net<Family::v4>::make(9, 0), 16} : base::Prefix{Net<Family::v6>::make(9, 0), 48},
          kRoutes[choices_.below(6)], Balancer::kGateway);
      break;
    default:
      balancer_.learn(v4 ? base::IpAddress(Net<Family::v4>::stranger()) : Net<Family::v6>::stranger(),
                      static_cast<dp::AdjacencyId>(Balancer::kFirstServer + 2 + choices_.below(2)));
      break;
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
  const Census before(balancer_);
  for (unsigned id = 0; id < balancer_.workers(); ++id) {
    dp::FlowQuery query(purpose, filter, 0);
    EXPECT_TRUE(query.advance(balancer_.snapshot(), balancer_.worker(id), balancer_.now(), 1'000))
        << "there is room in the outbox for RSTs of all flows";
  }
  const Census::Change change = Census(balancer_).since(before);
  std::uint64_t killed = 0;
  for (const std::uint64_t gone : change.gone) killed += gone;
  if (purpose == Purpose::take_from_server)
    killed -= change.gone_of(Census::Kind::attempt);  // tried elsewhere
  EXPECT_EQ(change.killed, killed);
  EXPECT_EQ(change.timed_out, 0U);
  pass_time(1);
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
