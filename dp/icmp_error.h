#pragma once

#include "dp/flow/flow.h"
#include "dp/packet.h"

namespace sluice::dp {

/// Why an ICMP error about a known flow shall neither be believed nor passed on: its checksum is wrong, or
/// that of its IP header or of the one that it quotes (RFC 5508 REQ-3, 3a; the transport checksum of what is
/// quoted tells nothing, 3c); it or the packet that it quotes is routed by its source (§7.3); or it does not
/// lie in `packet.bytes` whole. none: nothing is wrong with it. Cost: one pass over the message, 10 ns
/// for most, 60 ns for 1,500 bytes, 0.3 us for a jumbo frame; hence for errors about a known flow only. Pre:
/// packet.meta.icmp_error. Thread: any.
template <base::Family F>
[[nodiscard]] DropReason flaw_of_icmp_error(const Packet& packet) noexcept;

/// Translates an ICMP error about a packet of `flow` for the side that sent that packet: outer destination
/// (and source, where it is the flow's other end), the quoted addresses, ports, sequence numbers and all
/// checksums that are quoted. All checksums are updated, never computed anew: a packet that was corrupt
/// before it was quoted stays recognisable. False when it must not be passed on: a path MTU below the
/// protocol's minimum (RFC 791 §3.2, RFC 1191 §3: 68; RFC 8201 §4: 1280). Source: RFC 5508 §4.2; facts: nat
/// case 2. Pre: packet.meta.icmp_error, direction is the way that the error goes.
template <base::Family F>
[[nodiscard]] bool translate_icmp_error(Packet& packet, const Flow<F>& flow,
                                        const FlowDetail& detail) noexcept;

}  // namespace sluice::dp
