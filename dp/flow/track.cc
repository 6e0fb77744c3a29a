#include "dp/flow/track.h"

#include "dp/admission.h"
#include "dp/answer.h"
#include "dp/classify.h"
#include "dp/client_limits.h"
#include "dp/first_syn.h"
#include "dp/flow/attempt.h"
#include "dp/flow/flow_life.h"
#include "dp/flow/tcp_track.h"
#include "dp/gather.h"
#include "dp/icmp_error.h"
#include "dp/own_reset.h"
#include "dp/rewrite.h"
#include "dp/splice.h"

namespace sluice::dp {
namespace {

using base::Family;
using base::IpProto;

constexpr bool is_first_syn(base::TcpFlags flags) noexcept {
  return flags.syn() && !flags.ack() && !flags.rst() && !flags.fin();
}

/// An address that no packet can come from: whoever answers it, answers the wrong one (RFC 1122 §3.2.1.3, RFC
/// 4291 §2.5.2, §2.5.3, §2.7). Only asked about first packets: no flow of such a client exists.
bool is_impossible(const base::Ipv4& source) noexcept {
  return source.value.host() >> 24 == 0 || source.is_loopback() || source.is_multicast() ||
         source == base::Ipv4::from_host(0xffff'ffff);
}
bool is_impossible(const base::Ipv6& source) noexcept {
  return source.is_unspecified() || source.is_loopback() || source.is_multicast();
}

/// start_flow() for a client that has been told by a cookie that it is connected: it does not repeat its SYN,
/// and must hear of it when nothing comes of that.
template <Family F>
void start_told_flow(Packet& packet, const FlowKey<F>& key, const Snapshot& snapshot, WorkerState& worker,
                     base::Tick now) noexcept {
  start_flow<F>(packet, key, snapshot, worker, now);
  if (packet.verdict == Verdict::drop) answer_with_reset(packet, packet.reason, worker, now);
}

/// A packet without a flow: a new connection, the kernel's own traffic on a shared address, or something that
/// fell out of time.
template <Family F>
void without_flow(Packet& packet, const FlowKey<F>& key, const Snapshot& snapshot, WorkerState& worker,
                  base::Tick now) noexcept {
  const Meta& meta = packet.meta;
  const bool to_client = meta.direction == Direction::to_client;
  if (to_client) {
    const ServiceTables& tables = *snapshot.services;
    const std::uint16_t address = tables.find_address<F>(key.dst);
    // What a server sends of its own accord may well be meant for somebody whom the kernel has routed to it.
    const bool routed = address == kNoIndex && worker.ports[packet.in_port].has_twin;
    if (routed || (address != kNoIndex && tables.addresses[address].is_excluded(key.proto, key.dst_port))) {
      packet.verdict = Verdict::punt;  // else a port that the kernel itself uses
      packet.reason = DropReason::no_flow;
      return;
    }
  }
  if (meta.icmp_error) return packet.drop(DropReason::icmp_no_flow);
  if (meta.fragment == FragmentKind::later) return packet.drop(DropReason::fragment_no_flow);
  if (is_bad_source<F>(key.src, *snapshot.services)) return packet.drop(DropReason::bad_source);
  const bool begins = !to_client && (meta.proto == IpProto::udp || is_first_syn(meta.tcp_flags));
  // What cannot travel on begins nothing: no server would ever answer it.
  if (begins && !has_hop_left<F>(packet)) {
    return answer_with_icmp(packet, IcmpAnswer::time_exceeded, 0, DropReason::ttl_expired, worker, now);
  }
  // One that has been stored has been looked at before.
  const bool whole = meta.fragment == FragmentKind::whole;
  if (begins && whole && meta.proto == IpProto::tcp && meta.syn == kNoIndex) {
    if (const DropReason flaw = flaw_of_syn<F>(packet); flaw != DropReason::none) return packet.drop(flaw);
  }
  if (meta.proto == IpProto::udp) {
    return to_client ? packet.drop(DropReason::no_flow) : start_flow<F>(packet, key, snapshot, worker, now);
  }
  if (meta.fragment == FragmentKind::first) {
    if (begins) return packet.drop(DropReason::fragmented_syn);
    // A RST would have to acknowledge a segment whose length is not known.
    if (!meta.tcp_flags.ack()) return packet.drop(DropReason::fragment_no_flow);
  }
  if (!to_client && absorb<F>(packet, key, *snapshot.services, worker)) return;
  if (meta.tcp_flags.rst()) return packet.drop(DropReason::stray_reset);
  if (begins) {
    if (meta.spliced) return start_told_flow<F>(packet, key, snapshot, worker, now);
    const Service& service = snapshot.services->services[meta.service];
    if (!wants_cookie(packet, service, worker, now)) return start_flow<F>(packet, key, snapshot, worker, now);
    return is_denied<F>(key.src, service)
               ? refuse_client(packet, DropReason::client_denied, service, worker, now)
               : answer_with_cookie<F>(packet, key, snapshot, worker, now);
  }
  if (!to_client && has_hop_left<F>(packet) && unpack_cookie<F>(packet, key, worker, now)) {
    return start_told_flow<F>(packet, key, snapshot, worker, now);
  }
  answer_with_reset(packet, DropReason::reset_sent, worker, now);
}

/// The first word of a server on a flow whose SYN went to it. False: it was a refusal, and the SYN is tried
/// again; the flow is gone, and so is the packet.
template <Family F>
bool first_answer(Packet& packet, std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                  base::Tick now) noexcept {
  const Flow<F>& flow = worker.flows<F>().flow(number);
  if (flow.state != FlowState::reset) {
    attempt_answered<F>(flow, worker.flows<F>().detail(number), packet.meta.tcp_flags.syn(), worker, now);
    return true;
  }
  if (!attempt_failed<F>(number, Failure::refused, snapshot, worker, now)) return true;
  packet.drop(DropReason::retried);
  return false;
}

/// An ICMP error about a known flow: says nothing of the connection's life, but where it comes in answer to
/// its SYN.
template <Family F>
void mind_error(Packet& packet, std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                base::Tick now) noexcept {
  if (const DropReason flaw = flaw_of_icmp_error<F>(packet); flaw != DropReason::none)
    return packet.drop(flaw);
  const Flow<F>& flow = worker.flows<F>().flow(number);
  if (flow.state != FlowState::syn_sent || packet.meta.direction != Direction::to_client) return;
  if (!says_unreachable<F>(packet, worker.flows<F>().detail(number))) return;
  if (attempt_failed<F>(number, Failure::unreachable, snapshot, worker, now)) {
    return packet.drop(DropReason::retried);
  }
  // No attempts are left: the client is told at once, in words that end its connection.
  if (snapshot.services->services[flow.service].retries == 0 || !worker.resets.take(now) ||
      post_resets<F>(number, ResetTo::client, snapshot, worker, now) != ResetResult::done) {
    return;
  }
  end_flow<F>(number, snapshot, worker, now);
  packet.drop(DropReason::connect_failed);
}

/// Whether a packet makes its flow last though it may leave the state as it is; what changes that does
/// anyway.
template <Family F>
bool refreshes(const Packet& packet, const Flow<F>& flow, const FlowDetail& detail) noexcept {
  const Meta& meta = packet.meta;
  if (flow.proto == IpProto::udp) return true;
  // A RST that is believed changes the state; others make nothing last (RFC 7857 §7.1), and neither does
  // what is under way still when a connection has ended by one.
  if (meta.tcp_flags.rst() || flow.state == FlowState::reset) return false;
  // Nor does a client who has not shown yet that it reads what the server answers.
  if (meta.direction == Direction::to_server && class_of(flow.state) == FlowClass::half_open) return false;
  return (flow.flags & Flow<F>::kOnlyDataCounts) == 0 ||
         moves_data(flow, detail, meta.direction, packet.bytes.subspan(meta.l4_offset), meta.l4_length);
}

/// A fragment other than the first, of a known flow: carries data, and changes nothing else.
template <Family F>
void follow_later(Packet& packet, std::uint32_t number, WorkerState& worker, base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const Direction d = packet.meta.direction;
  if ((flow.flags & Flow<F>::kSpliced) != 0 && flow.state == FlowState::syn_sent)
    return packet.drop(DropReason::before_server);
  bool counts = true;  // as of refreshes()
  if (flow.proto == IpProto::tcp) {
    const bool moves =
        track_later(flow, worker.flows<F>().detail(number), d, packet.tag, place_of<F>(packet).end());
    const bool unproven = d == Direction::to_server && class_of(flow.state) == FlowClass::half_open;
    counts = !unproven && (moves || (flow.flags & Flow<F>::kOnlyDataCounts) == 0);
  }
  if (counts && flow.state != FlowState::reset) flow.last_seen = now;
}

/// Whether a RST ends anything, as far as it can be told from itself: one that goes no further than here, or
/// that no receiver takes in, would give its connection's places back while that goes on.
template <Family F>
bool is_credible_reset(Packet& packet) noexcept {
  if (packet.meta.fragment != FragmentKind::whole || !has_hop_left<F>(packet)) return false;
  if (has_right_checksums<F>(packet)) return true;
  packet.drop(DropReason::bad_checksum);
  return false;
}

/// A connection that was over goes on: it counts anew, whatever the limits. Where it is one too many, both
/// ends are told that it has ended. False: its flow is gone.
template <Family F>
bool take_places_again(Packet& packet, std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                       base::Tick now) noexcept {
  const Flow<F>& flow = worker.flows<F>().flow(number);
  const ServiceTables& tables = *snapshot.services;
  ServerCounters& counters = worker.servers[flow.server_slot];
  counters.connections_new.add(1);
  counters.connections_ended.add(1);
  Load& load = *worker.load;
  load.take(flow.service, flow.server_slot);
  const bool client_may = recount_client<F>(flow, worker.flows<F>().detail(number), tables, worker, now);
  const auto is_over = [](const Places& places, std::uint32_t limit) {
    return limit != 0 && places.taken() > limit;
  };
  const bool full = is_over(load.open, tables.maxconn) ||
                    is_over(load.services[flow.service].open, tables.services[flow.service].maxconn) ||
                    is_over(load.servers[flow.server_slot].open, tables.servers[flow.server_slot].maxconn);
  if (client_may && !full) return true;
  const Killing killing = kill_flow<F>(number, snapshot, worker, now);
  if (killing == Killing::no_room) return true;  // for its RSTs: it stays, and counts
  packet.drop(full ? DropReason::servers_full : DropReason::client_maxconn);
  return killing == Killing::started;
}

/// A packet of a known flow. True when the flow's timer must be set anew.
template <Family F>
bool follow(Packet& packet, std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
            base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const Direction d = packet.meta.direction;
  if (flow.proto == IpProto::udp) {
    const FlowState before = flow.state;
    flow.state = next_state(before, d, TcpEvent::ack);
    return flow.state != before;
  }
  const FlowState before = flow.state;
  if (packet.meta.tcp_flags.rst() && !is_credible_reset<F>(packet)) return false;
  // The server may take it for the next connection, which then begins in this record.
  if (before == FlowState::closing && d == Direction::to_server && is_first_syn(packet.meta.tcp_flags) &&
      !admit_successor<F>(packet, flow, *snapshot.services, worker, now)) {
    return false;
  }
  const bool spliced = (flow.flags & Flow<F>::kSpliced) != 0;
  const SpliceStep splice =
      spliced ? mind_splice<F>(packet, number, snapshot, worker, now) : SpliceStep::none;
  if (splice == SpliceStep::taken) return false;
  const bool was_handshake = is_handshake(flow);
  const bool changed = track_tcp(flow, worker.flows<F>().detail(number), d,
                                 packet.bytes.subspan(packet.meta.l4_offset), packet.meta.l4_length);
  if (splice == SpliceStep::joins) join<F>(packet, number, snapshot, worker);
  if (was_handshake != is_handshake(flow)) worker.handshakes_open += was_handshake ? -1U : 1U;
  if (!changed) {
    // The copy is to be what the client sent last: with its numbers and timestamps as they are now.
    if (before == FlowState::syn_sent && d == Direction::to_server && is_first_syn(packet.meta.tcp_flags) &&
        !spliced) {
      const std::uint16_t syn = worker.flows<F>().detail(number).syn;
      if (syn != kNoIndex && flaw_of_syn<F>(packet) == DropReason::none)
        (void)worker.syns.replace(syn, packet);
    }
    return false;
  }
  const bool was_closed = class_of(before) == FlowClass::closed;
  const bool is_closed = class_of(flow.state) == FlowClass::closed;
  FlowDetail& detail = worker.flows<F>().detail(number);
  if (!was_closed && is_closed) count_closed(flow, worker);
  if (before == FlowState::syn_sent) {
    if (d == Direction::to_client && !first_answer<F>(packet, number, snapshot, worker, now)) return false;
    if (d == Direction::to_server) forget_syn(detail.syn, worker);  // the client has given up
  }
  if (is_closed) leave_client<F>(flow, detail, *snapshot.services, worker);
  // The server took a new SYN on it, another connection in the same record; or a RST was not believed.
  return !was_closed || is_closed || take_places_again<F>(packet, number, snapshot, worker, now);
}

}  // namespace

template <Family F>
bool is_bad_source(const base::Address<F>& source, const ServiceTables& tables) noexcept {
  // An address of our own as the source would have two services talk to one another for ever (RFC 4987 §2.1).
  return is_impossible(source) || tables.find_address<F>(source) != kNoIndex;
}

template <Family F>
void track(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  Meta& meta = packet.meta;
  FlowTable<F>& flows = worker.flows<F>();
  const FlowKey<F> key = flow_key<F>(packet);
  auto found = flows.find(key, meta.hash);
  if (found && !meta.icmp_error && found.direction == Direction::to_server && meta.proto == IpProto::tcp &&
      meta.fragment == FragmentKind::whole && is_first_syn(meta.tcp_flags) &&
      class_of(flows.flow(found.flow).state) == FlowClass::closed) {
    // The client uses its port anew: a connection of its own, perhaps to another server.
    end_flow<F>(found.flow, snapshot, worker, now);
    found = {};
  }
  if (!found) {
    without_flow<F>(packet, key, snapshot, worker, now);
    if (!packet.pending()) return;
  } else {
    meta.flow = found.flow;
    meta.direction = found.direction;
    if (meta.icmp_error) return mind_error<F>(packet, found.flow, snapshot, worker, now);
    Flow<F>& flow = flows.flow(found.flow);
    if (meta.fragment == FragmentKind::later) [[unlikely]]
      return follow_later<F>(packet, found.flow, worker, now);
    if (refreshes(packet, flow, flows.detail(found.flow))) flow.last_seen = now;
    if (follow<F>(packet, found.flow, snapshot, worker, now)) {
      flow.last_seen = now;
      // Who is to end, and only waits for a next hop, does not live longer for what it does meanwhile.
      const bool killed = (flow.flags & Flow<F>::kKilled) != 0;
      const Service& service = snapshot.services->services[flow.service];
      flows.rearm(found.flow, now, killed ? now : now + idle_timeout_ms(flow.state, service));
    }
  }
}

template bool is_bad_source<Family::v4>(const base::Ipv4&, const ServiceTables&) noexcept;
template bool is_bad_source<Family::v6>(const base::Ipv6&, const ServiceTables&) noexcept;
template void track<Family::v4>(Packet&, const Snapshot&, WorkerState&, base::Tick) noexcept;
template void track<Family::v6>(Packet&, const Snapshot&, WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
