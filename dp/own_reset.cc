#include "dp/own_reset.h"

#include <span>

#include "base/checksum.h"
#include "dp/flow/client_hop.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

constexpr bool wants(ResetTo to, ResetTo end) noexcept {
  return (static_cast<unsigned>(to) & static_cast<unsigned>(end)) != 0;
}

/// Where a RST leaves. With `done` and no hop: nowhere, and why.
struct Way {
  ResetResult result = ResetResult::done;
  const Adjacency* hop = nullptr;
  DropReason lost = DropReason::none;
};

Way way_by(const Adjacency& hop) noexcept {
  switch (hop.state) {
    case AdjacencyState::reachable: return {ResetResult::done, &hop, DropReason::none};
    case AdjacencyState::incomplete: return {ResetResult::no_hop, nullptr, DropReason::none};
    case AdjacencyState::failed: return {ResetResult::done, nullptr, DropReason::neighbour_failed};
    case AdjacencyState::gone: break;
  }
  return {ResetResult::done, nullptr, DropReason::no_route};
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
      return {ResetResult::no_hop, nullptr, DropReason::none};
    case ResolutionKind::no_route:
    case ResolutionKind::local:
    case ResolutionKind::blackhole:
    case ResolutionKind::unreachable:
    case ResolutionKind::foreign: break;
  }
  return {ResetResult::done, nullptr, DropReason::no_route};
}

/// What a RST says, in the numbering of the side that it goes to.
struct Numbers {
  std::uint32_t seq = 0, ack = 0;
  bool has_ack = true;
};

template <Family F>
Numbers numbers_for(const Flow<F>& flow, const FlowDetail& detail, Direction d) noexcept {
  const std::uint32_t after_syn = detail.first[index(Direction::to_server)] + 1;
  const std::uint32_t sent = flow.end[index(Direction::to_server)];
  const std::uint32_t server_acked = flow.acked[index(Direction::to_client)];
  const bool server_spoke = flow.state != FlowState::syn_sent;
  // When both open at once (RFC 9293 §3.5), the server's SYN acknowledges nothing.
  const bool server_acks = flow.state != FlowState::syn_received || sent - server_acked <= 0xffff;
  const std::uint32_t server_read = server_spoke && server_acks ? server_acked : after_syn;
  const std::uint32_t client_read =
      (flow.flags & Flow<F>::kClientAcked) != 0
          ? flow.acked[index(Direction::to_server)]
          : detail.first[index(Direction::to_client)] + 1;  // fits before and after it gets the SYN-ACK
  if (d == Direction::to_client) return {server_spoke ? client_read : 0, server_read, true};
  const std::uint32_t shift = (flow.flags & Flow<F>::kTranslatesSequence) != 0 ? detail.sequence_delta : 0;
  return {server_read + shift, server_spoke ? client_read : 0, server_spoke};
}

template <Family F>
void write_reset(OwnFrame& frame, const Flow<F>& flow, const FlowDetail& detail, Direction d,
                 const Adjacency& hop, WorkerState& worker) noexcept {
  constexpr std::uint8_t kHopLimit = 64;
  const bool to_client = d == Direction::to_client;
  const Numbers numbers = numbers_for(flow, detail, d);
  base::TcpHdr tcp{};
  tcp.src = to_client ? flow.vip_port : flow.local_port;
  tcp.dst = to_client ? flow.client_port : flow.server_port;
  tcp.seq = base::Be32{numbers.seq};
  tcp.ack = base::Be32{numbers.has_ack ? numbers.ack : 0};
  tcp.off_rsvd = 5 << 4;
  tcp.flags.bits = numbers.has_ack ? base::TcpFlags::kRst | base::TcpFlags::kAck : base::TcpFlags::kRst;
  IpHdr<F> ip{};
  ip.src = to_client ? flow.vip : flow.local;
  ip.dst = to_client ? flow.client : flow.server;
  if constexpr (F == Family::v4) {
    ip.version_ihl = 0x45;
    ip.total_length = base::Be16{static_cast<std::uint16_t>(sizeof(ip) + sizeof(tcp))};
    ip.id = worker.datagram_ids.whole();
    ip.ttl = kHopLimit;
    ip.protocol = IpProto::tcp;
    ip.checksum = base::ipv4_checksum(std::as_bytes(std::span(&ip, 1)));
  } else {
    ip.version_class_flow = base::Be32{0x6000'0000};
    ip.payload_length = base::Be16{static_cast<std::uint16_t>(sizeof(tcp))};
    ip.next_header = IpProto::tcp;
    ip.hop_limit = kHopLimit;
  }
  tcp.checksum = base::l4_checksum(ip.src, ip.dst, IpProto::tcp, std::as_bytes(std::span(&tcp, 1)));

  const std::size_t l3 = hop.header_length, l4 = l3 + sizeof(ip);
  static_assert(kMaxLinkHeader + sizeof(ip) + sizeof(tcp) <= OwnFrame::kRoom);
  const std::span<std::byte> bytes(frame.bytes);
  hop.write(bytes, F == Family::v4 ? base::EtherType::ipv4 : base::EtherType::ipv6);
  *at<IpHdr<F>>(bytes, l3) = ip;
  *at<base::TcpHdr>(bytes, l4) = tcp;
  frame.port = hop.port;
  frame.length = static_cast<std::uint16_t>(l4 + sizeof(tcp));
}

}  // namespace

template <Family F>
ResetResult post_resets(std::uint32_t number, ResetTo to, const Snapshot& snapshot, WorkerState& worker,
                        base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const FlowDetail& detail = worker.flows<F>().detail(number);
  if (!worker.outbox.has_room(2)) return ResetResult::no_room;
  Way client, server;
  if (wants(to, ResetTo::client)) client = way_to_client(flow, snapshot, worker, now);
  if (wants(to, ResetTo::server)) {
    server = way_by(snapshot.next_hops->adjacency(snapshot.server_hops[flow.server_slot]));
  }
  if (client.result != ResetResult::done) return client.result;
  if (server.result != ResetResult::done) return server.result;
  const auto post = [&](const Way& way, Direction d) {
    if (way.hop != nullptr) {
      write_reset<F>(worker.outbox.append(), flow, detail, d, *way.hop, worker);
    } else {
      worker.counters.drops[static_cast<std::size_t>(way.lost)].add(1);
    }
  };
  if (wants(to, ResetTo::client)) post(client, Direction::to_client);
  if (wants(to, ResetTo::server)) post(server, Direction::to_server);
  return ResetResult::done;
}

template ResetResult post_resets<Family::v4>(std::uint32_t, ResetTo, const Snapshot&, WorkerState&,
                                             base::Tick) noexcept;
template ResetResult post_resets<Family::v6>(std::uint32_t, ResetTo, const Snapshot&, WorkerState&,
                                             base::Tick) noexcept;

}  // namespace sluice::dp
