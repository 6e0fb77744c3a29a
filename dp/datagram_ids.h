#pragma once

#include <cstdint>

#include "base/byte_order.h"

namespace sluice::dp {

/// IPv4 identifications that a worker gives out: two senders may have chosen the same one, and behind one
/// address a receiver could no longer tell their fragments apart (RFC 6864 §5.3.1, RFC 7857 §10). Each worker
/// has its own: every n-th of n workers. Datagrams in fragments have the upper half for themselves, so that
/// theirs come round as late as can be. Thread: its worker.
class DatagramIds {
 public:
  DatagramIds(unsigned worker, unsigned workers) noexcept
      : whole_{worker, worker, workers, kHalf},
        fragmented_{kHalf + worker, kHalf + worker, workers, 2 * kHalf} {}

  /// For a packet that is whole, but may be fragmented on its way.
  [[nodiscard]] base::Be16 whole() noexcept { return whole_.take(); }
  /// For all fragments of one datagram.
  [[nodiscard]] base::Be16 fragmented() noexcept { return fragmented_.take(); }

 private:
  static constexpr std::uint32_t kHalf = 0x8000;
  struct Slice {
    std::uint32_t next, first, step, end;
    base::Be16 take() noexcept {
      const std::uint32_t id = next;
      next = next + step < end ? next + step : first;
      return base::Be16{static_cast<std::uint16_t>(id)};
    }
  };
  Slice whole_, fragmented_;
};

}  // namespace sluice::dp
