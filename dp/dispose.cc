#include "dp/dispose.h"

#include <algorithm>
#include <cstring>

#include <rte_pause.h>

#include "dp/ipv4_split.h"

namespace sluice::dp {
namespace {

/// Makes the mbuf agree with what the stages made of the frame.
void adopt_frame(const Packet& packet) noexcept {
  rte_mbuf* m = packet.mbuf;
  m->data_off = static_cast<std::uint16_t>(packet.bytes.data() - static_cast<std::byte*>(m->buf_addr));
  m->data_len = static_cast<std::uint16_t>(packet.bytes.size());
  m->pkt_len = packet.frame_length;
  // Forget what the receiving NIC said of the old frame, but not whose buffer it is.
  m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
  if (packet.frame_length == packet.bytes.size() && m->next != nullptr) {
    ::rte_pktmbuf_free(m->next);
    m->next = nullptr;
    m->nb_segs = 1;
  }
}

}  // namespace

Disposer::Disposer(WorkerState& worker, PortSet& ports, Handover& handover, MbufTag tag)
    : worker_(worker),
      ports_(ports),
      handover_(handover),
      tag_(tag),
      to_nic_(ports.ports().size()),
      to_twin_(ports.ports().size()),
      twin_counters_(ports.ports().size()) {}

Disposer::~Disposer() {
  for (rte_mbuf* mbuf : kept_) ::rte_pktmbuf_free(mbuf);
}

void Disposer::drop(rte_mbuf* mbuf, DropReason reason) noexcept {
  worker_.counters.drops[static_cast<std::size_t>(reason)].add(1);
  ::rte_pktmbuf_free(mbuf);
}

void Disposer::dispose(std::span<Packet> burst, const Snapshot& snapshot, base::Tick since) noexcept {
  for (Packet& packet : burst) {
    switch (packet.verdict) {
      case Verdict::forward: {
        adopt_frame(packet);
        const Adjacency& hop = snapshot.next_hops->adjacency(packet.meta.next_hop);
        const std::uint16_t port = hop.port;
        if (port >= to_nic_.size()) {
          drop(packet.mbuf, DropReason::no_route);
          break;
        }
        worker_.counters.forwarded.add(1);
        if (packet.meta.split_mtu != 0) [[unlikely]] {
          send_split(packet, hop);
          break;
        }
        post(to_nic_[port], ports_.ports()[port]->nic(), DropReason::tx_full, packet.mbuf);
        break;
      }
      case Verdict::reflect:
        adopt_frame(packet);
        worker_.counters.reflected.add(1);
        worker_.counters.drops[static_cast<std::size_t>(packet.reason)].add(
            1);  // the packet itself went nowhere
        post(to_nic_[packet.in_port], ports_.ports()[packet.in_port]->nic(), DropReason::tx_full,
             packet.mbuf);
        break;
      case Verdict::punt: punt(packet); break;
      case Verdict::hand_over:
        tag_.put(packet);
        if (handover_.push(worker_.id, packet.meta.owner, packet.mbuf)) {
          worker_.counters.handed_over.add(1);
        } else {
          drop(packet.mbuf, DropReason::handover_full);
        }
        break;
      case Verdict::hold:
        worker_.counters.held.add(1);
        ::rte_pktmbuf_free(packet.mbuf);
        break;
      case Verdict::keep:
        worker_.counters.kept.add(1);
        kept_[packet.meta.place] = packet.mbuf;
        break;
      case Verdict::park:
        adopt_frame(packet);
        tag_.put(packet);
        if (parking_.put(packet.mbuf, since)) {
          worker_.counters.parked.add(1);
        } else {
          drop(packet.mbuf, DropReason::neighbour_queue_full);
        }
        break;
      case Verdict::drop:
      case Verdict::pending: drop(packet.mbuf, packet.reason); break;
    }
  }
}

void Disposer::send_split(const Packet& packet, const Adjacency& hop) noexcept {
  rte_mbuf* whole = packet.mbuf;  // its payload may lie in further segments, which have not been touched
  const std::size_t link = hop.header_length;
  const auto ip = std::span<const std::byte>(packet.bytes).subspan(link);
  // Of frames larger than a buffer the pieces must fit one.
  const std::size_t room = ::rte_pktmbuf_data_room_size(ports_.pool()) - RTE_PKTMBUF_HEADROOM - link;
  const Ipv4Split split(ip, static_cast<std::uint32_t>(std::min<std::size_t>(packet.meta.split_mtu, room)));
  std::array<rte_mbuf*, Ipv4Split::kMaxPieces> pieces;
  if (!split || ::rte_pktmbuf_alloc_bulk(ports_.pool(), pieces.data(), split.pieces()) != 0) {
    return drop(whole, DropReason::too_big);
  }
  const std::size_t head = link + split.header_length();
  for (std::uint32_t n = 0; n < split.pieces(); ++n) {
    const auto from = static_cast<std::uint32_t>(head + split.offset(n));
    const auto length = static_cast<std::uint32_t>(split.length(n));
    auto* to = reinterpret_cast<std::byte*>(
        ::rte_pktmbuf_append(pieces[n], static_cast<std::uint16_t>(head + length)));
    std::memcpy(to, packet.bytes.data(), head);
    split.adapt(n, {to + link, split.header_length()});
    const void* payload = ::rte_pktmbuf_read(whole, from, length, to + head);
    if (payload != to + head) std::memcpy(to + head, payload, length);  // where it lay in one piece
    post(to_nic_[hop.port], ports_.ports()[hop.port]->nic(), DropReason::tx_full, pieces[n]);
  }
  ::rte_pktmbuf_free(whole);
}

void Disposer::punt(const Packet& packet) noexcept {
  Port& port = *ports_.ports()[packet.in_port];
  if (port.twin() == nullptr) return drop(packet.mbuf, packet.reason);
  worker_.counters.punted.add(1);
  twin_counters_[packet.in_port].punted.add(1);
  post(to_twin_[packet.in_port], *port.twin(), DropReason::twin_full, packet.mbuf);
}

void Disposer::send_for_kernel(std::uint16_t port, rte_mbuf** mbufs, std::uint16_t count) noexcept {
  if (!ports_.ports()[port]->sends_for_twin()) [[unlikely]] {
    worker_.counters.drops[static_cast<std::size_t>(DropReason::no_link)].add(count);
    ::rte_pktmbuf_free_bulk(mbufs, count);
    return;
  }
  twin_counters_[port].from_twin.add(count);
  for (std::uint16_t i = 0; i < count; ++i) {
    post(to_nic_[port], ports_.ports()[port]->nic(), DropReason::tx_full, mbufs[i]);
  }
}

std::uint32_t Disposer::send_own() noexcept {
  Outbox& outbox = worker_.outbox;
  std::uint32_t sent = 0;
  for (; outbox.size() != 0; ++sent) {
    if (outbox.front().port >= to_nic_.size()) {
      worker_.counters.drops[static_cast<std::size_t>(DropReason::no_route)].add(1);
      outbox.pop();
      continue;
    }
    rte_mbuf* mbuf = ::rte_pktmbuf_alloc(ports_.pool());
    if (mbuf == nullptr) break;  // the pool is drained for the moment: frames keep, mbufs come back
    const OwnFrame& frame = outbox.front();
    std::memcpy(::rte_pktmbuf_append(mbuf, frame.length), frame.bytes.data(), frame.length);
    outbox.pop();
    worker_.counters.originated.add(1);
    post(to_nic_[frame.port], ports_.ports()[frame.port]->nic(), DropReason::tx_full, mbuf);
  }
  if (sent != 0) flush();
  return sent;
}

void Disposer::post(Batch& batch, WorkerQueues& queues, DropReason full, rte_mbuf* mbuf) noexcept {
  batch.mbufs[batch.count++] = mbuf;
  if (batch.count == Batch::kRoom) send(batch, queues, full);
}

void Disposer::send(Batch& batch, WorkerQueues& queues, DropReason full) noexcept {
  constexpr unsigned kRetries = 8;
  std::uint16_t sent = 0;
  for (unsigned retry = 0; sent < batch.count && retry < kRetries; ++retry) {
    if (retry != 0) ::rte_pause();
    sent = static_cast<std::uint16_t>(sent + queues.transmit(static_cast<std::uint16_t>(worker_.id),
                                                             batch.mbufs.data() + sent,
                                                             static_cast<std::uint16_t>(batch.count - sent)));
  }
  if (sent < batch.count) [[unlikely]] {
    const auto left = static_cast<unsigned>(batch.count - sent);
    worker_.counters.drops[static_cast<std::size_t>(full)].add(left);
    ::rte_pktmbuf_free_bulk(batch.mbufs.data() + sent, left);
  }
  batch.count = 0;
}

void Disposer::flush() noexcept {
  for (std::size_t i = 0; i < to_nic_.size(); ++i) {
    Port& port = *ports_.ports()[i];
    if (to_nic_[i].count != 0) send(to_nic_[i], port.nic(), DropReason::tx_full);
    if (to_twin_[i].count != 0) send(to_twin_[i], *port.twin(), DropReason::twin_full);
  }
}

}  // namespace sluice::dp
