#include "dp/own_segment.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/checksum.h"
#include "dp/flow/client_hop.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

Way way_by(const Adjacency& hop) noexcept {
  switch (hop.state) {
    case AdjacencyState::reachable: return {.hop = &hop};
    case AdjacencyState::incomplete: return {.later = true};
    case AdjacencyState::failed: return {.lost = DropReason::neighbour_failed};
    case AdjacencyState::gone: break;
  }
  return {.lost = DropReason::no_route};
}

template <Family F>
IpHdr<F> ip_header(const SegmentEnds<F>& ends, std::size_t segment, WorkerState& worker) noexcept {
  IpHdr<F> ip{};
  ip.src = ends.src;
  ip.dst = ends.dst;
  if constexpr (F == Family::v4) {
    ip.version_ihl = 0x45;
    ip.tos = ends.traffic_class;
    ip.total_length = base::Be16{static_cast<std::uint16_t>(sizeof(ip) + segment)};
    ip.id = worker.datagram_ids.whole();
    ip.ttl = ends.hop_limit;
    ip.protocol = IpProto::tcp;
    ip.checksum = base::ipv4_checksum(std::as_bytes(std::span(&ip, 1)));
  } else {
    ip.version_class_flow = base::Be32{0x6000'0000U | std::uint32_t{ends.traffic_class} << 20U};
    ip.payload_length = base::Be16{static_cast<std::uint16_t>(segment)};
    ip.next_header = IpProto::tcp;
    ip.hop_limit = ends.hop_limit;
  }
  return ip;
}

}  // namespace

template <Family F>
bool make_segment(Packet& packet, const SegmentEnds<F>& ends, base::TcpHdr tcp, const SynOptions& options,
                  WorkerState& worker) noexcept {
  Meta& meta = packet.meta;
  const SynOptionBytes encoded = encode(options);
  const std::size_t segment = sizeof(tcp) + encoded.size;
  const std::size_t length = meta.l3_offset + sizeof(IpHdr<F>) + segment;
  if (length > packet.bytes.size()) {
    const std::size_t growth = length - packet.bytes.size();
    if (!packet.grow_front(static_cast<std::ptrdiff_t>(growth))) return false;
    std::memmove(packet.bytes.data(), packet.bytes.data() + growth, meta.l3_offset);
  }
  packet.bytes = packet.bytes.first(length);
  packet.frame_length = static_cast<std::uint32_t>(length);
  meta.l4_offset = static_cast<std::uint16_t>(meta.l3_offset + sizeof(IpHdr<F>));
  meta.l3_length = static_cast<std::uint16_t>(length - meta.l3_offset);
  meta.l4_length = static_cast<std::uint16_t>(segment);
  meta.tcp_flags = tcp.flags;

  tcp.off_rsvd = static_cast<std::uint8_t>(segment / 4 << 4U);
  tcp.checksum = {};
  *at<IpHdr<F>>(packet.bytes, meta.l3_offset) = ip_header(ends, segment, worker);
  auto* out = at<base::TcpHdr>(packet.bytes, meta.l4_offset);
  *out = tcp;
  std::copy_n(encoded.bytes.begin(), encoded.size, packet.bytes.begin() + meta.l4_offset + sizeof(tcp));
  out->checksum = base::l4_checksum(ends.src, ends.dst, IpProto::tcp,
                                    std::span<const std::byte>(packet.bytes).subspan(meta.l4_offset));
  return true;
}

template <Family F>
Way way_to_client(Flow<F>& flow, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  const Resolution resolution = client_hop(flow, *snapshot.next_hops);
  switch (resolution.kind) {
    case ResolutionKind::adjacency:
      if (resolution.id < kMaxAdjacencies) worker.hop_use->touch(resolution.id, now);
      return way_by(snapshot.next_hops->adjacency(resolution.id));
    case ResolutionKind::needs_resolution:
      // Full: the next attempt asks again.
      (void)worker.neighbour_requests->push(resolution.request(flow.client));
      return {.later = true};
    case ResolutionKind::no_route:
    case ResolutionKind::local:
    case ResolutionKind::blackhole:
    case ResolutionKind::unreachable:
    case ResolutionKind::foreign: break;
  }
  return {.lost = DropReason::no_route};
}

template <Family F>
Way way_to_server(const Flow<F>& flow, const Snapshot& snapshot) noexcept {
  return way_by(snapshot.next_hops->adjacency(snapshot.server_hops[flow.server_slot]));
}

template <Family F>
void post_segment(const Flow<F>& flow, Direction direction, const OwnSegment& segment, const Adjacency& hop,
                  WorkerState& worker) noexcept {
  constexpr std::uint8_t kHopLimit = 64;
  const bool to_client = direction == Direction::to_client;
  base::TcpHdr tcp{};
  tcp.src = to_client ? flow.vip_port : flow.local_port;
  tcp.dst = to_client ? flow.client_port : flow.server_port;
  tcp.seq = base::Be32{segment.seq};
  tcp.ack = base::Be32{segment.ack};
  tcp.off_rsvd = 5 << 4;
  tcp.flags = segment.flags;
  tcp.window = base::Be16{segment.window};
  const SegmentEnds<F> ends{.src = to_client ? flow.vip : flow.local,
                            .dst = to_client ? flow.client : flow.server,
                            .hop_limit = kHopLimit};
  const IpHdr<F> ip = ip_header(ends, sizeof(tcp), worker);
  tcp.checksum = base::l4_checksum(ip.src, ip.dst, IpProto::tcp, std::as_bytes(std::span(&tcp, 1)));

  const std::size_t l3 = hop.header_length, l4 = l3 + sizeof(ip);
  static_assert(kMaxLinkHeader + sizeof(ip) + sizeof(tcp) <= OwnFrame::kRoom);
  OwnFrame& frame = worker.outbox.append();
  const std::span<std::byte> bytes(frame.bytes);
  hop.write(bytes, F == Family::v4 ? base::EtherType::ipv4 : base::EtherType::ipv6);
  *at<IpHdr<F>>(bytes, l3) = ip;
  *at<base::TcpHdr>(bytes, l4) = tcp;
  frame.port = hop.port;
  frame.length = static_cast<std::uint16_t>(l4 + sizeof(tcp));
}

template bool make_segment(Packet&, const SegmentEnds<Family::v4>&, base::TcpHdr, const SynOptions&,
                           WorkerState&) noexcept;
template bool make_segment(Packet&, const SegmentEnds<Family::v6>&, base::TcpHdr, const SynOptions&,
                           WorkerState&) noexcept;
template Way way_to_client(Flow<Family::v4>&, const Snapshot&, WorkerState&, base::Tick) noexcept;
template Way way_to_client(Flow<Family::v6>&, const Snapshot&, WorkerState&, base::Tick) noexcept;
template Way way_to_server(const Flow<Family::v4>&, const Snapshot&) noexcept;
template Way way_to_server(const Flow<Family::v6>&, const Snapshot&) noexcept;
template void post_segment(const Flow<Family::v4>&, Direction, const OwnSegment&, const Adjacency&,
                           WorkerState&) noexcept;
template void post_segment(const Flow<Family::v6>&, Direction, const OwnSegment&, const Adjacency&,
                           WorkerState&) noexcept;

}  // namespace sluice::dp
