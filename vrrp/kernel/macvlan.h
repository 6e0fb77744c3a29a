#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "config/vrrp.h"
#include "vrrp/kernel/interfaces.h"

/// The interface with the virtual router's own MAC address (RFC 9568 §7.3): a macvlan that stands on the
/// instance's interface, so that the addresses move without any neighbour having to learn a new MAC address.
namespace sluice::vrrp {

/// 00-00-5E-00-01-{VRID}, for IPv6 00-00-5E-00-02-{VRID}.
[[nodiscard]] base::Mac vmac_of(const config::VrrpInstance& instance) noexcept;

/// Where the instance's addresses go: those of its interface to the macvlan, if it has one.
[[nodiscard]] std::vector<config::VrrpAddress> placed_addresses(const config::VrrpInstance& instance,
                                                                std::vector<config::VrrpAddress> addresses);

/// Sees to it that the macvlan is there, up, and on `parent` as it is now. True: it was made just now.
/// `configured`: index of the macvlan whose settings have been made; 0: they are to be made (again).
base::Result<bool> ensure_macvlan(Interfaces& interfaces, const config::VrrpInstance& instance,
                                  const Interface& parent, std::uint32_t& configured);

/// By net.ipv4.conf.all.rp_filter the kernel drops packets to the macvlan's IPv4 addresses whose way back is
/// by another interface, as its parent.
[[nodiscard]] bool drops_what_comes_back_elsewhere(const std::string& macvlan);

}  // namespace sluice::vrrp
