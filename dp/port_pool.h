#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/byte_order.h"
#include "base/clock.h"
#include "config/model.h"

/// Theory of operation. Towards one server endpoint, full NAT can tell connections apart only by (local
/// address, local port): the pool of these. Each worker has its own share, given by owner_of_port(), so that
/// the port of a reply tells whose flow it is. Ports are handed out in the order in which they came back: the
/// longest possible time lies between two uses, because a server that closed first keeps the pair in
/// TIME_WAIT for a minute and would ignore a new SYN (facts: nat case 6). Where a port must be used again
/// sooner, the pool says how far the server had read, so that the new connection can be numbered beyond it.
namespace sluice::dp {

/// One worker's source ports on one local address towards one server endpoint. Thread: its worker, after
/// creation.
class PortPool {
 public:
  /// TIME_WAIT of the servers' kernels at most: Linux 60 s, others up to 4 minutes (RFC 9293 §3.4.2: 2 ×
  /// MSL).
  static constexpr std::uint32_t kServerTimeWaitSeconds = 240;

  /// The ports of `range` that belong to `worker` of `workers`, less those set in `excluded` (a bit per port;
  /// empty: none): long stretches that are never to be had, as the kernel's ephemeral ports, are no part of
  /// the pool, so that take() need not step over them.
  PortPool(config::PortRange range, unsigned worker, unsigned workers,
           std::span<const std::uint64_t> excluded);

  struct Lease {
    base::Be16 port;
    bool reused = false;            ///< the server may still hold the pair in TIME_WAIT
    std::uint32_t server_read = 0;  ///< when reused: the sequence number up to which the server had read
  };
  /// The port that has been free for longest; ports set in `excluded` (a bit per port) are passed over, at
  /// most kMaxSkips of them. Nothing when the pool is empty.
  [[nodiscard]] std::optional<Lease> take(base::Tick now, std::span<const std::uint64_t> excluded) noexcept;
  /// Takes one after the other, as take() would, and leaves the pool as it is. Thread: the pool's worker.
  class Foresight {
   public:
    explicit Foresight(const PortPool& pool) noexcept : pool_(pool) {}
    [[nodiscard]] std::optional<Lease> take(base::Tick now, std::span<const std::uint64_t> excluded) noexcept;
    void give_back(base::Be16) noexcept {}

   private:
    const PortPool& pool_;
    std::uint32_t passed_ = 0;  ///< entries
  };
  /// Gives a port back whose connection never reached the server, or which the client closed first.
  void give_back(base::Be16 port) noexcept;
  /// Gives a port back that the server may hold in TIME_WAIT, having read up to `server_read`.
  void give_back_lingering(base::Be16 port, base::Tick now, std::uint32_t server_read) noexcept;

  /// Thread: any.
  [[nodiscard]] std::uint32_t available() const noexcept {
    return __atomic_load_n(&count_, __ATOMIC_RELAXED);
  }
  [[nodiscard]] std::uint32_t total() const noexcept { return static_cast<std::uint32_t>(ring_.size()); }
  [[nodiscard]] std::size_t bytes() const noexcept { return ring_.size() * sizeof(Entry); }

  static constexpr unsigned kMaxSkips = 64;

 private:
  struct Entry {
    std::uint16_t port;
    std::uint16_t released;  ///< tick / 1024 ms, modulo 2^16; 0: not lingering
    std::uint32_t server_read;
  };
  static_assert(sizeof(Entry) == 8);
  [[nodiscard]] static Lease lease_of(const Entry& entry, base::Tick now) noexcept;
  void push(Entry entry) noexcept;

  std::vector<Entry> ring_;
  std::uint32_t head_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace sluice::dp
