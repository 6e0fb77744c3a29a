#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "base/address.h"
#include "config/model.h"
#include "dp/xdp/filter_maps.h"

/// What the XDP program is to redirect, as values: rules in sluice's words, the table that they compile to,
/// and the smallest set of changes between two tables. Pure; no kernel here (that is xdp_filter.h).
namespace sluice::dp {

/// A service: one port of a VIP.
struct FilterService {
  base::IpAddress address;
  config::Protocol protocol = config::Protocol::tcp;
  std::uint16_t port = 0;
};

/// Source ports of a local address, as they come back in the servers' replies.
struct FilterLocal {
  base::IpAddress address;
  config::Protocol protocol = config::Protocol::tcp;
  config::PortRange ports;
  /// Ports inside `ports` that are the kernel's; any order. A service's port is never excluded by this.
  std::vector<std::uint16_t> excluded;
};

struct FilterRules {
  std::vector<FilterService> services;
  std::vector<FilterService> servers{};  ///< that answer to clients' own addresses: address and port of each
  std::vector<base::IpAddress> hosts{};  ///< the host's own addresses, where there are `servers`
  std::vector<FilterLocal> locals;  ///< several may name one address; a port is ours when one of them says so
};

/// Identifies one bitmap of ports; lies in the map exactly as the XDP program reads it.
struct FilterKey {
  filter_key wire{};

  FilterKey() = default;
  /// `role`: FILTER_OWN, FILTER_SERVER, FILTER_HOST.
  FilterKey(const base::IpAddress& address, config::Protocol protocol,
            std::uint8_t role = FILTER_OWN) noexcept;
  friend bool operator==(const FilterKey& a, const FilterKey& b) noexcept;
  friend bool operator<(const FilterKey& a, const FilterKey& b) noexcept;
};
static_assert(sizeof(FilterKey) == 20);

/// All 65,536 ports of an (address, protocol, role): bit port % 8 of byte port / 8.
using PortBits = std::array<std::uint8_t, sizeof(filter_ports::bits)>;

using FilterTable = std::map<FilterKey, PortBits>;

/// Thread: any.
[[nodiscard]] FilterTable compile(const FilterRules& rules);

/// All that either of two tables has.
[[nodiscard]] FilterTable merged(FilterTable a, const FilterTable& b);

/// What makes `from` into `to`: keys to write, in `to`, and keys to remove, each in an order in which at no
/// time a server's packets to the host are taken for those to a client.
struct FilterChanges {
  std::vector<FilterKey> write;
  std::vector<FilterKey> remove;
};
[[nodiscard]] FilterChanges changes_between(const FilterTable& from, const FilterTable& to);

}  // namespace sluice::dp
