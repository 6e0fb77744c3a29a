#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/address.h"
#include "dp/kernel/kernel_tables.h"
#include "dp/kernel/next_hops.h"

namespace sluice::dp {

/// A MAC address, besides the port's own, at which a port is reached.
struct VirtualMac {
  std::uint16_t port = kNoPort;
  base::Mac mac;
  friend constexpr bool operator==(const VirtualMac&, const VirtualMac&) noexcept = default;
};

/// The MAC addresses of macvlans that stand on a port and hold an address of ours (`is_served`): the virtual
/// router's, when VRRP has one (RFC 9568 §7.3). A macvlan without such an address is that of a backup: a
/// switch may flood it with frames that are the master's, which must not be answered twice. Pure.
[[nodiscard]] std::vector<VirtualMac> virtual_macs(
    const KernelTables& kernel, std::span<const PortInterface> ports,
    const std::function<bool(const base::IpAddress&)>& is_served);

/// Those of one port.
[[nodiscard]] std::vector<base::Mac> macs_of(std::span<const VirtualMac> macs, std::uint16_t port);

[[nodiscard]] inline bool contains(std::span<const VirtualMac> macs, const VirtualMac& mac) noexcept {
  return std::ranges::find(macs, mac) != macs.end();
}

}  // namespace sluice::dp
