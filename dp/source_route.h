#pragma once

#include <cstddef>
#include <span>

#include "dp/ip_header.h"

namespace sluice::dp {

/// Whether the IP packet at `l3_offset` asks for a route of its sender's choice: loose or strict (RFC 791
/// §3.1), also one that is used up, or an IPv6 routing header with segments left (RFC 8200 §4.4).
/// Pre: walk_ip() went without a problem from `l3_offset` to `l4_offset`. Thread: any.
template <base::Family F>
[[nodiscard]] bool is_source_routed(std::span<const std::byte> bytes, std::size_t l3_offset,
                                    std::size_t l4_offset) noexcept;

}  // namespace sluice::dp
