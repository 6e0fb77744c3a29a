#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dp/drop_reason.h"
#include "dp/packet.h"

namespace sluice::dp {

/// A number with one writer and any readers. The writer pays a plain addition; no locked instruction.
class Counter {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// What one worker counts for one server; one cache line, written by that worker only. Bytes are those of L3.
struct alignas(kCacheLine) ServerCounters {
  std::array<Counter, 2> packets;  ///< [direction]
  std::array<Counter, 2> bytes;    ///< [direction]
  Counter connections_new;
  Counter connections_failed;  ///< refused by the server, or never answered
  Counter connections_closed;  ///< of those: no longer open; their flows may still be remembered
  Counter connections_ended;   ///< of those: forgotten
};
static_assert(sizeof(ServerCounters) == kCacheLine);

/// How one server met one worker's attempts to connect; a cache line of its own, which established
/// connections never touch.
struct alignas(kCacheLine) ServerHandshakes {
  Counter answered;      ///< by a SYN-ACK
  Counter refused;       ///< by a RST
  Counter unreachable;   ///< by an ICMP error
  Counter unanswered;    ///< not at all within timeouts.connect
  Counter retried;       ///< attempts repeated at this server
  Counter redispatched;  ///< attempts given to another server, having failed at this one
};
static_assert(sizeof(ServerHandshakes) == kCacheLine);

/// What one worker counts of the connections that a service's limits by client concern.
struct alignas(32) ClientLimitCounters {
  Counter denied, over_rate, over_maxconn;  ///< refused, by reason
  Counter untracked;                        ///< let in without a place in the table of clients
};

/// What one worker counts for itself.
struct alignas(kCacheLine) WorkerCounters {
  Counter packets;  ///< taken in, from ports and from other workers
  Counter forwarded;
  Counter reflected;
  Counter originated;  ///< frames sent of the worker's own accord: no answers in place
  Counter punted;
  Counter handed_over;
  Counter held;              ///< SYNs of which a copy waits for a place, and their retransmissions
  Counter kept;              ///< fragments that waited for their datagram's first
  Counter parked;            ///< waited for a next hop's address
  Counter timed_out;         ///< TCP connections ended because they were idle for too long
  Counter killed;            ///< flows ended because they were to be
  Counter cookies_returned;  ///< SYN cookies that clients have brought back
  Counter cookies_active;    ///< 1: services with syn_cookies "auto" answer by cookies
  Counter bursts;
  Counter empty_polls;
  Counter busy_cycles;
  Counter total_cycles;
  Counter flows;
  Counter half_open;
  Counter serial;      ///< of the snapshot it runs
  Counter generation;  ///< of that snapshot's configuration
  std::array<Counter, static_cast<std::size_t>(DropReason::kCount)> drops;
};

}  // namespace sluice::dp
