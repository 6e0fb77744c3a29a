#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "vrrp/kernel/interfaces.h"

/// What tells a segment at which MAC address an IP address is now: a gratuitous ARP request (RFC 5227 §3) or
/// an unsolicited neighbour advertisement (RFC 4861 §7.2.6), as frames.
namespace sluice::vrrp {

struct Announcement {
  std::array<std::byte, 96> bytes{};
  std::size_t size = 0;
  [[nodiscard]] std::span<const std::byte> frame() const noexcept { return std::span(bytes).first(size); }
};

/// `router`: the host forwards IPv6 (the flag of neighbour advertisements).
[[nodiscard]] Announcement announcement_of(const base::IpAddress& address, base::Mac mac,
                                           bool router) noexcept;

/// Sends frames as they are, out of any interface. Thread: one.
class FrameSocket {
 public:
  static base::Result<FrameSocket> open();
  /// Does not block. Returns 0 or errno.
  [[nodiscard]] int send(std::uint32_t index, std::span<const std::byte> frame) const noexcept;

 private:
  explicit FrameSocket(base::Fd fd) noexcept : fd_(std::move(fd)) {}
  base::Fd fd_;
};

}  // namespace sluice::vrrp
