#include "dp/dispose.h"

#include <cstring>

#include <rte_pause.h>

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
  if (packet.verdict == Verdict::reflect && m->next != nullptr) {
    ::rte_pktmbuf_free(m->next);
    m->next = nullptr;
    m->nb_segs = 1;
  }
}

}  // namespace

Disposer::Disposer(WorkerState& worker, PortSet& ports, Handover& handover)
    : worker_(worker),
      ports_(ports),
      handover_(handover),
      to_nic_(ports.ports().size()),
      to_twin_(ports.ports().size()),
      twin_counters_(ports.ports().size()) {}

void Disposer::drop(rte_mbuf* mbuf, DropReason reason) noexcept {
  worker_.counters.drops[static_cast<std::size_t>(reason)].add(1);
  ::rte_pktmbuf_free(mbuf);
}

void Disposer::dispose(std::span<Packet> burst, const Snapshot& snapshot, base::Tick since) noexcept {
  for (Packet& packet : burst) {
    switch (packet.verdict) {
      case Verdict::forward: {
        adopt_frame(packet);
        const std::uint16_t port = snapshot.next_hops->adjacency(packet.meta.next_hop).port;
        if (port >= to_nic_.size()) {
          drop(packet.mbuf, DropReason::no_route);
          break;
        }
        worker_.counters.forwarded.add(1);
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
      case Verdict::park:
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
