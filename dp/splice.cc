#include "dp/splice.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/checksum.h"
#include "dp/answer.h"
#include "dp/first_syn.h"
#include "dp/ip_header.h"
#include "dp/mss_limit.h"
#include "dp/own_segment.h"
#include "dp/pipeline.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

/// Of a SYN without the option (RFC 9293 §3.7.1).
template <Family F>
constexpr std::uint16_t kDefaultMss = F == Family::v4 ? 536 : 1'220;

const base::TcpHdr& tcp_of(const Packet& packet) noexcept {
  return *at<base::TcpHdr>(std::span<const std::byte>(packet.bytes), packet.meta.l4_offset);
}

/// The sequence number of the SYN-ACK that the client of a SYN made by unpack_cookie() has acknowledged. It
/// stands where a SYN has no acknowledgement, so that it is stored and parked with it.
std::uint32_t cookie_of(const Packet& syn) noexcept {
  return tcp_of(syn).ack.host() - 1;
}

std::uint32_t cookie_of(const FlowDetail& detail) noexcept {
  return detail.first[index(Direction::to_client)];
}

}  // namespace

bool wants_cookie(const Packet& packet, const Service& service, WorkerState& worker,
                  base::Tick now) noexcept {
  if (packet.meta.fragment != FragmentKind::whole) return false;
  // Of a SYN that has been stored the client waits for the server's own answer.
  if (packet.meta.syn != kNoIndex) return false;
  // Without a server the client is refused at once.
  if (service.choices == nullptr || service.choices->order.empty()) return false;
  return worker.cookies.wanted(service.syn_cookies, worker.unfinished_handshakes(), now);
}

template <Family F>
void answer_with_cookie(Packet& packet, const FlowKey<F>& key, const Snapshot& snapshot, WorkerState& worker,
                        base::Tick now) noexcept {
  const SynOptions theirs = syn_options(packet.bytes.subspan(packet.meta.l4_offset), kDefaultMss<F>);
  const std::uint32_t cookie = worker.cookies.make(key, tcp_of(packet).seq.host(), theirs, now);
  SynOptions ours{.mss = mss_of_any_server<F>(packet.meta.service, snapshot),
                  .window_scale = std::nullopt,
                  .sack = theirs.sack};
  if (theirs.window_scale) ours.window_scale = kToldScale;
  const base::TcpHdr syn = tcp_of(packet);
  const auto* ip = at<IpHdr<F>>(std::span<const std::byte>(packet.bytes), packet.meta.l3_offset);
  base::TcpHdr answer{};
  answer.src = syn.dst;
  answer.dst = syn.src;
  answer.seq = base::Be32{cookie};
  answer.ack = base::Be32{syn.seq.host() + 1};
  answer.flags.bits = base::TcpFlags::kSyn | base::TcpFlags::kAck;
  const SegmentEnds<F> ends{.src = ip->dst, .dst = ip->src, .hop_limit = 64, .traffic_class = 0};
  if (!make_segment<F>(packet, ends, answer, ours, worker)) return packet.drop(DropReason::too_big);
  turn_round(packet, DropReason::syn_cookie_sent);
}

template <Family F>
bool unpack_cookie(Packet& packet, const FlowKey<F>& key, WorkerState& worker, base::Tick now) noexcept {
  const base::TcpHdr ack = tcp_of(packet);
  if (!ack.flags.ack() || ack.flags.syn() || ack.flags.rst()) return false;
  if (packet.meta.fragment != FragmentKind::whole) return false;
  std::uint32_t isn = ack.seq.host() - 1;
  auto options = worker.cookies.open(key, isn, ack.ack.host() - 1, now);
  // Where the ACK got lost, a client that has data comes back by probing the window of 0, one number before
  // the next, so that it is answered (Linux does).
  if (!options) options = worker.cookies.open(key, ++isn, ack.ack.host() - 1, now);
  if (!options || flaw_of_syn<F>(packet) != DropReason::none) return false;
  worker.cookies.count_returned();
  worker.counters.cookies_returned.add(1);

  // The window of a SYN is not scaled (RFC 7323 §2.2).
  const std::uint32_t window = std::uint32_t{ack.window.host()} << options->window_scale.value_or(0);
  base::TcpHdr syn{};
  syn.src = ack.src;
  syn.dst = ack.dst;
  syn.seq = base::Be32{isn};
  syn.ack = ack.ack;
  syn.flags.bits = base::TcpFlags::kSyn;
  syn.window = base::Be16{static_cast<std::uint16_t>(std::min<std::uint32_t>(window, 0xffff))};
  const auto* ip = at<IpHdr<F>>(std::span<const std::byte>(packet.bytes), packet.meta.l3_offset);
  const SegmentEnds<F> ends{
      .src = ip->src, .dst = ip->dst, .hop_limit = hop_limit(*ip), .traffic_class = traffic_class(*ip)};
  if (!make_segment<F>(packet, ends, syn, *options, worker)) return false;
  packet.meta.spliced = true;
  return true;
}

template <Family F>
void begin_splice(Flow<F>& flow, const Packet& syn) noexcept {
  flow.flags |= Flow<F>::kSpliced | Flow<F>::kClientAcked;
  flow.acked[index(Direction::to_server)] = flow.end[index(Direction::to_client)] = cookie_of(syn) + 1;
  flow.window[index(Direction::to_server)] >>= flow.window_scale & 0xfU;  // as it was in the client's ACK
}

void begin_splice(FlowDetail& detail, const Packet& syn) noexcept {
  detail.first[index(Direction::to_client)] = cookie_of(syn);
  const auto segment = std::span<const std::byte>(syn.bytes).subspan(syn.meta.l4_offset);
  detail.windows = window_scale(segment) ? SplicedWindows::client : SplicedWindows::neither;
}

template <Family F>
SpliceStep mind_splice(Packet& packet, std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                       base::Tick now) noexcept {
  const Flow<F>& flow = worker.flows<F>().flow(number);
  FlowDetail& detail = worker.flows<F>().detail(number);
  const base::TcpHdr& tcp = tcp_of(packet);
  const bool waits = flow.state == FlowState::syn_sent;
  const auto take = [&packet] {
    packet.drop(DropReason::before_server);
    return SpliceStep::taken;
  };
  if (packet.meta.direction == Direction::to_server) {
    if (!waits || tcp.flags.rst()) return SpliceStep::none;
    // The SYN itself, stored or parked, bears the cookie; late copies of the client's first one do not.
    const bool own = tcp.flags.syn() && !tcp.flags.ack() && tcp.ack.host() == cookie_of(detail) + 1;
    return own ? SpliceStep::none : take();
  }
  const bool syn_ack = tcp.flags.syn() && tcp.flags.ack() && !tcp.flags.rst();
  if (!waits) {
    const bool copy = syn_ack && detail.windows != SplicedWindows::not_told &&
                      tcp.seq.host() + detail.server_shift == cookie_of(detail);
    return copy && class_of(flow.state) == FlowClass::open ? SpliceStep::joins : SpliceStep::none;
  }
  const bool translates = (flow.flags & Flow<F>::kTranslatesSequence) != 0;
  const std::uint32_t acked = tcp.ack.host() - (translates ? detail.sequence_delta : 0);
  if (tcp.flags.rst()) {
    if (!tcp.flags.ack() || acked != flow.end[index(Direction::to_server)]) return take();
    // A refusal: at the number that the client expects next, or it would not believe it (RFC 5961 §3.2).
    detail.server_shift = cookie_of(detail) + 1 - tcp.seq.host();
    return SpliceStep::none;
  }
  if (!syn_ack || acked != flow.end[index(Direction::to_server)]) {
    // Of another connection that the server still has on this pair: what the client would say to it.
    if (!tcp.flags.ack()) return take();
    answer_with_reset(packet, DropReason::reset_sent, worker, now);
    return SpliceStep::taken;
  }
  // Who cannot be acknowledged now sends its SYN-ACK again.
  const Way way = way_to_server(flow, snapshot);
  if (way.hop == nullptr || !worker.outbox.has_room()) return take();
  detail.server_shift = cookie_of(detail) - tcp.seq.host();
  if (detail.windows == SplicedWindows::client && window_scale(packet.bytes.subspan(packet.meta.l4_offset))) {
    detail.windows = SplicedWindows::both;
  }
  return SpliceStep::joins;
}

template <Family F>
void join(Packet& packet, std::uint32_t number, const Snapshot& snapshot, WorkerState& worker) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const FlowDetail& detail = worker.flows<F>().detail(number);
  const auto segment = packet.bytes.subspan(packet.meta.l4_offset);
  auto* tcp = at<base::TcpHdr>(segment, 0);
  if (flow.state == FlowState::syn_received) flow.state = FlowState::established;  // the client is there

  const Way way = way_to_server(flow, snapshot);
  if (way.hop != nullptr && worker.outbox.has_room()) {
    const std::uint32_t shift = (flow.flags & Flow<F>::kTranslatesSequence) != 0 ? detail.sequence_delta : 0;
    std::uint32_t window = flow.window[index(Direction::to_server)];
    if (detail.windows == SplicedWindows::client) window <<= flow.window_scale & 0xfU;
    post_segment(flow, Direction::to_server,
                 {.seq = flow.end[index(Direction::to_server)] + shift,
                  .ack = tcp->seq.host() + 1,
                  .flags = {base::TcpFlags::kAck},
                  .window = static_cast<std::uint16_t>(std::min<std::uint32_t>(window, 0xffff))},
                 *way.hop, worker);
  }

  base::ChecksumDelta delta = strip_options(segment);
  const auto set = [&delta](auto& field, auto value) {
    delta.replace(field, value);
    field = value;
  };
  set(tcp->seq, base::Be32{tcp->seq.host() + 1});
  const unsigned scale = detail.windows == SplicedWindows::both ? flow.window_scale >> 4U : 0;
  set(tcp->window, base::Be16{static_cast<std::uint16_t>(tcp->window.host() >> scale)});
  auto* flags = at<base::Be16>(segment, offsetof(base::TcpHdr, off_rsvd));
  set(*flags, base::Be16{static_cast<std::uint16_t>((flags->host() & 0xf000U) | base::TcpFlags::kAck)});
  tcp->checksum = update_checksum(tcp->checksum, delta);
}

template <Family F>
void send_syn_again(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                    base::Tick now) noexcept {
  constexpr std::uint16_t kHeadroom = 64;
  const auto lost = [&worker](DropReason why) {
    worker.counters.drops[static_cast<std::size_t>(why)].add(1);
  };
  const std::uint16_t slot = worker.flows<F>().detail(number).syn;
  if (slot == kNoIndex) return;
  if (!worker.outbox.has_room()) return lost(DropReason::outbox_full);
  const StoredSyn& syn = worker.syns.at(slot);
  std::array<std::byte, kHeadroom + StoredSyn::kRoom> buffer;
  std::ranges::copy(syn.bytes(), buffer.begin() + kHeadroom);
  Packet packet{.bytes = std::span(buffer).subspan(kHeadroom, syn.length),
                .mbuf = nullptr,
                .frame_length = syn.length,
                .headroom = kHeadroom,
                .in_port = syn.in_port,
                .tag = {},
                .meta = {}};
  process_burst(std::span(&packet, 1), Origin::worker, snapshot, worker, now);
  // Whatever stands in its way does so now: it has its next turn.
  if (packet.verdict == Verdict::park) return lost(DropReason::neighbour_timeout);
  if (packet.verdict != Verdict::forward) return lost(packet.reason);
  if (packet.bytes.size() > OwnFrame::kRoom) return lost(DropReason::too_big);
  OwnFrame& frame = worker.outbox.append();
  std::ranges::copy(packet.bytes, frame.bytes.begin());
  frame.length = static_cast<std::uint16_t>(packet.bytes.size());
  frame.port = snapshot.next_hops->adjacency(packet.meta.next_hop).port;
}

template void answer_with_cookie(Packet&, const FlowKey<Family::v4>&, const Snapshot&, WorkerState&,
                                 base::Tick) noexcept;
template void answer_with_cookie(Packet&, const FlowKey<Family::v6>&, const Snapshot&, WorkerState&,
                                 base::Tick) noexcept;
template bool unpack_cookie(Packet&, const FlowKey<Family::v4>&, WorkerState&, base::Tick) noexcept;
template bool unpack_cookie(Packet&, const FlowKey<Family::v6>&, WorkerState&, base::Tick) noexcept;
template void begin_splice(Flow<Family::v4>&, const Packet&) noexcept;
template void begin_splice(Flow<Family::v6>&, const Packet&) noexcept;
template SpliceStep mind_splice<Family::v4>(Packet&, std::uint32_t, const Snapshot&, WorkerState&,
                                            base::Tick) noexcept;
template SpliceStep mind_splice<Family::v6>(Packet&, std::uint32_t, const Snapshot&, WorkerState&,
                                            base::Tick) noexcept;
template void join<Family::v4>(Packet&, std::uint32_t, const Snapshot&, WorkerState&) noexcept;
template void join<Family::v6>(Packet&, std::uint32_t, const Snapshot&, WorkerState&) noexcept;
template void send_syn_again<Family::v4>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;
template void send_syn_again<Family::v6>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
