#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace sluice::test {

/// What is wrong with a frame, one sentence each; empty when nothing is. Verified: that each header fits,
/// IPv4 and IPv6 lengths, IPv4 header checksum, UDP length, TCP data offset and options, TCP, UDP, ICMP and
/// ICMPv6 checksums, and in ICMP errors the quoted IP header (length fields, IPv4 checksum) and, where the
/// quote is whole, its L4 checksum. Not verified: the L4 checksum of fragments and behind a routing header
/// with segments left. Frames of other EtherTypes are not looked into. Written apart from the builder and
/// from sluice's code.
[[nodiscard]] std::vector<std::string> check(std::span<const std::byte> frame);

/// The frame on one line, e.g. "02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 7 10.0.0.1:40000 > 10.0.0.2:80 tcp
/// SYN seq 1 ack 0 win 65535 mss 1460 ttl 64 id 0 df len 0", with what check() finds in brackets at the end.
[[nodiscard]] std::string describe(std::span<const std::byte> frame);

/// Hexadecimal dump, 16 bytes a line with offsets.
[[nodiscard]] std::string hex_dump(std::span<const std::byte> frame);

/// Empty when both are equal; else a text with both described, the first byte that differs, and both dumped.
[[nodiscard]] std::string difference(std::span<const std::byte> got, std::span<const std::byte> want);

}  // namespace sluice::test
