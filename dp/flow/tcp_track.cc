#include "dp/flow/tcp_track.h"

#include <algorithm>

#include "base/headers.h"
#include "dp/flow/tcp_options.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;

/// Sequence space that a segment takes: payload, and one each for SYN and FIN (RFC 9293 §3.4).
std::uint32_t sequence_length(const base::TcpHdr& tcp, std::size_t length) noexcept {
  return static_cast<std::uint32_t>(length - tcp.header_length()) + (tcp.flags.syn() ? 1U : 0U) +
         (tcp.flags.fin() ? 1U : 0U);
}

template <Family F>
std::uint32_t scaled_window(const Flow<F>& flow, Direction d) noexcept {
  const unsigned shift = d == Direction::to_server ? flow.window_scale & 0xfU : flow.window_scale >> 4U;
  return std::uint32_t{flow.window[index(d)]} << shift;
}

template <Family F>
void set_window_scale(Flow<F>& flow, Direction d, std::span<const std::byte> segment) noexcept {
  const std::uint8_t shift = window_scale(segment).value_or(0);
  flow.window_scale = d == Direction::to_server
                          ? static_cast<std::uint8_t>((flow.window_scale & 0xf0U) | shift)
                          : static_cast<std::uint8_t>((flow.window_scale & 0x0fU) | shift << 4U);
}

/// Whether `seq` lies between what the receiver has acknowledged and what has been sent to it.
template <Family F>
bool is_outstanding(const Flow<F>& flow, Direction d, std::uint32_t seq) noexcept {
  const Direction other = reverse(d);
  const std::uint32_t last = flow.end[index(d)];
  const bool acked_known = other == Direction::to_client || (flow.flags & Flow<F>::kClientAcked) != 0;
  if (!acked_known) return seq_at_or_before(seq, last);
  const std::uint32_t first = flow.acked[index(other)];
  return seq_at_or_before(first, last) && seq - first <= last - first;
}

/// Whether the receiver would take a segment for its acknowledgement (RFC 5961 §5.2): of nothing that was not
/// sent, and no older than the window is wide. `first`: nothing was acknowledged before.
template <Family F>
bool is_acceptable(const Flow<F>& flow, Direction d, bool has_ack, std::uint32_t ack, bool first) noexcept {
  if (!has_ack || !seq_at_or_before(ack, flow.end[index(reverse(d))])) return false;
  const std::uint32_t window = std::max<std::uint32_t>(scaled_window(flow, d), 0xffff);
  return first || seq_at_or_before(flow.acked[index(d)] - window, ack);
}

/// The sender has sent all before `end`, in a segment that is acceptable.
template <Family F>
void note_sent(Flow<F>& flow, Direction d, std::uint32_t end) noexcept {
  std::uint32_t& last = flow.end[index(d)];
  if (!seq_before(last, end)) return;
  // Sent beyond the other side's window: not believed, else a blind segment could shift what counts as in
  // order; and neither is one that would be dropped for its acknowledgement.
  const std::uint32_t room = std::max<std::uint32_t>(scaled_window(flow, reverse(d)), 0xffff);
  if (end - last <= room) last = end;
}

/// A sequence number in the client's numbering.
template <Family F>
std::uint32_t sent_in_clients_numbers(const Flow<F>& flow, const FlowDetail& detail, Direction d,
                                      std::uint32_t seq) noexcept {
  const bool spliced = (flow.flags & Flow<F>::kSpliced) != 0;
  return spliced && d == Direction::to_client ? seq + detail.server_shift : seq;
}

/// An acknowledgement in the client's numbering.
template <Family F>
std::uint32_t in_clients_numbers(const Flow<F>& flow, const FlowDetail& detail, Direction d,
                                 std::uint32_t ack) noexcept {
  const bool translates = (flow.flags & Flow<F>::kTranslatesSequence) != 0;
  return translates && d == Direction::to_client ? ack - detail.sequence_delta : ack;
}

/// A RST counts only where the receiver would take it at once: at the next byte that it expects (RFC 5961
/// §3.2), which lies between what it has acknowledged and what has been sent to it.
template <Family F>
bool reset_is_legal(const Flow<F>& flow, Direction d, const base::TcpHdr& tcp, std::uint32_t seq,
                    std::uint32_t ack) noexcept {
  const Direction other = reverse(d);
  if (flow.state == FlowState::syn_sent) {
    // The server refuses: acknowledges exactly the SYN (RFC 9293 §3.10.7.3). The client aborts: follows its
    // SYN.
    return d == Direction::to_client ? tcp.flags.ack() && ack == flow.end[index(other)]
                                     : seq == flow.end[index(d)] || seq + 1 == flow.end[index(d)];
  }
  return is_outstanding(flow, d, seq);
}

/// Ends no handshake: a segment of the client that does not acknowledge the server's SYN (RFC 9293 §3.10.7.4,
/// SYN-RECEIVED). Whoever cannot read the SYN-ACK must not be able to make a half-open flow last.
template <Family F>
bool is_blind(const Flow<F>& flow, const FlowDetail& detail, Direction d, const base::TcpHdr& tcp,
              std::uint32_t ack) noexcept {
  if (d != Direction::to_server || flow.state > FlowState::syn_received) return false;
  if (flow.state == FlowState::syn_sent) return !tcp.flags.syn();  // there is nothing yet to acknowledge
  const Direction other = reverse(d);
  return !tcp.flags.ack() || !seq_before(detail.first[index(other)], ack) ||
         !seq_at_or_before(ack, flow.end[index(other)]);
}

constexpr ResetBy sender(Direction d) noexcept {
  return d == Direction::to_server ? ResetBy::client : ResetBy::server;
}

/// Whether who has sent a RST goes on: sends what was not sent before it, or acknowledges what it had not
/// acknowledged. Who has ended a connection does neither; what the other end has under way then says nothing.
template <Family F>
bool outlives_reset(const Flow<F>& flow, const FlowDetail& detail, Direction d, const base::TcpHdr& tcp,
                    std::uint32_t ack, std::uint32_t segment_end) noexcept {
  if (detail.reset_by != sender(d) || tcp.flags.syn()) return false;
  if (!is_acceptable(flow, d, tcp.flags.ack(), ack, false)) return false;
  const std::uint32_t room = std::max<std::uint32_t>(scaled_window(flow, reverse(d)), 0xffff);
  const std::uint32_t beyond = segment_end - flow.end[index(d)];
  return (beyond != 0 && beyond <= room) || seq_before(flow.acked[index(d)], ack);
}

template <Family F>
bool all_acknowledged(const Flow<F>& flow) noexcept {
  return flow.acked[0] == flow.end[1] && flow.acked[1] == flow.end[0];
}

}  // namespace

template <Family F>
void start_tcp(Flow<F>& flow, std::span<const std::byte> syn, std::size_t length) noexcept {
  const auto* tcp = at<base::TcpHdr>(syn, 0);
  flow.state = FlowState::syn_sent;
  flow.end[index(Direction::to_server)] = tcp->seq.host() + sequence_length(*tcp, length);
  flow.acked[index(Direction::to_client)] = tcp->seq.host() + 1;  // the least that the server will ever say
  flow.window[index(Direction::to_server)] = tcp->window.host();
  set_window_scale(flow, Direction::to_server, syn);
}

template <Family F>
bool track_tcp(Flow<F>& flow, FlowDetail& detail, Direction d, std::span<const std::byte> segment,
               std::size_t length) noexcept {
  const auto* tcp = at<base::TcpHdr>(segment, 0);
  const Direction other = reverse(d);
  const std::uint32_t seq = sent_in_clients_numbers(flow, detail, d, tcp->seq.host());
  const std::uint32_t ack = in_clients_numbers(flow, detail, d, tcp->ack.host());
  const TcpEvent event = event_of(tcp->flags);
  const FlowState before = flow.state;

  if (event == TcpEvent::rst) {
    if (!reset_is_legal(flow, d, *tcp, seq, ack)) return false;
    flow.state = next_state(before, d, event);
    const bool open = class_of(before) == FlowClass::open && (flow.flags & Flow<F>::kClientAcked) != 0;
    if (before != FlowState::reset) {
      detail.reset_by = open ? sender(d) : ResetBy::nobody;
    } else if (detail.reset_by != sender(d)) {
      detail.reset_by = ResetBy::nobody;
    }
    // What it acknowledges is known from here on, should that come again by a segment that it has overtaken.
    if (open && is_acceptable(flow, d, tcp->flags.ack(), ack, false) && seq_before(flow.acked[index(d)], ack))
      flow.acked[index(d)] = ack;
    return flow.state != before;
  }

  const std::uint32_t segment_end = seq + sequence_length(*tcp, length);
  if (before == FlowState::reset && outlives_reset(flow, detail, d, *tcp, ack, segment_end))
    flow.state = FlowState::established;
  const bool opens = tcp->flags.syn() && before <= FlowState::syn_received;
  // A late copy of the first SYN-ACK reopens nothing: a new connection has another number.
  const bool reopens = event == TcpEvent::syn_ack && d == Direction::to_client &&
                       (before == FlowState::closing || before == FlowState::time_wait) &&
                       seq != detail.first[index(d)];
  const bool first = d == Direction::to_server ? (flow.flags & Flow<F>::kClientAcked) == 0
                                               : before == FlowState::syn_sent || reopens;
  const bool blind = is_blind(flow, detail, d, *tcp, ack);
  if (opens || reopens) {
    if (d == Direction::to_server && seq != detail.first[index(d)]) flow.acked[index(other)] = seq + 1;
    detail.first[index(d)] = seq;
    flow.end[index(d)] = segment_end;
    set_window_scale(flow, d, segment);
    if (reopens) {
      detail.windows = SplicedWindows::not_told;
      flow.end[index(other)] = ack;
      flow.flags &= static_cast<std::uint8_t>(~(Flow<F>::kClientAcked | Flow<F>::kServerClosedFirst));
    }
  } else if (!tcp->flags.syn() && !blind && is_acceptable(flow, d, tcp->flags.ack(), ack, first)) {
    note_sent(flow, d, segment_end);
  }
  if (!blind && is_acceptable(flow, d, tcp->flags.ack(), ack, first)) {
    std::uint32_t& acked = flow.acked[index(d)];
    if (first || seq_before(acked, ack)) {
      acked = ack;
      if (d == Direction::to_server) flow.flags |= Flow<F>::kClientAcked;
    }
    flow.window[index(d)] = tcp->window.host();
  }

  // The last FIN, be it a copy, ends where all that was sent ends; a blind one need not even have a number
  // near.
  const bool legal_fin = event != TcpEvent::fin || is_outstanding(flow, d, segment_end);
  if (legal_fin && (event != TcpEvent::syn_ack || before <= FlowState::syn_received || reopens) && !blind) {
    flow.state = next_state(flow.state, d, event);
  }
  // When both close at once, both go through TIME_WAIT (RFC 9293 §3.6): the server's FIN then does not
  // acknowledge the client's.
  const bool crossing = before == FlowState::fin_client && flow.state == FlowState::closing &&
                        seq_before(ack, flow.end[index(other)]);
  if ((flow.state == FlowState::fin_server && before != FlowState::fin_server) || crossing) {
    flow.flags |= Flow<F>::kServerClosedFirst;
  }
  if (flow.state == FlowState::closing && all_acknowledged(flow)) flow.state = FlowState::time_wait;
  return flow.state != before;
}

template <Family F>
bool track_later(Flow<F>& flow, const FlowDetail& detail, Direction d, const FragmentTag& tag,
                 std::uint32_t length) noexcept {
  const std::uint32_t end = sent_in_clients_numbers(flow, detail, d, tag.origin) + length;
  const std::uint32_t ack = in_clients_numbers(flow, detail, d, tag.ack);
  const bool first = d == Direction::to_server && (flow.flags & Flow<F>::kClientAcked) == 0;
  const bool moves = seq_before(flow.acked[index(reverse(d))], end);
  if (is_acceptable(flow, d, tag.has_ack, ack, first)) note_sent(flow, d, end);
  return moves;
}

template <Family F>
bool moves_data(const Flow<F>& flow, const FlowDetail& detail, Direction d,
                std::span<const std::byte> segment, std::size_t length) noexcept {
  const auto* tcp = at<base::TcpHdr>(segment, 0);
  if (tcp->flags.syn() || tcp->flags.fin()) return true;
  const auto payload = static_cast<std::uint32_t>(length - tcp->header_length());
  return payload != 0 && seq_before(flow.acked[index(reverse(d))],
                                    sent_in_clients_numbers(flow, detail, d, tcp->seq.host()) + payload);
}

template bool moves_data(const Flow<Family::v4>&, const FlowDetail&, Direction, std::span<const std::byte>,
                         std::size_t) noexcept;
template bool moves_data(const Flow<Family::v6>&, const FlowDetail&, Direction, std::span<const std::byte>,
                         std::size_t) noexcept;
template bool track_later(Flow<Family::v4>&, const FlowDetail&, Direction, const FragmentTag&,
                          std::uint32_t) noexcept;
template bool track_later(Flow<Family::v6>&, const FlowDetail&, Direction, const FragmentTag&,
                          std::uint32_t) noexcept;
template void start_tcp(Flow<Family::v4>&, std::span<const std::byte>, std::size_t) noexcept;
template void start_tcp(Flow<Family::v6>&, std::span<const std::byte>, std::size_t) noexcept;
template bool track_tcp(Flow<Family::v4>&, FlowDetail&, Direction, std::span<const std::byte>,
                        std::size_t) noexcept;
template bool track_tcp(Flow<Family::v6>&, FlowDetail&, Direction, std::span<const std::byte>,
                        std::size_t) noexcept;

}  // namespace sluice::dp
