#include "dp/flow/tcp_state.h"

#include "dp/packet.h"

namespace sluice::dp {
namespace {

using S = FlowState;
constexpr std::size_t kStates = static_cast<std::size_t>(S::kCount);
constexpr std::size_t kEvents = static_cast<std::size_t>(TcpEvent::kCount);
using Row = std::array<S, kEvents>;

/// kNext[direction][state][event]. Columns: ack, syn, syn_ack, fin, rst.
/// A SYN on a living connection changes nothing: the endpoint answers with a challenge ACK (RFC 5961 §4),
/// which must pass. A SYN-ACK after both sides closed means that the server took a new SYN in TIME_WAIT (RFC
/// 9293 §3.6.1).
constexpr std::array<std::array<Row, kStates>, 2> kNext{{
    {{
        /* unused       */ {S::unused, S::unused, S::unused, S::unused, S::unused},
        /* udp_opening  */ {S::udp_opening, S::udp_opening, S::udp_opening, S::udp_opening, S::udp_opening},
        /* udp_open     */ {S::udp_open, S::udp_open, S::udp_open, S::udp_open, S::udp_open},
        /* syn_sent     */ {S::syn_sent, S::syn_sent, S::syn_received, S::syn_sent, S::reset},
        /* syn_received */ {S::established, S::syn_received, S::established, S::fin_client, S::reset},
        /* established  */ {S::established, S::established, S::established, S::fin_client, S::reset},
        /* fin_client   */ {S::fin_client, S::fin_client, S::fin_client, S::fin_client, S::reset},
        /* fin_server   */ {S::fin_server, S::fin_server, S::fin_server, S::closing, S::reset},
        /* closing      */ {S::closing, S::closing, S::closing, S::closing, S::reset},
        /* time_wait    */ {S::time_wait, S::time_wait, S::time_wait, S::time_wait, S::time_wait},
        /* reset        */ {S::reset, S::reset, S::reset, S::reset, S::reset},
    }},
    {{
        /* unused       */ {S::unused, S::unused, S::unused, S::unused, S::unused},
        /* udp_opening  */ {S::udp_open, S::udp_open, S::udp_open, S::udp_open, S::udp_open},
        /* udp_open     */ {S::udp_open, S::udp_open, S::udp_open, S::udp_open, S::udp_open},
        /* syn_sent     */ {S::syn_sent, S::syn_received, S::syn_received, S::syn_sent, S::reset},
        /* syn_received */ {S::syn_received, S::syn_received, S::syn_received, S::fin_server, S::reset},
        /* established  */ {S::established, S::established, S::established, S::fin_server, S::reset},
        /* fin_client   */ {S::fin_client, S::fin_client, S::fin_client, S::closing, S::reset},
        /* fin_server   */ {S::fin_server, S::fin_server, S::fin_server, S::fin_server, S::reset},
        /* closing      */ {S::closing, S::closing, S::syn_received, S::closing, S::reset},
        /* time_wait    */ {S::time_wait, S::time_wait, S::syn_received, S::time_wait, S::time_wait},
        /* reset        */ {S::reset, S::reset, S::reset, S::reset, S::reset},
    }},
}};

constexpr std::array<std::string_view, kStates> kNames{
    "unused",     "udp_opening", "udp_open", "syn_sent",  "syn_received", "established",
    "fin_client", "fin_server",  "closing",  "time_wait", "reset"};

}  // namespace

FlowState next_state(FlowState state, Direction direction, TcpEvent event) noexcept {
  return kNext[index(direction)][static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

std::string_view name(FlowState state) noexcept {
  return kNames[static_cast<std::size_t>(state)];
}

std::optional<FlowState> state_named(std::string_view text) noexcept {
  for (std::size_t i = 1; i < kStates; ++i) {
    if (kNames[i] == text) return static_cast<FlowState>(i);
  }
  return std::nullopt;
}

}  // namespace sluice::dp
