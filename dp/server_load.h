#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "dp/packet.h"
#include "dp/snapshot.h"

/// Theory of operation. How many connections a server, a service and the whole instance have open is the one
/// thing that workers write together: only so can a limit be exact, whichever worker a connection belongs to.
/// Each server and each service has a cache line of its own for it, which a connection touches when it begins
/// and when it ends, never for a packet in between. A place is taken before the flow begins, and given back
/// when the flow leaves the half-open and open classes; flows keep slots alive, so that a slot that changes
/// hands starts at zero.
namespace sluice::dp {

/// A number of places. Thread: any.
class Places {
 public:
  /// False when `limit` are taken already; a limit of 0 is none.
  [[nodiscard]] bool try_take(std::uint32_t limit) noexcept {
    if (limit == 0) {
      take();
      return true;
    }
    std::uint32_t taken = taken_.load(std::memory_order_relaxed);
    while (taken < limit) {
      if (taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  /// Whatever the limit.
  void take() noexcept { taken_.fetch_add(1, std::memory_order_relaxed); }
  void give_back() noexcept { taken_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool has_room(std::uint32_t limit) const noexcept { return limit == 0 || taken() < limit; }

 private:
  std::atomic<std::uint32_t> taken_{0};
};

/// How an attempt to reach a server failed.
enum class Failure : std::uint8_t {
  none,
  refused,      ///< RST
  unreachable,  ///< ICMP
  unanswered,   ///< nothing within timeouts.connect
};

/// What all workers together know of a server.
struct alignas(kCacheLine) ServerLoad {
  Places open;     ///< connections, half-open ones too
  Places waiting;  ///< SYNs held for this very server
  std::atomic<std::uint32_t> failures_in_row{0};
  std::atomic<Failure> last_failure{Failure::none};
  std::atomic<std::uint32_t> answered_at{0};  ///< tick at which a SYN was answered last
  /// Rises when what came before is no evidence any more: at answers, and when another server gets the slot.
  std::atomic<std::uint16_t> era{0};
};
static_assert(sizeof(ServerLoad) == kCacheLine);

/// What all workers together know of a service.
struct alignas(kCacheLine) ServiceLoad {
  Places open;
  Places waiting;                             ///< SYNs held for any of its servers
  std::atomic<std::uint64_t> next_ticket{1};  ///< of the SYN that is held next, for whichever server
};
static_assert(sizeof(ServiceLoad) == kCacheLine);

/// Shared by all workers of an instance.
struct Load {
  std::vector<ServerLoad> servers = std::vector<ServerLoad>(kMaxServers);      ///< by server slot
  std::vector<ServiceLoad> services = std::vector<ServiceLoad>(kMaxServices);  ///< by service slot
  alignas(kCacheLine) Places open;  ///< connections of the instance

  /// A connection that has taken its places is over, or came to nothing.
  void give_back(std::uint16_t service, std::uint16_t server) noexcept {
    servers[server].open.give_back();
    services[service].open.give_back();
    open.give_back();
  }
  /// Another server gets the slot: what was known of the last one's failures is not the new one's.
  void forget(std::uint16_t server) noexcept {
    servers[server].failures_in_row.store(0, std::memory_order_relaxed);
    servers[server].last_failure.store(Failure::none, std::memory_order_relaxed);
    servers[server].era.fetch_add(1, std::memory_order_relaxed);
  }
  /// A connection that was over goes on after all.
  void take(std::uint16_t service, std::uint16_t server) noexcept {
    servers[server].open.take();
    services[service].open.take();
    open.take();
  }
};

}  // namespace sluice::dp
