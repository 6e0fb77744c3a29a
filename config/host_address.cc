#include "config/host_address.h"

#include <cstdint>

namespace sluice::config {

std::string_view not_a_host(const base::IpAddress& address) noexcept {
  if (address.is_unspecified()) return "is the unspecified address: no host has it";
  if (address.is_multicast()) return "is a multicast address: no one host has it";
  if (address.is_v4()) {
    const std::uint32_t host = address.v4().value.host();
    if (host == 0xffff'ffffU) return "is the broadcast address: no one host has it";
    if (host >> 24 == 0) return "is in 0.0.0.0/8, which no host can have";
    return {};
  }
  if (address.v6().is_link_local())
    return "is a link-local address, which several networks may have: give a routed one";
  return {};
}

}  // namespace sluice::config
