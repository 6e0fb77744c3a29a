#pragma once

#include <algorithm>
#include <cstdint>

#include "dp/flow/client_hop.h"
#include "dp/snapshot.h"

namespace sluice::dp {

/// What the MSS option of a SYN or SYN-ACK of `flow` may say at most; config::Mss::kOff: anything.
///
/// Theory of operation. The option says what its sender can take in, and so bounds what the other side sends:
/// that crosses both links, whichever way. Hence one limit for both directions, from the lesser MTU of the
/// next hops towards client and server, less the fixed headers (RFC 9293 §3.7.1, RFC 6691: options are the
/// sender's to subtract). Path MTU discovery would find it, too, but needs ICMP errors to come through; a
/// proxy, which ends both connections, needed neither. A next hop that is not known yet does not count. A SYN
/// without the option gets none: it means 536 bytes over IPv4 and 1220 over IPv6, which no link is too narrow
/// for, but the rare IPv4 one below 576. Thread: the flow's worker.
template <base::Family F>
[[nodiscard]] inline std::uint16_t mss_limit(Flow<F>& flow, const Snapshot& snapshot) noexcept {
  const std::uint16_t configured = snapshot.services->services[flow.service].mss;
  if (configured != config::Mss::kAuto) return configured;
  constexpr std::uint16_t kHeaders = F == base::Family::v4 ? 20 + 20 : 40 + 20;
  const AdjacencyTable& hops = *snapshot.next_hops;
  std::uint16_t limit = config::Mss::kOff;
  for (const AdjacencyId hop : {snapshot.server_hops[flow.server_slot], client_hop(flow, hops).id}) {
    const std::uint16_t mtu = hops.adjacency(hop).mtu;
    if (mtu > kHeaders) limit = std::min<std::uint16_t>(limit, mtu - kHeaders);
  }
  return limit;
}

/// What a client is told of a server that is not chosen yet: that of an Ethernet link, or less where the
/// service's limit, or a link to one of its servers, is narrower.
template <base::Family F>
[[nodiscard]] inline std::uint16_t mss_of_any_server(std::uint16_t service,
                                                     const Snapshot& snapshot) noexcept {
  constexpr std::uint16_t kHeaders = F == base::Family::v4 ? 20 + 20 : 40 + 20;
  constexpr std::uint16_t kEthernet = 1'500 - kHeaders;
  const std::uint16_t configured = snapshot.services->services[service].mss;
  if (configured != config::Mss::kAuto) return std::min(configured, kEthernet);
  const std::uint16_t mtu = snapshot.server_mtus[service];
  return mtu > kHeaders ? std::min<std::uint16_t>(kEthernet, mtu - kHeaders) : kEthernet;
}

}  // namespace sluice::dp
