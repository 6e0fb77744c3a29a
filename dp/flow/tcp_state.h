#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/headers.h"

namespace sluice::dp {

enum class Direction : std::uint8_t;

/// Where a flow is in its life. The first is a free record.
enum class FlowState : std::uint8_t {
  unused,
  udp_opening,  ///< only the client has spoken
  udp_open,
  syn_sent,      ///< client's SYN went to the server
  syn_received,  ///< server's SYN-ACK went to the client
  established,
  fin_client,  ///< the client has closed its side
  fin_server,  ///< the server has closed its side
  closing,     ///< both have, not all acknowledged
  time_wait,   ///< both FINs acknowledged
  reset,       ///< a RST in window passed
  kCount,
};

/// Flows are timed and evicted by class: when room is needed, closed flows go first, then half-open ones;
/// open ones never do.
enum class FlowClass : std::uint8_t { half_open, open, closed, kCount };

[[nodiscard]] constexpr FlowClass class_of(FlowState state) noexcept {
  switch (state) {
    case FlowState::udp_opening:
    case FlowState::syn_sent:
    case FlowState::syn_received: return FlowClass::half_open;
    case FlowState::unused:
    case FlowState::udp_open:
    case FlowState::established:
    case FlowState::fin_client:
    case FlowState::fin_server:
    case FlowState::closing: return FlowClass::open;
    case FlowState::time_wait:
    case FlowState::reset:
    case FlowState::kCount: return FlowClass::closed;
  }
  return FlowClass::open;
}

/// Lower case, words joined by '_'.
[[nodiscard]] std::string_view name(FlowState state) noexcept;
/// The state of that name; not unused, which no flow has.
[[nodiscard]] std::optional<FlowState> state_named(std::string_view text) noexcept;

/// What a segment means for the state; the strongest flag counts.
enum class TcpEvent : std::uint8_t { ack, syn, syn_ack, fin, rst, kCount };
[[nodiscard]] constexpr TcpEvent event_of(base::TcpFlags flags) noexcept {
  if (flags.rst()) return TcpEvent::rst;
  if (flags.syn()) return flags.ack() ? TcpEvent::syn_ack : TcpEvent::syn;
  if (flags.fin()) return TcpEvent::fin;
  return TcpEvent::ack;
}

/// The state after a legal segment; data never leads back from `reset` (RFC 7857 §2). The caller has judged a
/// RST against the window before, and turns `closing` into time_wait once both FINs are acknowledged.
[[nodiscard]] FlowState next_state(FlowState state, Direction direction, TcpEvent event) noexcept;

/// a < b, a <= b in sequence space (RFC 9293 §3.4).
[[nodiscard]] constexpr bool seq_before(std::uint32_t a, std::uint32_t b) noexcept {
  return static_cast<std::int32_t>(a - b) < 0;
}
[[nodiscard]] constexpr bool seq_at_or_before(std::uint32_t a, std::uint32_t b) noexcept {
  return static_cast<std::int32_t>(a - b) <= 0;
}

}  // namespace sluice::dp
