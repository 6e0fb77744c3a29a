#pragma once

#include <cstdint>

#include "dp/packet.h"
#include "dp/worker_state.h"

/// Packets that sluice itself originates: the packet at hand is turned round in place, and goes back out of
/// the port that it came in by, to the MAC that it came from. Rate-limited but for turn_round();
/// beyond the limit the packet is dropped.
namespace sluice::dp {

/// Sends the packet, of which its maker has already turned addresses and ports round, back to where it came
/// from. Counted under `reason`.
void turn_round(Packet& packet, DropReason reason) noexcept;

/// Answers a TCP segment of no known connection with a RST (RFC 9293 §3.10.7.1): silence would leave the
/// sender waiting for minutes. Pre: the segment is not a RST itself.
void answer_with_reset(Packet& packet, DropReason reason, WorkerState& worker, base::Tick now) noexcept;

/// ICMP errors that sluice sends about packets it cannot forward, or may not.
enum class IcmpAnswer : std::uint8_t {
  time_exceeded,
  too_big,
  port_unreachable,
  host_unreachable,
  prohibited,  ///< RFC 1812 §5.2.7.1, RFC 4443 §3.1
};
/// Refuses a client's first packet: TCP by RST, UDP by an ICMP error. Counted under `reason`.
void refuse(Packet& packet, DropReason reason, WorkerState& worker, base::Tick now,
            IcmpAnswer error = IcmpAnswer::port_unreachable) noexcept;

/// Quotes the packet as it arrived (RFC 792, RFC 1812 §4.3.2; RFC 4443 §2.4). Counted as icmp_sent, beyond
/// the limit under `otherwise`, and so is an IPv4 fragment other than the first (RFC 1812 §4.3.2.7). `mtu`:
/// for too_big. Pre: the packet is unchanged since it came in, and no ICMP error itself.
void answer_with_icmp(Packet& packet, IcmpAnswer what, std::uint16_t mtu, DropReason otherwise,
                      WorkerState& worker, base::Tick now) noexcept;

}  // namespace sluice::dp
