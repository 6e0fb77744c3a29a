#include "dp/rewrite.h"

#include <algorithm>
#include <span>
#include <type_traits>

#include "base/checksum.h"
#include "dp/answer.h"
#include "dp/flow/attempt.h"
#include "dp/flow/client_hop.h"
#include "dp/flow/flow_life.h"
#include "dp/flow/tcp_options.h"
#include "dp/icmp_error.h"
#include "dp/ip_header.h"
#include "dp/ipv4_split.h"
#include "dp/mss_limit.h"

namespace sluice::dp {
namespace {

using base::at;
using base::ChecksumDelta;
using base::Family;
using base::IpProto;

void undeliverable(Packet& packet, DropReason reason, WorkerState& worker, base::Tick now) noexcept {
  if (packet.meta.icmp_error) return packet.drop(reason);  // never an error about an error, RFC 1812 §4.3.2.7
  answer_with_icmp(packet, IcmpAnswer::host_unreachable, 0, reason, worker, now);
  if (packet.verdict == Verdict::reflect) packet.reason = reason;
}

/// What becomes of a packet whose destination resolves to no adjacency.
template <Family F>
void not_resolved(Packet& packet, const Flow<F>& flow, const Resolution& resolution, WorkerState& worker,
                  base::Tick now) noexcept {
  switch (resolution.kind) {
    case ResolutionKind::needs_resolution:
      (void)worker.neighbour_requests->push(
          resolution.request(flow.client));  // full: the next packet asks again
      packet.verdict = Verdict::park;
      return;
    case ResolutionKind::blackhole: return packet.drop(DropReason::no_route);
    case ResolutionKind::adjacency:
    case ResolutionKind::no_route:
    case ResolutionKind::local:
    case ResolutionKind::unreachable:
    case ResolutionKind::foreign: return undeliverable(packet, DropReason::no_route, worker, now);
  }
}

/// There is no way to the server, or nobody at its end: an attempt to reach it is over. While the SYN can be
/// tried elsewhere, the client need not know; after the last attempt it is told in words that end its
/// connection. False: the packet is undeliverable, as any other would be.
template <Family F>
bool ends_attempt(Packet& packet, DropReason why, const Snapshot& snapshot, WorkerState& worker,
                  base::Tick now) noexcept {
  const std::uint32_t number = packet.meta.flow;
  const Flow<F>& flow = worker.flows<F>().flow(number);
  if (packet.meta.direction == Direction::to_client || packet.meta.icmp_error ||
      flow.state != FlowState::syn_sent) {
    return false;
  }
  // Who believes to be connected believes nothing but a RST.
  packet.meta.spliced = (flow.flags & Flow<F>::kSpliced) != 0;
  const bool told = packet.meta.spliced || snapshot.services->services[flow.service].retries != 0;
  if (attempt_failed<F>(number, Failure::unreachable, snapshot, worker, now)) {
    packet.drop(DropReason::retried);
    return true;
  }
  end_flow<F>(number, snapshot, worker, now);
  if (told) answer_with_reset(packet, why, worker, now);
  return told;
}

/// The adjacency that the packet leaves by; null when the verdict is set.
template <Family F>
const Adjacency* next_hop(Packet& packet, Flow<F>& flow, const Snapshot& snapshot, WorkerState& worker,
                          base::Tick now) noexcept {
  const AdjacencyTable& hops = *snapshot.next_hops;
  AdjacencyId id = kNoAdjacency;
  if (packet.meta.direction == Direction::to_server) {
    id = snapshot.server_hops[flow.server_slot];
  } else {
    const Resolution resolution = client_hop(flow, hops);
    if (resolution.kind != ResolutionKind::adjacency) {
      not_resolved<F>(packet, flow, resolution, worker, now);
      return nullptr;
    }
    id = resolution.id;
  }
  const Adjacency& adjacency = hops.adjacency(id);
  packet.meta.next_hop = id;
  if (packet.meta.direction == Direction::to_client && id < kMaxAdjacencies) worker.hop_use->touch(id, now);
  switch (adjacency.state) {
    case AdjacencyState::reachable: return &adjacency;
    case AdjacencyState::incomplete: packet.verdict = Verdict::park; return nullptr;
    case AdjacencyState::failed:
    case AdjacencyState::gone: break;
  }
  const bool known = adjacency.state == AdjacencyState::failed;
  const DropReason why = known ? DropReason::neighbour_failed : DropReason::no_route;
  if (!ends_attempt<F>(packet, why, snapshot, worker, now)) undeliverable(packet, why, worker, now);
  return nullptr;
}

/// TTL or hop limit.
template <typename Ip>
auto& hop_limit_of(Ip& ip) noexcept {
  if constexpr (std::is_same_v<std::remove_const_t<Ip>, IpHdr<Family::v4>>) {
    return ip.ttl;
  } else {
    return ip.hop_limit;
  }
}

/// Spends one hop of the packet's life; false when none is left and the verdict is set.
template <Family F>
bool spend_ttl(Packet& packet, WorkerState& worker, base::Tick now) noexcept {
  if (!has_hop_left<F>(packet)) {
    if (packet.meta.icmp_error) {
      packet.drop(DropReason::ttl_expired);
    } else {
      answer_with_icmp(packet, IcmpAnswer::time_exceeded, 0, DropReason::ttl_expired, worker, now);
    }
    return false;
  }
  auto* ip = at<IpHdr<F>>(packet.bytes, packet.meta.l3_offset);
  --hop_limit_of(*ip);
  if constexpr (F == Family::v4) {
    ChecksumDelta delta;  // TTL is the high byte of its word
    delta.replace(base::Be16{0x0100}, base::Be16{0});
    ip->checksum = update_checksum(ip->checksum, delta);
  }
  return true;
}

template <Family F>
bool fits(Packet& packet, const Adjacency& adjacency, WorkerState& worker, base::Tick now) noexcept {
  if (packet.meta.l3_length <= adjacency.mtu) [[likely]]
    return true;
  if constexpr (F == Family::v4) {
    const auto ip = std::span<const std::byte>(packet.bytes).subspan(packet.meta.l3_offset);
    if (!at<base::Ipv4Hdr>(ip, 0)->dont_fragment()) {  // RFC 4787 REQ-13a
      if (!Ipv4Split(ip, adjacency.mtu)) {
        packet.drop(DropReason::too_big);
        return false;
      }
      packet.meta.split_mtu = adjacency.mtu;
      return true;
    }
  }
  if (packet.meta.icmp_error) {
    packet.drop(DropReason::too_big);
  } else {
    answer_with_icmp(packet, IcmpAnswer::too_big, adjacency.mtu, DropReason::too_big, worker, now);
  }
  return false;
}

/// Windows of a spliced flow, whose ends may think differently of their scales. Those of SYNs are not scaled
/// (RFC 7323 §2.2).
template <Family F>
std::uint16_t rescale(std::uint16_t window, const Flow<F>& flow, const FlowDetail& detail,
                      bool to_server) noexcept {
  const bool both = detail.windows == SplicedWindows::both;
  if (!both && detail.windows != SplicedWindows::client) return window;
  std::uint32_t scaled = window;
  if (!to_server) {
    scaled = scaled << (both ? flow.window_scale >> 4U : 0) >> kToldScale;
  } else if (!both) {
    scaled <<= flow.window_scale & 0xfU;
  }
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(scaled, 0xffff));
}

/// Sequence numbers, windows and options of a flow whose sides differ in these; the delta for the checksum.
template <Family F>
ChecksumDelta renumber(Packet& packet, const Flow<F>& flow, const FlowDetail& detail) noexcept {
  const auto segment = packet.bytes.subspan(packet.meta.l4_offset);
  auto* tcp = at<base::TcpHdr>(segment, 0);
  const auto header = segment.first(tcp->header_length());
  const bool to_server = packet.meta.direction == Direction::to_server;
  const bool spliced = (flow.flags & Flow<F>::kSpliced) != 0;
  const std::uint32_t client_shift =
      (flow.flags & Flow<F>::kTranslatesSequence) != 0 ? detail.sequence_delta : 0;
  const std::uint32_t server_shift = spliced ? detail.server_shift : 0;
  ChecksumDelta delta;
  const auto set = [&delta](auto& field, auto value) {
    delta.replace(field, value);
    field = value;
  };
  if (to_server && (flow.flags & Flow<F>::kStripsTimestamps) != 0 && tcp->flags.syn()) {
    delta.add(strip_timestamps(header));
  }
  const std::uint32_t seq_shift = to_server ? client_shift : server_shift;
  const std::uint32_t ack_shift = to_server ? 0 - server_shift : 0 - client_shift;
  if (seq_shift != 0) set(tcp->seq, base::Be32{tcp->seq.host() + seq_shift});
  if (ack_shift != 0) {
    if (tcp->flags.ack()) set(tcp->ack, base::Be32{tcp->ack.host() + ack_shift});
    delta.add(shift_sack(header, ack_shift));
  }
  if (!spliced) return delta;
  if (!tcp->flags.syn()) {
    set(tcp->window, base::Be16{rescale(tcp->window.host(), flow, detail, to_server)});
  } else if (!tcp->flags.ack()) {
    set(tcp->ack, base::Be32{});  // in the SYN that sluice has made it bears the cookie
  }
  return delta;
}

/// Which fragments belong together must stay clear to a receiver that knows many clients, or servers, by one
/// address. What can never be fragmented keeps its identification (RFC 6864 §4.1, §5.3.1).
void renumber_datagram(Packet& packet, WorkerState& worker) noexcept {
  auto* ip = at<base::Ipv4Hdr>(packet.bytes, packet.meta.l3_offset);
  const bool whole = packet.meta.fragment == FragmentKind::whole;
  if (whole && ip->dont_fragment()) return;
  const base::Be16 id = !whole                       ? packet.tag.id
                        : packet.meta.split_mtu != 0 ? worker.datagram_ids.fragmented()
                                                     : worker.datagram_ids.whole();
  ChecksumDelta delta;
  delta.replace(ip->id, id);
  ip->id = id;
  ip->checksum = update_checksum(ip->checksum, delta);
}

/// `mss`: what the MSS option of a SYN may say; kOff for all else.
template <Family F>
void rewrite_headers(Packet& packet, const Flow<F>& flow, const FlowDetail& detail,
                     std::uint16_t mss) noexcept {
  const bool to_server = packet.meta.direction == Direction::to_server;
  auto* ip = at<IpHdr<F>>(packet.bytes, packet.meta.l3_offset);
  const auto addresses = ChecksumDelta::from_folded(flow.address_delta);
  auto l4 = ChecksumDelta::from_folded(flow.l4_delta);
  if (to_server) {
    ip->src = flow.local;
    ip->dst = flow.server;
  } else {
    ip->src = flow.vip;
    ip->dst = flow.client;
    l4 = l4.inverse();
  }
  if constexpr (F == Family::v4) {
    ip->checksum = update_checksum(ip->checksum, to_server ? addresses : addresses.inverse());
  }
  if (packet.meta.fragment == FragmentKind::later) [[unlikely]]
    return;  // the checksum of the whole datagram lies in the first, and so does all that is rewritten
  auto* ports = at<L4Ports>(packet.bytes, packet.meta.l4_offset);
  *ports = to_server ? L4Ports{flow.local_port, flow.server_port} : L4Ports{flow.vip_port, flow.client_port};
  if (flow.proto == IpProto::udp) {
    auto* udp = at<base::UdpHdr>(packet.bytes, packet.meta.l4_offset);
    udp->checksum = update_udp_checksum(udp->checksum, l4);
    return;
  }
  constexpr std::uint8_t kRenumbers =
      Flow<F>::kTranslatesSequence | Flow<F>::kStripsTimestamps | Flow<F>::kSpliced;
  if ((flow.flags & kRenumbers) != 0) [[unlikely]]
    l4.add(renumber(packet, flow, detail));
  if (mss != config::Mss::kOff) l4.add(clamp_mss(packet.bytes.subspan(packet.meta.l4_offset), mss));
  auto* tcp = at<base::TcpHdr>(packet.bytes, packet.meta.l4_offset);
  tcp->checksum = update_checksum(tcp->checksum, l4);
}

}  // namespace

template <Family F>
bool has_hop_left(const Packet& packet) noexcept {
  const auto* ip = at<IpHdr<F>>(std::span<const std::byte>(packet.bytes), packet.meta.l3_offset);
  return hop_limit_of(*ip) > 1;
}

template <Family F>
void rewrite(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  FlowTable<F>& flows = worker.flows<F>();
  Flow<F>& flow = flows.flow(packet.meta.flow);
  const Adjacency* adjacency = next_hop<F>(packet, flow, snapshot, worker, now);
  if (adjacency == nullptr || !fits<F>(packet, *adjacency, worker, now) || !spend_ttl<F>(packet, worker, now))
    return;
  const std::ptrdiff_t growth = std::ptrdiff_t{adjacency->header_length} - packet.meta.l3_offset;
  if (growth > packet.headroom) return packet.drop(DropReason::too_big);

  const FlowDetail& detail = flows.detail(packet.meta.flow);
  if (packet.meta.icmp_error) {
    if (!translate_icmp_error<F>(packet, flow, detail)) return packet.drop(DropReason::icmp_malformed);
  } else {
    const std::uint16_t mss = packet.meta.tcp_flags.syn() ? mss_limit(flow, snapshot) : config::Mss::kOff;
    rewrite_headers<F>(packet, flow, detail, mss);
    ServerCounters& counters = worker.servers[flow.server_slot];
    counters.packets[index(packet.meta.direction)].add(1);
    counters.bytes[index(packet.meta.direction)].add(packet.meta.l3_length);
  }
  if constexpr (F == Family::v4) renumber_datagram(packet, worker);
  (void)packet.grow_front(growth);  // there is room, as was seen above
  adjacency->write(packet.bytes, F == Family::v4 ? base::EtherType::ipv4 : base::EtherType::ipv6);
  packet.verdict = Verdict::forward;
}

template bool has_hop_left<Family::v4>(const Packet&) noexcept;
template bool has_hop_left<Family::v6>(const Packet&) noexcept;
template void rewrite<Family::v4>(Packet&, const Snapshot&, WorkerState&, base::Tick) noexcept;
template void rewrite<Family::v6>(Packet&, const Snapshot&, WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
