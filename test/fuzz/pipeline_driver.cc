#include "test/fuzz/pipeline_driver.h"

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

#include "dp/control/flow_query.h"

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

Balancer::Options any_options(unsigned workers, Choices& choices) {
  Balancer::Options options = cramped_options(workers);
  if (choices.one_in(3)) options.limits.syn_overflow = config::SynOverflow::drop;
  if (choices.one_in(3)) options.limits.rst_per_second = 5;
  if (choices.one_in(3)) options.limits.icmp_per_second = 5;
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
  balancer_.configure(few_services());
}

void PipelineDriver::step() {
  switch (choices_.below(64)) {
    case 60: pass_time(choices_.one_in(4) ? choices_.below(200'000) : choices_.below(2'000)); break;
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
