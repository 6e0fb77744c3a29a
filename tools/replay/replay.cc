#include "tools/replay/replay.h"

#include <algorithm>

#include "cp/controller.h"
#include "dp/flow/tcp_state.h"
#include "dp/ip_header.h"
#include "dp/kernel/kernel_sockets.h"
#include "tools/replay/parsed_frame.h"

namespace sluice::replay {
namespace {

using base::Family;
using base::IpProto;

/// splitmix64 (Steele, Lea, Flood 2014): any seed makes four words that have nothing in common.
dp::FlowHash::Seed seed_of(std::uint64_t seed) {
  const auto next = [&seed] {
    std::uint64_t z = seed += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  };
  const std::uint64_t a = next(), b = next(), c = next(), d = next();
  return {a, b, c, d};
}

/// Of the NIC: apart from the one by which workers own flows, as theirs are.
constexpr std::uint64_t kRssSeed = 0x525353;

}  // namespace

Replay::Replay(const Network& network, const Options& options, Sink sink)
    : network_(network),
      sink_(std::move(sink)),
      rss_(seed_of(options.seed ^ kRssSeed)),
      compiler_(options.workers) {}

base::Result<std::unique_ptr<Replay>> Replay::create(const config::Config& config, const Network& network,
                                                     const Options& options, Sink sink) {
  std::unique_ptr<Replay> replay(new Replay(network, options, std::move(sink)));
  std::vector<dp::AdjacencyUse*> hop_use;
  for (unsigned id = 0; id < options.workers; ++id)
    hop_use.push_back(replay->hop_use_.emplace_back(std::make_unique<dp::AdjacencyUse>()).get());
  auto path = dp::OfflinePath::create(hop_use, config.dataplane, seed_of(options.seed), network.ports(),
                                      replay->tick_);
  if (!path) return std::move(path).error();
  replay->path_ = std::move(*path);
  const cp::Controller controller(config, {});
  auto tables = replay->compiler_.compile(controller.desired(), dp::KernelPorts());
  if (!tables) return std::move(tables).error();
  replay->path_->set_virtual_macs(network.virtual_macs());
  replay->path_->publish(std::move(*tables), network.next_hops(), controller.desired().generation);
  return replay;
}

std::uint64_t Replay::flows() const noexcept {
  std::uint64_t sum = 0;
  for (unsigned id = 0; id < path_->workers(); ++id) {
    const dp::WorkerState& worker = path_->worker(id);
    sum += worker.flows_v4.size() + worker.flows_v6.size();
  }
  return sum;
}

bool Replay::is_idle() const noexcept {
  std::uint64_t stored = flows();
  for (unsigned id = 0; id < path_->workers(); ++id) {
    stored += path_->worker(id).syns.used() + path_->worker(id).fragments.datagrams();
  }
  return stored == 0;
}

void Replay::run(const CapturedFrame& captured) {
  if (!began_ns_) began_ns_ = captured.time_ns;
  const std::uint64_t since = captured.time_ns > *began_ns_ ? captured.time_ns - *began_ns_ : 0;
  pass_time(since / 1'000'000);

  Event event{.number = captured.number, .time_ns = captured.time_ns};
  const Network::Arrival arrival = network_.arrival(captured);
  if (arrival.absent != Network::Absent::none) {
    event.absent = arrival.absent;
    event.in = captured.bytes;
    event.in_length = captured.original_length;
    return sink_(event);
  }
  event.port = arrival.port;
  dp::OfflineFrame frame(captured.bytes, arrival.port, dp::OfflineFrame::kOneSegment,
                         captured.original_length);
  const unsigned worker = receiving_worker(captured);
  event.in_length = captured.original_length;
  tell(event, frame, path_->run({&frame, 1}, worker, tick_).front());
  settle(captured.time_ns);
}

void Replay::pass_time(std::uint64_t until_ms) {
  if (until_ms <= now_ms_) return;
  // Hours in which nothing comes are gone through in strides, and in one where nothing is left to end.
  constexpr std::uint64_t kSteps = 100'000;
  const std::uint64_t stride = std::max<std::uint64_t>(kRound, (until_ms - now_ms_) / kSteps);
  while (now_ms_ < until_ms) {
    if (is_idle()) {
      tick_ = tick_ + static_cast<std::uint32_t>(until_ms - now_ms_);
      now_ms_ = until_ms;
      return settle(*began_ns_ + now_ms_ * 1'000'000);
    }
    const std::uint64_t step = std::min(stride, until_ms - now_ms_);
    now_ms_ += step;
    tick_ = tick_ + static_cast<std::uint32_t>(step);
    settle(*began_ns_ + now_ms_ * 1'000'000);
  }
}

void Replay::settle(std::uint64_t time_ns) {
  // What one round leaves over, the next one does: bounded, as a worker's.
  constexpr unsigned kRounds = 10'000;
  for (unsigned round = 0; round < kRounds; ++round) {
    path_->expire(tick_);
    const bool kept = run_kept(time_ns);
    const bool ran = run_stored(time_ns);
    if (!send_own(time_ns) && !ran && !kept) return;
  }
}

bool Replay::run_stored(std::uint64_t time_ns) {
  bool ran = false;
  for (unsigned id = 0; id < path_->workers(); ++id) {
    auto run = path_->run_stored(id, tick_);
    if (!run) continue;
    ran = true;
    const auto number = stored_.find({id, run->slot});
    tell({.kind = Event::Kind::stored,
          .number = number == stored_.end() ? 0 : number->second,
          .time_ns = time_ns,
          .port = run->frame.in_port()},
         run->frame, run->handled);
  }
  return ran;
}

bool Replay::run_kept(std::uint64_t time_ns) {
  bool ran = false;
  for (unsigned id = 0; id < path_->workers(); ++id) {
    while (const auto run = path_->run_kept(id, tick_)) {
      ran = true;
      const auto number = kept_.find({id, run->place});
      tell({.kind = Event::Kind::kept,
            .number = number == kept_.end() ? 0 : number->second,
            .time_ns = time_ns,
            .port = run->frame.in_port()},
           run->frame, run->handled);
    }
  }
  return ran;
}

bool Replay::send_own(std::uint64_t time_ns) {
  bool sent = false;
  for (unsigned id = 0; id < path_->workers(); ++id) {
    for (dp::Outbox& box = path_->worker(id).outbox; box.size() != 0; box.pop()) {
      const dp::OwnFrame& frame = box.front();
      sink_({.kind = Event::Kind::own,
             .time_ns = time_ns,
             .worker = id,
             .verdict = dp::Verdict::forward,
             .out = std::span(frame.bytes).first(frame.length),
             .out_port = frame.port,
             .out_length = frame.length});
      sent = true;
    }
  }
  return sent;
}

unsigned Replay::receiving_worker(const CapturedFrame& frame) const {
  const ParsedFrame parsed(frame.bytes, frame.original_length);
  const dp::Meta& meta = parsed.meta();
  if (!meta.is_ip) return 0;
  return dp::with_family(meta.family, [&]<Family F>() -> unsigned {
    const auto* ip = parsed.at<dp::IpHdr<F>>(meta.l3_offset);
    if (ip == nullptr) return 0;
    dp::FlowKey<F> key{ip->src, ip->dst, {}, {}, meta.proto};
    const bool has_ports = (meta.proto == IpProto::tcp || meta.proto == IpProto::udp) && meta.has_l4;
    if (has_ports && meta.fragment == dp::FragmentKind::whole) {
      const auto* ports = parsed.at<dp::L4Ports>(meta.l4_offset);
      key.src_port = ports->src;
      key.dst_port = ports->dst;
    }
    return dp::owner_of_hash(rss_(key), path_->workers());
  });
}

template <Family F>
std::uint64_t Replay::number_of(unsigned worker, std::uint32_t record, std::uint64_t frame) {
  const dp::FlowTable<F>& flows = path_->worker(worker).template flows<F>();
  const dp::Flow<F>& flow = flows.flow(record);
  const dp::FlowDetail& detail = flows.detail(record);
  FlowMark& mark = marks_[F == Family::v4 ? 0 : 1][{worker, record}];
  const std::uint32_t first = detail.first[dp::index(dp::Direction::to_server)];
  if (mark.number == 0 || mark.created != detail.created || mark.first != first ||
      mark.client_port != flow.client_port.host() || mark.local_port != flow.local_port.host()) {
    mark = {++flows_begun_, detail.created, first, flow.client_port.host(), flow.local_port.host()};
  }
  if (detail.syn != dp::kNoIndex && frame != 0) stored_[{worker, detail.syn}] = frame;
  return mark.number;
}

void Replay::name_flow(Event& event, const dp::OfflinePath::Handled& handled) {
  const dp::Meta& meta = handled.packet.meta;
  std::uint16_t service = meta.service;
  event.direction = meta.direction;
  event.icmp_error = meta.icmp_error;
  if (meta.flow != dp::kNoFlow) {
    dp::with_family(meta.family, [&]<Family F>() {
      const dp::Flow<F>& flow = path_->worker(handled.worker).template flows<F>().flow(meta.flow);
      if (flow.state == dp::FlowState::unused) return;  // it has ended with this packet
      event.flow = number_of<F>(handled.worker, meta.flow, event.number);
      event.state = dp::name(flow.state);
      service = flow.service;
      const auto* server = compiler_.servers()[flow.server_slot];
      if (server != nullptr) event.server = server->server;
    });
  }
  if (service == dp::kNoIndex) return;
  const auto* named = compiler_.services()[service];
  if (named != nullptr) event.service = named->service.name;
}

/// Where the copy of a held SYN is, so that what becomes of it can be told as this frame's.
void Replay::note_held(const Event& event, const dp::Packet& packet) {
  dp::with_family(packet.meta.family, [&]<Family F>() {
    const auto* ip = base::at<dp::IpHdr<F>>(std::span<const std::byte>(packet.bytes), packet.meta.l3_offset);
    const auto* ports =
        base::at<dp::L4Ports>(std::span<const std::byte>(packet.bytes), packet.meta.l4_offset);
    const dp::FlowKey<F> key{ip->src, ip->dst, ports->src, ports->dst, packet.meta.proto};
    const std::uint16_t slot = path_->worker(event.worker).syns.find<F>(key, packet.meta.hash);
    if (slot != dp::kNoIndex && event.number != 0) stored_[{event.worker, slot}] = event.number;
  });
}

void Replay::tell(Event event, const dp::OfflineFrame& frame, const dp::OfflinePath::Handled& handled) {
  const dp::Packet& packet = handled.packet;
  event.worker = handled.worker;
  event.handed_over = handled.handed_over;
  event.verdict = packet.verdict;
  event.reason = packet.reason;
  name_flow(event, handled);
  if (packet.verdict == dp::Verdict::hold) note_held(event, packet);
  if (packet.verdict == dp::Verdict::keep) kept_[{event.worker, packet.meta.place}] = event.number;
  event.in = frame.original();
  std::vector<std::vector<std::byte>> out;
  if (packet.verdict == dp::Verdict::forward) {
    const dp::Adjacency& hop = path_->snapshot().next_hops->adjacency(packet.meta.next_hop);
    out = frame.frames_of(packet, hop.header_length);
    event.out_port = hop.port;
  } else if (packet.verdict == dp::Verdict::reflect) {
    out.push_back(frame.bytes_of(packet));
    event.out_port = packet.in_port;
  }
  if (!out.empty()) {
    event.out = out.front();
    event.further = std::span<const std::vector<std::byte>>(out).subspan(1);
    event.out_length = out.size() == 1 ? packet.frame_length : static_cast<std::uint32_t>(out.front().size());
  }
  sink_(event);
}

}  // namespace sluice::replay
