#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/headers.h"

namespace sluice::replay {

/// What a line about a packet says of its headers, outermost first. Of what is no IP packet: nothing.
struct PacketLine {
  std::string protocol;             ///< "tcp", "udp", "icmp", "icmpv6", a number; empty: no IP packet
  std::string source, destination;  ///< ADDRESS:PORT of TCP and UDP, else ADDRESS
  std::string flags;                ///< of TCP: "SYN", "SYN|ACK" ...
  std::string fragment;             ///< of a fragment: "1480+1480 id 77", "2960+40 last id 77"
};
/// Reads them from a frame that may be anything. `wire_length`: of the whole frame, where `frame` is but its
/// beginning. Thread: any.
[[nodiscard]] PacketLine packet_line(std::span<const std::byte> frame, std::size_t wire_length = 0);

}  // namespace sluice::replay
