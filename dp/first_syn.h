#pragma once

#include "dp/packet.h"

namespace sluice::dp {

/// Why a client's SYN shall begin no flow, though it is well formed: servers would drop it without a word, as
/// if they were dead. What its sender can bring about at will must not count against a server, so that such
/// SYNs go no further than here: with a checksum of IP or TCP that is wrong; signed over addresses that are
/// rewritten on the way (RFC 2385, RFC 5925); routed by their source (RFC 7126 §4.3, RFC 5095). none: nothing
/// is wrong with it. A segment that is not contiguous is not summed. Pre: a parsed TCP segment. Thread: any.
template <base::Family F>
[[nodiscard]] DropReason flaw_of_syn(const Packet& packet) noexcept;

/// Whether the checksums of a TCP segment, and of its IPv4 header, are right. One that is not contiguous is
/// not summed. Pre: parsed, and no fragment. Thread: any.
template <base::Family F>
[[nodiscard]] bool has_right_checksums(const Packet& packet) noexcept;

}  // namespace sluice::dp
