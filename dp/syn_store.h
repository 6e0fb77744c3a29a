#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "dp/counters.h"
#include "dp/flow/arena.h"
#include "dp/flow/flow.h"
#include "dp/packet.h"
#include "dp/snapshot.h"

/// Theory of operation. A worker keeps copies of clients' SYNs, as they arrived: of those that wait for a
/// place at a server, and of those that a server has not answered yet, so that another can be tried. When the
/// time of a copy has come, it is run through the stages like a frame that has just come in. A copy is in one
/// of three states:
///
///     bound    to a flow in syn_sent, which holds its number
///     queued   found by the client's key, so that a retransmission is known for one
///     loose    on its way from one to the other, or out
///
/// The queues, each first in, first out: one per server (SYNs that affinity sends there), one per service
/// (those that any of its servers may have), one per service for pauses between attempts, and one of SYNs
/// whose time has come. Tickets order the first two kinds over all workers (dp/admission.h).
namespace sluice::dp {

/// What a queue's SYNs wait for.
using SynQueue = std::uint16_t;
inline constexpr SynQueue kNoQueue = 0xffff;
inline constexpr SynQueue kReadyQueue = 2 * kMaxServices + kMaxServers;
/// SYNs that any server of the service may have.
[[nodiscard]] constexpr SynQueue queue_of_service(std::uint16_t service) noexcept {
  return service;
}
/// SYNs that pause before the next attempt.
[[nodiscard]] constexpr SynQueue pause_queue_of(std::uint16_t service) noexcept {
  return static_cast<SynQueue>(kMaxServices + service);
}
/// SYNs that wait for this very server.
[[nodiscard]] constexpr SynQueue queue_of_server(std::uint16_t server) noexcept {
  return static_cast<SynQueue>(2 * kMaxServices + server);
}
[[nodiscard]] constexpr bool is_service_queue(SynQueue q) noexcept {
  return q < kMaxServices;
}
[[nodiscard]] constexpr bool is_pause_queue(SynQueue q) noexcept {
  return q >= kMaxServices && q < 2 * kMaxServices;
}
[[nodiscard]] constexpr bool is_server_queue(SynQueue q) noexcept {
  return q >= 2 * kMaxServices && q < kReadyQueue;
}

enum class SynState : std::uint8_t { free, loose, bound, queued };

/// A server that did not answer a SYN: its slot, and ServerLoad::era as it was.
struct SilentServer {
  std::uint16_t server = kNoIndex;
  std::uint16_t era = 0;
};

struct StoredSyn {
  /// Link header with tags, IP and TCP header with all options; longer SYNs are not stored.
  static constexpr std::size_t kRoom = 128;

  std::array<std::byte, kRoom> frame;
  std::uint64_t hash = 0;             ///< of the client's key
  std::uint64_t ticket = 0;           ///< lower: earlier, over all workers
  base::Tick since;                   ///< in its queue
  std::uint16_t length = 0;           ///< of `frame`
  std::uint16_t in_port = 0;          ///< that it came in by
  std::uint16_t service = kNoIndex;   ///< slot
  std::uint16_t wait_for = kNoIndex;  ///< server slot; kNoIndex: any
  std::uint16_t avoid = kNoIndex;     ///< server slot that failed last
  std::uint16_t attempts = 0;         ///< at servers, those in progress too
  std::uint16_t next = kNoIndex;      ///< in its queue, or in the free list
  std::uint16_t prev = kNoIndex;      ///< in its queue
  std::uint16_t chain = kNoIndex;     ///< next one of the same hash bucket
  SynQueue queue = kNoQueue;          ///< where it is queued
  std::uint8_t l3_offset = 0, l4_offset = 0;
  base::Family family = base::Family::v4;
  SynState state = SynState::free;
  bool spent : 1 = false;              ///< the attempt in progress is the last
  bool spliced : 1 = false;            ///< made of a SYN cookie: the client has been answered (dp/splice.h)
  bool altered : 1 = false;            ///< what the server has been sent meanwhile is not one and the same
  bool client_judged : 1 = true;       ///< its client has been let in to `service` (dp/client_limits.h)
  std::uint8_t silent_count = 0;       ///< of `silent`; more are not noted
  std::uint16_t client_table = 0;      ///< ClientTable::id where it has a place among its client's; 0: none
  std::array<SilentServer, 4> silent;  ///< servers that have not answered it (dp/flow/attempt.h)

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::span(frame).first(length); }
  [[nodiscard]] std::uint32_t isn() const noexcept;
  /// Pre: F is its family.
  template <base::Family F>
  [[nodiscard]] FlowKey<F> key() const noexcept;
};
static_assert(sizeof(StoredSyn) <= 3 * kCacheLine);

/// A queue of one worker's SYNs. Counters: written by the worker, read by any thread.
struct SynQueueState {
  Counter oldest_ticket;  ///< 0: empty
  Counter oldest_since;   ///< tick, when not empty
  Counter waiting;
  Counter entered;  ///< from outside, not from another queue
  Counter timed_out;
  std::uint16_t head = kNoIndex, tail = kNoIndex;
  std::uint16_t place = kNoIndex;  ///< in SynStore::active()
};

/// The SYNs of one worker, in memory that is mapped at creation. Thread: its worker, but for what is said to
/// be read by any.
class SynStore {
 public:
  static constexpr std::uint32_t kMaxCapacity = kNoIndex;

  /// `capacity`: 1 .. kMaxCapacity. Errors: exhausted.
  static base::Result<SynStore> create(std::uint32_t capacity);

  /// Copies a parsed and classified SYN; it is loose. kNoIndex when it is too long, cut into segments, or
  /// there is no room: of which a quarter is kept for those that are to wait.
  [[nodiscard]] std::uint16_t put(const Packet& packet, bool to_wait) noexcept;
  /// Takes a newer copy of the same client's SYN. False, and nothing done, when it does not fit. A copy that
  /// differs in more than a retransmission does says nothing of who was silent to the one before.
  bool replace(std::uint16_t slot, const Packet& packet) noexcept;
  /// Frees it, wherever it is.
  void release(std::uint16_t slot) noexcept;

  /// Puts a loose SYN into a queue, among the others by its ticket, which is never 0.
  void enqueue(std::uint16_t slot, SynQueue queue, base::Tick since) noexcept;
  /// Makes a queued SYN loose.
  void dequeue(std::uint16_t slot) noexcept;
  /// Moves a queued SYN to another queue; its time goes on.
  void move(std::uint16_t slot, SynQueue queue) noexcept;
  /// Moves all SYNs of a server's queue into its service's, by their tickets. Returns how many.
  std::uint32_t merge(SynQueue from, SynQueue to) noexcept;
  /// Makes a loose SYN a flow's.
  void bind(std::uint16_t slot) noexcept { at(slot).state = SynState::bound; }
  void unbind(std::uint16_t slot) noexcept { at(slot).state = SynState::loose; }

  /// The queued SYN of a client, or kNoIndex.
  template <base::Family F>
  [[nodiscard]] std::uint16_t find(const FlowKey<F>& key, std::uint64_t hash) const noexcept;

  [[nodiscard]] StoredSyn& at(std::uint16_t slot) noexcept { return slots_[slot]; }
  [[nodiscard]] const StoredSyn& at(std::uint16_t slot) const noexcept { return slots_[slot]; }
  /// The first of a queue, or kNoIndex.
  [[nodiscard]] std::uint16_t front(SynQueue queue) const noexcept { return queues_[queue].head; }
  /// Its counters: thread any.
  [[nodiscard]] const SynQueueState& queue(SynQueue queue) const noexcept { return queues_[queue]; }
  void count_timed_out(SynQueue queue) noexcept { queues_[queue].timed_out.add(1); }

  /// Queues that are not empty, in no order.
  [[nodiscard]] std::span<const SynQueue> active() const noexcept { return active_; }
  [[nodiscard]] std::uint32_t queued() const noexcept { return queued_; }
  /// Of these, clients that no cookie has proven to be where they say.
  [[nodiscard]] std::uint32_t unproven() const noexcept { return queued_ - proven_; }
  [[nodiscard]] std::uint32_t used() const noexcept { return used_; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }
  /// Whether put() has room for one more; a quarter is kept for those that are to wait.
  [[nodiscard]] bool has_room(bool to_wait) const noexcept {
    return used_ + (to_wait ? 0 : capacity() / 4) < capacity();
  }
  /// Slots from this number on have never been used.
  [[nodiscard]] std::uint32_t fresh() const noexcept { return fresh_; }

  // Of dp/admission.cc.
  std::uint64_t seen_tables = 0;     ///< serial of the tables that the queues agree with
  std::uint64_t next_ticket = 1;     ///< of the queues that are this worker's own affair
  std::uint32_t next_looked_at = 0;  ///< in active()

 private:
  SynStore(Arena arena, std::uint32_t capacity);
  void copy(StoredSyn& syn, const Packet& packet) noexcept;
  void link(std::uint16_t slot, SynQueue queue) noexcept;
  void unlink(std::uint16_t slot) noexcept;
  void note_head(SynQueue queue) noexcept;
  [[nodiscard]] std::uint16_t& bucket(std::uint64_t hash) noexcept {
    return buckets_[hash & (buckets_.size() - 1)];
  }

  Arena arena_;
  std::span<StoredSyn> slots_;
  std::vector<std::uint16_t> buckets_;
  std::vector<SynQueueState> queues_;
  std::vector<SynQueue> active_;
  std::uint16_t free_ = kNoIndex;
  std::uint32_t fresh_ = 0, used_ = 0, queued_ = 0, proven_ = 0;
};

}  // namespace sluice::dp
