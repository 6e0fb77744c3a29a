#include "dp/xdp/filter_table.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/headers.h"

namespace sluice::dp {

namespace {

void set(PortBits& bits, std::uint32_t port) noexcept {
  bits[port / 8] = static_cast<std::uint8_t>(bits[port / 8] | 1U << port % 8);
}

}  // namespace

FilterKey::FilterKey(const base::IpAddress& address, config::Protocol protocol, std::uint8_t role) noexcept {
  const std::string_view bytes = address.wire();
  if (address.is_v4()) wire.address[10] = wire.address[11] = 0xff;  // ::ffff:a.b.c.d
  std::memcpy(wire.address + sizeof(wire.address) - bytes.size(), bytes.data(), bytes.size());
  wire.protocol =
      static_cast<std::uint8_t>(protocol == config::Protocol::tcp ? base::IpProto::tcp : base::IpProto::udp);
  wire.role = role;
}

bool operator==(const FilterKey& a, const FilterKey& b) noexcept {
  return std::memcmp(&a.wire, &b.wire, sizeof(a.wire)) == 0;
}

bool operator<(const FilterKey& a, const FilterKey& b) noexcept {
  return std::memcmp(&a.wire, &b.wire, sizeof(a.wire)) < 0;
}

FilterTable compile(const FilterRules& rules) {
  FilterTable table;
  for (const FilterLocal& local : rules.locals) {
    PortBits& bits = table[FilterKey{local.address, local.protocol}];
    std::vector<std::uint16_t> excluded = local.excluded;
    std::sort(excluded.begin(), excluded.end());
    auto next = std::lower_bound(excluded.begin(), excluded.end(), local.ports.first);
    for (std::uint32_t port = local.ports.first; port <= local.ports.last; ++port) {
      while (next != excluded.end() && *next < port) ++next;
      if (next == excluded.end() || *next != port) set(bits, port);
    }
  }
  for (const FilterService& service : rules.services) {
    set(table[FilterKey{service.address, service.protocol}], service.port);
  }
  for (const FilterService& server : rules.servers) {
    set(table[FilterKey{server.address, server.protocol, FILTER_SERVER}], server.port);
  }
  for (const base::IpAddress& host : rules.hosts) {
    table.try_emplace(FilterKey{host, config::Protocol::tcp, FILTER_HOST});
  }
  return table;
}

FilterTable merged(FilterTable a, const FilterTable& b) {
  for (const auto& [key, bits] : b) {
    PortBits& mine = a[key];
    for (std::size_t i = 0; i < mine.size(); ++i) mine[i] = static_cast<std::uint8_t>(mine[i] | bits[i]);
  }
  return a;
}

FilterChanges changes_between(const FilterTable& from, const FilterTable& to) {
  FilterChanges changes;
  for (const auto& [key, bits] : to) {
    const auto old = from.find(key);
    if (old == from.end() || old->second != bits) changes.write.push_back(key);
  }
  for (const auto& [key, bits] : from) {
    if (!to.contains(key)) changes.remove.push_back(key);
  }
  const auto role = [](const FilterKey& key) { return key.wire.role; };
  std::ranges::stable_sort(changes.write, std::ranges::greater(), role);
  std::ranges::stable_sort(changes.remove, std::ranges::less(), role);
  return changes;
}

}  // namespace sluice::dp
