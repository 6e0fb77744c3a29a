#pragma once

#include "dp/flow/flow.h"
#include "dp/packet.h"

namespace sluice::dp {

/// Translates an ICMP error about a packet of `flow` for the side that sent that packet: outer destination
/// (and source, where it is the flow's other end), the quoted addresses, ports, sequence numbers and all
/// checksums that are quoted. All checksums are updated, never computed anew: a corrupt message stays
/// recognisable. False when it must not be passed on: a path MTU below the protocol's minimum (RFC 791 §3.2:
/// 68; RFC 8201 §4: 1280). Source: RFC 5508 §4.2; facts: nat case 2. Pre: packet.meta.icmp_error, direction
/// is the way that the error goes.
template <base::Family F>
[[nodiscard]] bool translate_icmp_error(Packet& packet, const Flow<F>& flow,
                                        const FlowDetail& detail) noexcept;

}  // namespace sluice::dp
