#pragma once

#include <type_traits>

#include "base/headers.h"
#include "dp/packet.h"

/// What differs between the IP versions, by family, so that the stages are one text for both.
namespace sluice::dp {

template <base::Family F>
using IpHdr = std::conditional_t<F == base::Family::v4, base::Ipv4Hdr, base::Ipv6Hdr>;

/// Calls f.template operator()<Family>() for the packet's family.
template <typename F>
decltype(auto) with_family(base::Family family, F&& f) noexcept {
  if (family == base::Family::v4) return f.template operator()<base::Family::v4>();
  return f.template operator()<base::Family::v6>();
}

/// TTL or hop limit.
[[nodiscard]] inline std::uint8_t hop_limit(const base::Ipv4Hdr& ip) noexcept {
  return ip.ttl;
}
[[nodiscard]] inline std::uint8_t hop_limit(const base::Ipv6Hdr& ip) noexcept {
  return ip.hop_limit;
}
/// DSCP and ECN.
[[nodiscard]] inline std::uint8_t traffic_class(const base::Ipv4Hdr& ip) noexcept {
  return ip.tos;
}
[[nodiscard]] inline std::uint8_t traffic_class(const base::Ipv6Hdr& ip) noexcept {
  return static_cast<std::uint8_t>(ip.version_class_flow.host() >> 20U);
}

/// The ICMP protocol of a family.
template <base::Family F>
inline constexpr base::IpProto kIcmpProto =
    F == base::Family::v4 ? base::IpProto::icmp : base::IpProto::icmpv6;

/// ICMP messages that quote the packet they are about (RFC 792; RFC 4443 §2.1: types below 128). Not source
/// quench, which nobody is to act on any more (RFC 6633): it is left to the kernel, which ignores it.
template <base::Family F>
[[nodiscard]] constexpr bool is_icmp_error(std::uint8_t type) noexcept {
  if constexpr (F == base::Family::v4) {
    return type == base::icmp::kUnreachable || type == base::icmp::kTimeExceeded ||
           type == base::icmp::kParameterProblem;
  } else {
    return type < 128;
  }
}

}  // namespace sluice::dp
