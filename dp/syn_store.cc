#include "dp/syn_store.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "base/headers.h"
#include "dp/flow/tcp_options.h"
#include "dp/ip_header.h"

namespace sluice::dp {

using base::at;
using base::Family;

std::uint32_t StoredSyn::isn() const noexcept {
  return base::at<base::TcpHdr>(bytes(), l4_offset)->seq.host();
}

template <Family F>
FlowKey<F> StoredSyn::key() const noexcept {
  const auto* ip = base::at<IpHdr<F>>(bytes(), l3_offset);
  const auto* tcp = base::at<base::TcpHdr>(bytes(), l4_offset);
  return {ip->src, ip->dst, tcp->src, tcp->dst, base::IpProto::tcp};
}

namespace {

/// The packet of a SYN without what differs from one transmission to the next (and from one connection to the
/// next): IPv4's identification, IPv6's flow label, sequence number, timestamps, checksums, and ECN, which
/// is not asked for twice (RFC 3168 §6.1.1.1).
std::array<std::byte, StoredSyn::kRoom> essence_of(const StoredSyn& syn) noexcept {
  std::array<std::byte, StoredSyn::kRoom> essence{};
  const auto packet = syn.bytes().subspan(syn.l3_offset);
  std::copy(packet.begin(), packet.end(), essence.begin());
  const std::span<std::byte> bytes = std::span(essence).first(packet.size());
  if (syn.family == Family::v4) {
    auto* ip = at<base::Ipv4Hdr>(bytes, 0);
    ip->id = {};
    ip->checksum = {};
  } else {
    auto* ip = at<base::Ipv6Hdr>(bytes, 0);
    ip->version_class_flow = base::Be32{ip->version_class_flow.host() & 0xfff0'0000U};
  }
  const auto segment = bytes.subspan(syn.l4_offset - syn.l3_offset);
  (void)strip_timestamps(segment);
  auto* tcp = at<base::TcpHdr>(segment, 0);
  tcp->seq = {};
  tcp->checksum = {};
  tcp->flags.bits =
      static_cast<std::uint8_t>(tcp->flags.bits & ~(base::TcpFlags::kEce | base::TcpFlags::kCwr));
  return essence;
}

bool is_retransmission(const StoredSyn& before, const StoredSyn& after) noexcept {
  return essence_of(before) == essence_of(after);
}

}  // namespace

base::Result<SynStore> SynStore::create(std::uint32_t capacity) {
  capacity = std::clamp<std::uint32_t>(capacity, 1, kMaxCapacity);
  auto arena = Arena::map(capacity * sizeof(StoredSyn), "store of SYNs");
  if (!arena) return std::move(arena).error();
  return SynStore(std::move(*arena), capacity);
}

SynStore::SynStore(Arena arena, std::uint32_t capacity)
    : arena_(std::move(arena)),
      slots_(arena_.view<StoredSyn>(0, capacity)),
      buckets_(std::bit_ceil(capacity), kNoIndex),
      queues_(std::size_t{kReadyQueue} + 1) {
  active_.reserve(queues_.size());
}

std::uint16_t SynStore::put(const Packet& packet, bool to_wait) noexcept {
  const bool whole = packet.bytes.size() == packet.frame_length && packet.frame_length <= StoredSyn::kRoom;
  if (!whole || !has_room(to_wait)) return kNoIndex;
  const auto slot = free_ != kNoIndex ? free_ : static_cast<std::uint16_t>(fresh_);
  StoredSyn& syn = slots_[slot];
  if (free_ != kNoIndex) {
    free_ = syn.next;
  } else {
    ++fresh_;
  }
  ++used_;
  syn.ticket = 0;
  syn.service = packet.meta.service;
  syn.wait_for = syn.avoid = kNoIndex;
  syn.attempts = 0;
  syn.spent = syn.altered = false;
  syn.client_judged = true;
  syn.client_table = 0;
  syn.spliced = packet.meta.spliced;
  syn.silent_count = 0;
  syn.next = syn.prev = syn.chain = kNoIndex;
  syn.queue = kNoQueue;
  syn.state = SynState::loose;
  copy(syn, packet);
  return slot;
}

bool SynStore::replace(std::uint16_t slot, const Packet& packet) noexcept {
  if (packet.bytes.size() != packet.frame_length || packet.frame_length > StoredSyn::kRoom) return false;
  StoredSyn& syn = slots_[slot];
  const StoredSyn before = syn;
  copy(syn, packet);
  if (!is_retransmission(before, syn)) {
    syn.altered = true;
    syn.silent_count = 0;
  }
  return true;
}

void SynStore::copy(StoredSyn& syn, const Packet& packet) noexcept {
  std::copy(packet.bytes.begin(), packet.bytes.end(), syn.frame.begin());
  syn.length = static_cast<std::uint16_t>(packet.bytes.size());
  syn.hash = packet.meta.hash;
  syn.in_port = packet.in_port;
  syn.family = packet.meta.family;
  syn.l3_offset = packet.meta.l3_offset;
  syn.l4_offset = static_cast<std::uint8_t>(packet.meta.l4_offset);
}

void SynStore::release(std::uint16_t slot) noexcept {
  StoredSyn& syn = slots_[slot];
  assert(syn.state != SynState::free);
  if (syn.state == SynState::queued) dequeue(slot);
  syn.state = SynState::free;
  syn.next = free_;
  free_ = slot;
  --used_;
}

void SynStore::enqueue(std::uint16_t slot, SynQueue queue, base::Tick since) noexcept {
  StoredSyn& syn = slots_[slot];
  assert(syn.state == SynState::loose && syn.ticket != 0);
  syn.state = SynState::queued;
  syn.since = since;
  syn.chain = std::exchange(bucket(syn.hash), slot);
  ++queued_;
  if (syn.spliced) ++proven_;
  queues_[queue].entered.add(1);
  link(slot, queue);
}

void SynStore::dequeue(std::uint16_t slot) noexcept {
  StoredSyn& syn = slots_[slot];
  assert(syn.state == SynState::queued);
  unlink(slot);
  std::uint16_t* link = &bucket(syn.hash);
  while (*link != slot) link = &slots_[*link].chain;
  *link = syn.chain;
  --queued_;
  if (syn.spliced) --proven_;
  syn.state = SynState::loose;
}

void SynStore::move(std::uint16_t slot, SynQueue queue) noexcept {
  unlink(slot);
  link(slot, queue);
}

std::uint32_t SynStore::merge(SynQueue from, SynQueue to) noexcept {
  // Both are in order: what has been passed in `to` is never looked at again.
  std::uint32_t moved = 0;
  std::uint16_t place = queues_[to].head;
  while (queues_[from].head != kNoIndex) {
    const std::uint16_t slot = queues_[from].head;
    unlink(slot);
    StoredSyn& syn = slots_[slot];
    syn.wait_for = kNoIndex;
    while (place != kNoIndex && slots_[place].ticket < syn.ticket) place = slots_[place].next;
    if (place == kNoIndex) {
      link(slot, to);
    } else {
      syn.queue = to;
      syn.next = place;
      syn.prev = std::exchange(slots_[place].prev, slot);
      (syn.prev != kNoIndex ? slots_[syn.prev].next : queues_[to].head) = slot;
      queues_[to].waiting.add(1);
      note_head(to);
    }
    ++moved;
  }
  return moved;
}

void SynStore::link(std::uint16_t slot, SynQueue queue) noexcept {
  StoredSyn& syn = slots_[slot];
  SynQueueState& q = queues_[queue];
  std::uint16_t before = q.tail;
  while (before != kNoIndex && slots_[before].ticket > syn.ticket) before = slots_[before].prev;
  syn.queue = queue;
  syn.prev = before;
  syn.next = before != kNoIndex ? slots_[before].next : q.head;
  (syn.next != kNoIndex ? slots_[syn.next].prev : q.tail) = slot;
  (before != kNoIndex ? slots_[before].next : q.head) = slot;
  if (q.place == kNoIndex) {
    q.place = static_cast<std::uint16_t>(active_.size());
    active_.push_back(queue);
  }
  q.waiting.add(1);
  note_head(queue);
}

void SynStore::unlink(std::uint16_t slot) noexcept {
  StoredSyn& syn = slots_[slot];
  const SynQueue queue = syn.queue;
  SynQueueState& q = queues_[queue];
  (syn.prev != kNoIndex ? slots_[syn.prev].next : q.head) = syn.next;
  (syn.next != kNoIndex ? slots_[syn.next].prev : q.tail) = syn.prev;
  syn.next = syn.prev = kNoIndex;
  syn.queue = kNoQueue;
  if (q.head == kNoIndex) {
    queues_[active_.back()].place = q.place;
    active_[q.place] = active_.back();
    active_.pop_back();
    q.place = kNoIndex;
  }
  q.waiting.set(q.waiting.get() - 1);
  note_head(queue);
}

void SynStore::note_head(SynQueue queue) noexcept {
  SynQueueState& q = queues_[queue];
  q.oldest_ticket.set(q.head == kNoIndex ? 0 : slots_[q.head].ticket);
  if (q.head != kNoIndex) q.oldest_since.set(slots_[q.head].since.ms);
}

template <Family F>
std::uint16_t SynStore::find(const FlowKey<F>& key, std::uint64_t hash) const noexcept {
  for (std::uint16_t slot = buckets_[hash & (buckets_.size() - 1)]; slot != kNoIndex;
       slot = slots_[slot].chain) {
    const StoredSyn& syn = slots_[slot];
    if (syn.hash == hash && syn.family == F && syn.key<F>() == key) return slot;
  }
  return kNoIndex;
}

template FlowKey<Family::v4> StoredSyn::key<Family::v4>() const noexcept;
template FlowKey<Family::v6> StoredSyn::key<Family::v6>() const noexcept;
template std::uint16_t SynStore::find(const FlowKey<Family::v4>&, std::uint64_t) const noexcept;
template std::uint16_t SynStore::find(const FlowKey<Family::v6>&, std::uint64_t) const noexcept;

}  // namespace sluice::dp
