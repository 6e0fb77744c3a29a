#include "dp/flow/flow_life.h"

#include <algorithm>

#include "base/checksum.h"
#include "dp/admission.h"
#include "dp/answer.h"
#include "dp/choose_server.h"
#include "dp/client_limits.h"
#include "dp/flow/attempt.h"
#include "dp/flow/flow_source.h"
#include "dp/flow/tcp_track.h"
#include "dp/own_reset.h"
#include "dp/own_segment.h"
#include "dp/splice.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

/// How far a reused port pair is numbered beyond what the server had read of the connection before.
constexpr std::uint32_t kSequenceGap = 0x20000;
/// How long the end of a connection waits for a next hop before it is tried again.
constexpr std::uint32_t kPostponedMs = 250;

/// Gives a place back for which no flow has come about.
class PlaceHolder {
 public:
  PlaceHolder(WorkerState& worker, std::uint16_t service, std::uint16_t server) noexcept
      : load_(worker.load), service_(service), server_(server) {}
  PlaceHolder(const PlaceHolder&) = delete;
  PlaceHolder& operator=(const PlaceHolder&) = delete;
  ~PlaceHolder() {
    if (load_ != nullptr) load_->give_back(service_, server_);
  }
  void keep() noexcept { load_ = nullptr; }

 private:
  Load* load_;
  std::uint16_t service_, server_;
};

/// Makes room for one more half-open flow. False when that is not to be had.
template <Family F>
bool make_room(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  const Room room = room_for_flow<F>(worker);
  if (room.refusal != DropReason::none) {
    packet.drop(room.refusal);
    return false;
  }
  if (room.victim == FlowClass::kCount) return true;
  const std::uint32_t victim = worker.flows<F>().soonest(room.victim);
  const Flow<F>& flow = worker.flows<F>().flow(victim);
  // Of what a cookie began, its client is told: it would not repeat its SYN.
  if (class_of(flow.state) == FlowClass::half_open && (flow.flags & Flow<F>::kSpliced) != 0) {
    const ResetResult told = post_resets<F>(victim, ResetTo::client, snapshot, worker, now);
    if (told != ResetResult::done) {
      const bool full = told == ResetResult::no_room;
      const DropReason why = full ? DropReason::outbox_full : DropReason::neighbour_timeout;
      worker.counters.drops[static_cast<std::size_t>(why)].add(1);
    }
  }
  end_flow<F>(victim, snapshot, worker, now);
  return true;
}

/// Flow::flags as the service has it now.
template <Family F>
std::uint8_t refresh_flag(std::uint8_t flags, const Service& service) noexcept {
  const bool only_data = service.proto == IpProto::tcp && service.idle_refresh == config::IdleRefresh::data;
  return static_cast<std::uint8_t>((flags & ~Flow<F>::kOnlyDataCounts) |
                                   (only_data ? Flow<F>::kOnlyDataCounts : 0));
}

template <Family F>
void set_deltas(Flow<F>& flow) noexcept {
  base::ChecksumDelta addresses;
  addresses.replace(flow.client, flow.local);
  addresses.replace(flow.vip, flow.server);
  flow.address_delta = addresses.folded();
  addresses.replace(flow.client_port, flow.local_port);
  addresses.replace(flow.vip_port, flow.server_port);
  flow.l4_delta = addresses.folded();
}

/// The server may hold the port pair in TIME_WAIT: number the connection beyond the old one, and have no
/// timestamp sent that could be older than its last (RFC 9293 §3.6.1, RFC 7323 §5.5; facts: nat case 6).
template <Family F>
std::uint32_t avoid_time_wait(const Packet& packet, Flow<F>& flow, std::uint32_t server_read) noexcept {
  flow.flags |= Flow<F>::kStripsTimestamps;
  const std::uint32_t seq =
      at<base::TcpHdr>(std::span<const std::byte>(packet.bytes), packet.meta.l4_offset)->seq.host();
  if (seq_before(server_read, seq)) return 0;
  flow.flags |= Flow<F>::kTranslatesSequence;
  return server_read + kSequenceGap - seq;
}

/// Puts the RSTs that end a TCP connection into the outbox; `done`, too, when waiting for a next hop has
/// taken too long.
template <Family F>
ResetResult reset_both(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                       base::Tick now) noexcept {
  // Longer than the kernel takes to find out that a neighbour does not answer (Parking::kPatienceMs).
  constexpr std::uint8_t kPostponements = 20;
  if (!worker.outbox.has_room(2)) return ResetResult::no_room;
  FlowDetail& detail = worker.flows<F>().detail(number);
  // The address of a client whose handshake is not done may be another's: limited, as all that could be
  // provoked in a stranger's name.
  const Flow<F>& flow = worker.flows<F>().flow(number);
  const bool verified = class_of(flow.state) == FlowClass::open || (flow.flags & Flow<F>::kSpliced) != 0;
  const bool to_client = verified || worker.resets.take(now);
  const ResetResult result =
      post_resets<F>(number, to_client ? ResetTo::both : ResetTo::server, snapshot, worker, now);
  if (result == ResetResult::no_hop && detail.postponed == kPostponements) {
    worker.counters.drops[static_cast<std::size_t>(DropReason::neighbour_timeout)].add(1);
    return ResetResult::done;
  }
  if (result == ResetResult::no_hop) {
    ++detail.postponed;
    worker.flows<F>().rearm(number, now, now + kPostponedMs);
  }
  if (result == ResetResult::done && !to_client) {
    worker.counters.drops[static_cast<std::size_t>(DropReason::reset_limited)].add(1);
  }
  return result;
}

/// Looks after a flow whose timer has come up. False when that must wait for room in the outbox.
template <Family F>
bool expire(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  FlowTable<F>& flows = worker.flows<F>();
  Flow<F>& flow = flows.flow(number);
  const Service& service = snapshot.services->services[flow.service];
  // An attempt to reach a server has its time, however often the client repeats its SYN meanwhile.
  const bool connects = flow.state == FlowState::syn_sent;
  const base::Tick ends =
      (connects ? flows.detail(number).created : flow.last_seen) + idle_timeout_ms(flow.state, service);
  const bool killed = (flow.flags & Flow<F>::kKilled) != 0;
  // Of a SYN that a cookie stood for, nobody but sluice finds out that its server has gone.
  const bool alone = connects && !killed && (flow.flags & Flow<F>::kSpliced) != 0;
  const Way way = alone ? way_to_server(flow, snapshot) : Way{};
  const bool lost = alone && way.hop == nullptr && !way.later;
  if (lost && attempt_failed<F>(number, Failure::unreachable, snapshot, worker, now)) return true;
  if (!killed && !lost && !reached(now, ends)) {
    // Every flow comes by here once per turn of the wheel, before 16 bits of the epoch can have come round.
    const auto epoch = static_cast<std::uint16_t>(snapshot.next_hops->epoch());
    if (flow.hop_epoch != epoch) flow.client_hop = kNoAdjacency;
    flows.detail(number).postponed = 0;
    flow.flags = refresh_flag<F>(flow.flags, service);
    if (way.hop != nullptr) send_syn_again<F>(number, snapshot, worker, now);
    const base::Tick next = now + kSynAgainMs;
    flows.rearm(number, now, alone && !reached(next, ends) ? next : ends);
    return true;
  }
  if (connects && !killed && has_attempts_left(flows.detail(number), worker)) {
    return attempt_failed<F>(number, Failure::unanswered, snapshot, worker, now);
  }
  if (flow.proto == IpProto::tcp && class_of(flow.state) != FlowClass::closed) {
    const ResetResult result = reset_both<F>(number, snapshot, worker, now);
    if (result != ResetResult::done) return result == ResetResult::no_hop;
    (killed ? worker.counters.killed : worker.counters.timed_out).add(1);
  }
  if (connects && !killed) (void)attempt_failed<F>(number, Failure::unanswered, snapshot, worker, now);
  end_flow<F>(number, snapshot, worker, now);
  return true;
}

}  // namespace

std::uint32_t idle_timeout_ms(FlowState state, const Service& service) noexcept {
  switch (state) {
    case FlowState::unused:
    case FlowState::kCount: return 0;
    case FlowState::udp_opening:
    case FlowState::syn_sent:
    case FlowState::syn_received: return service.half_open_ms;
    case FlowState::udp_open:
    case FlowState::established: return service.open_ms;
    case FlowState::fin_client: return service.client_closed_ms;
    case FlowState::fin_server: return service.server_closed_ms;
    case FlowState::closing: return std::min(kClosingMs, service.open_ms);
    case FlowState::time_wait: return kTimeWaitMs;
    case FlowState::reset: return kResetMs;
  }
  return 0;
}

template <Family F>
Room room_for_flow(const WorkerState& worker) noexcept {
  const FlowTable<F>& flows = worker.flows<F>();
  if (flows.size(FlowClass::half_open) >= worker.half_open_max) {
    if (worker.syn_overflow == config::SynOverflow::drop) return {.refusal = DropReason::half_open_full};
    return {.victim = FlowClass::half_open};
  }
  if (!flows.full()) return {};
  for (const FlowClass victim : {FlowClass::closed, FlowClass::half_open}) {
    if (flows.size(victim) != 0) return {.victim = victim};
  }
  return {.refusal = DropReason::flow_table_full};
}

template <Family F>
void start_flow(Packet& packet, const FlowKey<F>& key, const Snapshot& snapshot, WorkerState& worker,
                base::Tick now) noexcept {
  const ServiceTables& tables = *snapshot.services;
  const Service& service = tables.services[packet.meta.service];
  std::optional<ClientPlace> client = admit_client<F>(packet, key.src, tables, worker, now);
  if (!client) return;
  const Wish wish = wish_of(packet, tables, worker);
  const Choice choice = choose_server(tables, packet.meta.service, key, wish, worker);
  switch (choice.kind) {
    case Choice::Kind::chosen: break;
    case Choice::Kind::full:
      if (key.proto != IpProto::tcp) return refuse(packet, DropReason::servers_full, worker, now);
      if (const std::uint16_t syn = hold(packet, choice, tables, worker, now); syn != kNoIndex)
        client->pass_to(worker.syns.at(syn));
      return;
    case Choice::Kind::none:
      return service.refuses ? refuse(packet, DropReason::no_server, worker, now)
                             : packet.drop(DropReason::no_server);
  }
  PlaceHolder place(worker, packet.meta.service, choice.server);
  if (!make_room<F>(packet, snapshot, worker, now)) return;

  Flow<F> flow;
  flow.server_slot = choice.server;
  const Server& server = tables.servers[flow.server_slot];
  flow.client = key.src;
  flow.client_port = key.src_port;
  flow.vip = key.dst;
  flow.vip_port = key.dst_port;
  flow.server = server.address.as<F>();
  flow.server_port = server.port;
  flow.proto = key.proto;
  flow.service = packet.meta.service;
  flow.last_seen = now;
  flow.flags = refresh_flag<F>(flow.flags, service);
  std::uint16_t pool = kNoIndex;
  const auto lease = take_source(flow, pool, packet.meta.hash, snapshot, worker, now);
  if (!lease) return packet.drop(DropReason::no_source_port);
  set_deltas(flow);

  std::uint32_t sequence_delta = 0;
  std::uint32_t first = 0;
  if (flow.proto == IpProto::tcp) {
    if (lease->reused) sequence_delta = avoid_time_wait(packet, flow, lease->server_read);
    start_tcp(flow, packet.bytes.subspan(packet.meta.l4_offset), packet.meta.l4_length);
    if (packet.meta.spliced) begin_splice(flow, packet);
    first = at<base::TcpHdr>(packet.bytes, packet.meta.l4_offset)->seq.host();
  } else {
    flow.state = FlowState::udp_opening;
  }
  std::uint32_t due_ms = idle_timeout_ms(flow.state, service);
  if (packet.meta.spliced) due_ms = std::min(due_ms, kSynAgainMs);
  const std::uint32_t number = worker.flows<F>().insert(flow, now, now + due_ms);
  if (number == kNoFlow) {
    give_source_back(flow, pool, snapshot, worker);
    return packet.drop(DropReason::flow_table_full);
  }
  FlowDetail& detail = worker.flows<F>().detail(number);
  detail.pool = pool;
  detail.sequence_delta = sequence_delta;
  detail.first[index(Direction::to_server)] = first;
  worker.servers[flow.server_slot].connections_new.add(1);
  place.keep();
  client->pass_to(detail);
  if (packet.meta.spliced) begin_splice(detail, packet);
  if (flow.proto == IpProto::tcp) {
    if (is_handshake(flow)) ++worker.handshakes_open;
    keep_syn(packet, service, detail.syn, worker);
  }
  packet.meta.flow = number;
}

template <Family F>
void end_flow(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  FlowTable<F>& flows = worker.flows<F>();
  const Flow<F>& flow = flows.flow(number);
  FlowDetail& detail = flows.detail(number);
  give_source_back(flow, detail, snapshot, worker, now);
  forget_syn(detail.syn, worker);
  if (is_handshake(flow)) --worker.handshakes_open;
  if (class_of(flow.state) != FlowClass::closed) count_closed(flow, worker);
  leave_client<F>(flow, detail, *snapshot.services, worker);
  worker.servers[flow.server_slot].connections_ended.add(1);
  flows.erase(number);
}

template <Family F>
Killing kill_flow(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                  base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  if (flow.proto == IpProto::tcp && class_of(flow.state) != FlowClass::closed) {
    switch (reset_both<F>(number, snapshot, worker, now)) {
      case ResetResult::done: break;
      case ResetResult::no_room: return Killing::no_room;
      case ResetResult::no_hop: flow.flags |= Flow<F>::kKilled; return Killing::started;
    }
  }
  worker.counters.killed.add(1);
  end_flow<F>(number, snapshot, worker, now);
  return Killing::done;
}

void expire_flows(const Snapshot& snapshot, WorkerState& worker, base::Tick now, unsigned budget) noexcept {
  for (unsigned i = 0; i < budget; ++i) {
    const std::uint32_t v4 = worker.flows_v4.due(now);
    if (v4 != kNoFlow && !expire<Family::v4>(v4, snapshot, worker, now)) return;
    const std::uint32_t v6 = worker.flows_v6.due(now);
    if (v6 != kNoFlow && !expire<Family::v6>(v6, snapshot, worker, now)) return;
    if (v4 == kNoFlow && v6 == kNoFlow) return;
  }
}

template Room room_for_flow<Family::v4>(const WorkerState&) noexcept;
template Room room_for_flow<Family::v6>(const WorkerState&) noexcept;
template void start_flow(Packet&, const FlowKey<Family::v4>&, const Snapshot&, WorkerState&,
                         base::Tick) noexcept;
template void start_flow(Packet&, const FlowKey<Family::v6>&, const Snapshot&, WorkerState&,
                         base::Tick) noexcept;
template Killing kill_flow<Family::v4>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;
template Killing kill_flow<Family::v6>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;
template void end_flow<Family::v4>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;
template void end_flow<Family::v6>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
