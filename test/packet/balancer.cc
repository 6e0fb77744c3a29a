#include "test/packet/balancer.h"

#include <algorithm>
#include <cstring>
#include <ostream>
#include <span>
#include <utility>

#include <gtest/gtest.h>

#include "dp/admission.h"
#include "dp/classify.h"
#include "dp/flow/flow_life.h"
#include "dp/ip_header.h"
#include "test/packet/translation.h"
#include "test/packet_match.h"

namespace sluice::test {
namespace {

using base::Family;
using dp::Verdict;

constexpr std::uint32_t kClientLink = 1, kServerLink = 2;
constexpr dp::FlowHash::Seed kSeed{0x9ae16a3b2f90404f, 0xc949d7c7509e6557, 0x2545f4914f6cdd1d,
                                   0x27d4eb2f165667c5};

dp::Adjacency adjacency(const base::Mac& to, std::uint16_t port, std::uint32_t ifindex,
                        const std::vector<std::uint16_t>& tags) {
  dp::Adjacency hop;
  const base::Mac from = Balancer::port_mac(port);
  std::memcpy(hop.header.data(), to.bytes.data(), 6);
  std::memcpy(hop.header.data() + 6, from.bytes.data(), 6);
  std::size_t at = 12;
  const auto put = [&](std::uint16_t word) {
    hop.header[at] = std::byte(word >> 8);
    hop.header[at + 1] = std::byte(word & 0xff);
    at += 2;
  };
  for (std::size_t i = 0; i < tags.size(); ++i) {
    put(tags.size() == 2 && i == 0 ? 0x88a8 : 0x8100);
    put(tags[i]);
  }
  put(0x0800);
  hop.header_length = static_cast<std::uint8_t>(at);
  hop.state = dp::AdjacencyState::reachable;
  hop.port = port;
  hop.mtu = 1500;
  hop.ifindex = ifindex;
  return hop;
}

/// A SYN-ACK, and the ACK that it is to the client who has brought back a SYN cookie.
bool joins(const Bytes& before, const Bytes& after) {
  const auto told = (SYN | ACK | RST).bits & see(before).flags.bits;
  return told == (SYN | ACK).bits && see(after).flags == ACK;
}

/// As an ACK does that may bring a SYN cookie back.
bool acknowledges(const Bytes& frame) {
  const Seen seen = see(frame);
  return seen.protocol == 6 && (seen.flags.bits & (SYN | ACK | RST).bits) == ACK.bits;
}

/// Whether a copy of the client's SYN waits, of this packet or of one before.
bool is_stored(const dp::Packet& packet, const dp::WorkerState& worker) {
  return dp::with_family(packet.meta.family, [&]<Family F>() {
    const dp::FlowKey<F> key = dp::flow_key<F>(packet);
    return worker.syns.find<F>(key, worker.flows<F>().hash(key)) != dp::kNoIndex;
  });
}

const char* word(Verdict v) {
  switch (v) {
    case Verdict::pending: return "pending";
    case Verdict::forward: return "forward";
    case Verdict::reflect: return "reflect";
    case Verdict::hold: return "hold";
    case Verdict::keep: return "keep";
    case Verdict::park: return "park";
    case Verdict::punt: return "punt";
    case Verdict::hand_over: return "hand_over";
    case Verdict::drop: return "drop";
  }
  return "?";
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  out << word(outcome.verdict) << " (" << dp::info(outcome.reason).name << ") by worker " << outcome.worker;
  if (!outcome.out.empty()) out << ": " << describe(outcome.out);
  return out;
}

config::Dataplane Balancer::Options::small() {
  config::Dataplane limits;
  limits.flows_per_worker = 4096;
  limits.half_open_per_worker = 1024;
  return limits;
}

Balancer::Balancer(Options options)
    : compiler_(options.workers), kernel_ports_(std::move(options.kernel_ports)), now_(options.start) {
  std::vector<dp::AdjacencyUse*> hop_use;
  for (unsigned id = 0; id < options.workers; ++id) {
    hop_use.push_back(hop_use_.emplace_back(std::make_unique<dp::AdjacencyUse>()).get());
  }
  auto path = dp::OfflinePath::create(hop_use, options.limits, kSeed,
                                      {{port_mac(0), false}, {port_mac(1), false}}, now_);
  if (!path) {
    ADD_FAILURE() << path.error().message;
    std::abort();
  }
  path_ = std::move(*path);
  adjacencies_.resize(kFirstServer + kServers);
  adjacencies_[kGateway] = adjacency(kGatewayMac, 0, kClientLink, {});
  for (unsigned n = 0; n < kServers; ++n) {
    adjacencies_[kFirstServer + n] = adjacency(server_mac(n), 1, kServerLink, {});
    learn(Net<Family::v4>::server(n), static_cast<dp::AdjacencyId>(kFirstServer + n));
    learn(Net<Family::v6>::server(n), static_cast<dp::AdjacencyId>(kFirstServer + n));
  }
  routes_v4_.push_back({{}, 0, {kClientLink, kGateway, 0, dp::RouteKind::via}});
  routes_v6_.push_back({{}, 0, {kClientLink, kGateway, 0, dp::RouteKind::via}});
  add_route({Net<Family::v4>::make(1, 0), 16}, dp::RouteKind::on_link);
  add_route({Net<Family::v6>::make(1, 0), 48}, dp::RouteKind::on_link);
  configure({});
}

Balancer::~Balancer() {
  std::uint64_t out = 0;
  for (const std::uint64_t n : verdicts_) out += n;
  EXPECT_EQ(taken_in_, out) << "packets in = packets out";
  EXPECT_EQ(leased_ports(), flows() - flows_without_lease())
      << "a source port for each flow, a flow for each source port";
  EXPECT_EQ(load().open.taken(), flows(dp::FlowClass::half_open) + flows(dp::FlowClass::open))
      << "a place for each connection";
  const auto sum = [](const auto& loads) {
    std::uint32_t n = 0;
    for (const auto& l : loads) n += l.open.taken();
    return n;
  };
  EXPECT_EQ(sum(load().servers), load().open.taken());
  EXPECT_EQ(sum(load().services), load().open.taken());
  expect_stored_syns_add_up();
  expect_clients_add_up();
  expect_kept_add_up();
}

void Balancer::configure(std::vector<config::ForwardingService> services) {
  const auto done = try_configure(std::move(services));
  if (!done) ADD_FAILURE() << done.error().message;
}

base::Result<void> Balancer::try_configure(std::vector<config::ForwardingService> services) {
  config::ForwardingState state{
      .generation = state_.generation + 1, .maxconn = maxconn_, .services = std::move(services)};
  auto tables = compiler_.compile(state, kernel_ports_);
  if (!tables) return std::move(tables).error();
  state_ = std::move(state);
  transitions_.note(tables_.get(), **tables, {}, load(), state_.generation);
  tables_ = std::move(*tables);
  publish();
  run_stored();
  return {};
}

void Balancer::set_maxconn(std::uint32_t maxconn) {
  maxconn_ = maxconn;
  configure(state_.services);
}

void Balancer::settle() {
  std::vector<bool> in_use(dp::kMaxServers);
  for (unsigned id = 0; id < workers(); ++id) {
    dp::WorkerState* const w = &path_->worker(id);
    for (std::size_t slot = 0; slot < in_use.size(); ++slot) {
      const dp::ServerCounters& c = w->servers[slot];
      if (c.connections_new.get() != c.connections_ended.get()) in_use[slot] = true;
    }
  }
  (void)compiler_.note_flows(std::move(in_use));
  configure(state_.services);
}

void Balancer::publish() {
  own_outdated_ |= outboxes_held_;
  dp::AdjacencyTable::Routing<Family::v4> v4;
  v4.routes = std::make_shared<dp::RouteTable<Family::v4>>(routes_v4_);
  v4.neighbours = std::make_shared<dp::NeighbourIndex<Family::v4>>(neighbours_v4_, kSeed.a);
  dp::AdjacencyTable::Routing<Family::v6> v6;
  v6.routes = std::make_shared<dp::RouteTable<Family::v6>>(routes_v6_);
  v6.neighbours = std::make_shared<dp::NeighbourIndex<Family::v6>>(neighbours_v6_, kSeed.b);
  path_->publish(tables_, std::make_shared<dp::AdjacencyTable>(adjacencies_, v4, v6, epoch_),
                 state_.generation);
}

Outcome Balancer::settle_outcome(const dp::OfflineFrame& frame, const dp::OfflinePath::Handled& handled,
                                 bool alone) {
  const dp::Packet& p = handled.packet;
  Outcome outcome{.verdict = p.verdict,
                  .reason = p.reason,
                  .out = {},
                  .pieces = {},
                  .port = 0,
                  .worker = handled.worker,
                  .handed_over = handled.handed_over};
  EXPECT_TRUE(handled.intact)
      << "changed before it was handed over, handed over twice, or to the same worker";
  handed_over_ += handled.handed_over ? 1 : 0;
  cookies_seen_ += p.meta.spliced && acknowledges(frame.original()) ? 1 : 0;
  ++verdicts_[static_cast<std::size_t>(p.verdict)];
  switch (p.verdict) {
    case Verdict::forward:
      outcome.port = snapshot().next_hops->adjacency(p.meta.next_hop).port;
      outcome.pieces = frame.frames_of(p, snapshot().next_hops->adjacency(p.meta.next_hop).header_length);
      outcome.out = outcome.pieces.front();
      if (outcome.pieces.size() == 1) outcome.pieces.clear();
      EXPECT_EQ(p.reason, dp::DropReason::none);
      if (!p.meta.icmp_error) {
        ++translated_;
        translated_bytes_ += see(frame.bytes_of(p)).ip_length;
      }
      break;
    case Verdict::reflect:
      outcome.port = p.in_port;
      outcome.out = frame.bytes_of(p);
      EXPECT_NE(p.reason, dp::DropReason::none) << "what is answered instead of forwarded is counted too";
      break;
    case Verdict::hold:
    case Verdict::keep:
    case Verdict::park:
    case Verdict::punt:
    case Verdict::drop:
      EXPECT_TRUE(p.verdict != Verdict::drop || p.reason != dp::DropReason::none)
          << "dropped without a reason";
      // But of an ACK that brings a SYN cookie a SYN is made, and of the server's answer to that an ACK,
      // whatever comes of them; and what is dropped on its way out may have been rewritten in part.
      EXPECT_TRUE((p.verdict == Verdict::drop && p.meta.next_hop != dp::kNoIndex) || p.meta.spliced ||
                  joins(frame.original(), frame.bytes_of(p)) || frame.bytes_of(p) == frame.original())
          << "changed without being sent: " << outcome << ": " << describe(frame.original()) << " to "
          << describe(frame.bytes_of(p));
      break;
    case Verdict::pending:
    case Verdict::hand_over: ADD_FAILURE() << "no verdict on " << describe(frame.original()); break;
  }
  if (p.verdict == Verdict::hold && alone) {
    EXPECT_TRUE(is_stored(p, path_->worker(handled.worker))) << describe(frame.original());
  }
  if (outcome.out.empty()) return outcome;
  const std::vector<Bytes> leaving =
      outcome.pieces.empty() ? std::vector<Bytes>{outcome.out} : outcome.pieces;
  const bool right = check(frame.original()).empty();
  for (const Bytes& out : leaving) {
    if (right) {
      EXPECT_TRUE(valid(out)) << "from " << describe(frame.original());
    }
    if (outcome.forwarded()) expect_right_hop(out, outcome.port);
  }
  if (right && outcome.forwarded()) {
    expect_translated(frame.original(), leaving, alone ? &path_->worker(handled.worker) : nullptr);
  }
  return outcome;
}

Outcome Balancer::send(const Bytes& frame, Arrival arrival) {
  return burst({frame}, arrival).front();
}

std::vector<Outcome> Balancer::burst(const std::vector<Bytes>& frames, Arrival arrival) {
  std::vector<dp::OfflineFrame> in_flight;
  in_flight.reserve(frames.size());
  const std::size_t segment = arrival.segment == 0 ? dp::OfflineFrame::kOneSegment : arrival.segment;
  for (const Bytes& frame : frames) in_flight.emplace_back(frame, arrival.port, segment);
  taken_in_ += frames.size();
  const auto handled = path_->run(in_flight, arrival.worker, now_);
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < handled.size(); ++i) {
    outcomes.push_back(settle_outcome(in_flight[i], handled[i], handled.size() == 1));
  }
  run_kept();
  run_stored();
  empty_outboxes();
  return outcomes;
}

void Balancer::advance(std::uint64_t ms, std::uint32_t step_ms) {
  while (ms > 0) {
    const auto step = static_cast<std::uint32_t>(std::min<std::uint64_t>(ms, step_ms));
    now_ = now_ + step;
    ms -= step;
    do {
      path_->expire(now_);
    } while (run_kept() + run_stored() + empty_outboxes() != 0);
  }
}

std::uint32_t Balancer::run_kept() {
  std::uint32_t ran = 0;
  for (unsigned id = 0; id < workers(); ++id) {
    while (const auto run = path_->run_kept(id, now_)) {
      ++taken_in_;
      ++let_go_;
      kept_.push_back(settle_outcome(run->frame, run->handled, true));
      ++ran;
    }
  }
  return ran;
}

/// As the workers do, one SYN each in turn.
std::uint32_t Balancer::run_stored() {
  constexpr std::uint32_t kMost = 200'000;
  std::uint32_t ran = 0;
  for (std::uint32_t before = ~0U; before != ran;) {
    before = ran;
    for (unsigned id = 0; id < workers(); ++id) {
      const auto run = path_->run_stored(id, now_);
      if (!run) continue;
      ++taken_in_;
      stored_.push_back(settle_outcome(run->frame, run->handled, true));
      ++ran;
    }
    if (ran > kMost) {
      ADD_FAILURE() << "stored SYNs come up again and again";
      break;
    }
  }
  return ran;
}

std::uint32_t Balancer::empty_outboxes() {
  if (outboxes_held_) return 0;
  std::uint32_t sent = 0;
  for (unsigned id = 0; id < workers(); ++id) {
    dp::WorkerState* const w = &path_->worker(id);
    for (dp::Outbox& box = w->outbox; box.size() != 0; box.pop(), ++sent) {
      const dp::OwnFrame& frame = box.front();
      Outcome own{.verdict = Verdict::forward,
                  .reason = {},
                  .out = {},
                  .pieces = {},
                  .port = frame.port,
                  .worker = w->id};
      own.out.assign(frame.bytes.begin(), frame.bytes.begin() + frame.length);
      EXPECT_TRUE(valid(own.out)) << "made by sluice itself";
      if (!own_outdated_) expect_right_hop(own.out, own.port);
      own_.push_back(std::move(own));
    }
  }
  own_outdated_ = false;
  return sent;
}

std::vector<Outcome> Balancer::take_own() {
  empty_outboxes();
  return std::exchange(own_, {});
}

void Balancer::hold_outboxes(bool hold) {
  outboxes_held_ = hold;
}

void Balancer::set_state(dp::AdjacencyId hop, dp::AdjacencyState state) {
  adjacencies_[hop].state = state;
  publish();
}

void Balancer::set_mtu(dp::AdjacencyId hop, std::uint16_t mtu) {
  adjacencies_[hop].mtu = mtu;
  publish();
}

void Balancer::set_tags(dp::AdjacencyId hop, std::vector<std::uint16_t> tags) {
  adjacencies_[hop] = hop == kGateway ? adjacency(kGatewayMac, 0, kClientLink, tags)
                                      : adjacency(server_mac(hop - kFirstServer), 1, kServerLink, tags);
  publish();
}

void Balancer::add_route(const base::Prefix& prefix, dp::RouteKind kind, dp::AdjacencyId gateway) {
  const dp::RouteValue value{kServerLink, gateway, 0, kind};
  const auto put = [&](auto& routes, const auto& address) {
    std::erase_if(routes, [&](const auto& r) { return r.address == address && r.length == prefix.length; });
    routes.push_back({address, prefix.length, value});
  };
  prefix.address.is_v4() ? put(routes_v4_, prefix.address.v4()) : put(routes_v6_, prefix.address.v6());
  ++epoch_;
  if (tables_ != nullptr) publish();
}

void Balancer::learn(const base::IpAddress& address, dp::AdjacencyId hop) {
  const auto put = [&](auto& neighbours, const auto& plain) {
    std::erase_if(neighbours, [&](const auto& n) { return n.address == plain; });
    neighbours.push_back({kServerLink, 0, hop, plain});
  };
  address.is_v4() ? put(neighbours_v4_, address.v4()) : put(neighbours_v6_, address.v6());
  ++epoch_;
  if (tables_ != nullptr) publish();
}

void Balancer::rename_neighbour(const base::IpAddress& address, dp::AdjacencyId hop) {
  for (auto& entry : neighbours_v4_) {
    if (address == base::IpAddress(entry.address)) entry.id = hop;
  }
  for (auto& entry : neighbours_v6_) {
    if (address == base::IpAddress(entry.address)) entry.id = hop;
  }
  hops_renamed_ = true;
  publish();
}

}  // namespace sluice::test
