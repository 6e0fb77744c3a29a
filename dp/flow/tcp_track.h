#pragma once

#include <span>

#include "dp/flow/flow.h"
#include "dp/flow/tcp_state.h"

namespace sluice::dp {

/// Follows one TCP segment of a known flow: sequence numbers, windows, state. `segment` is the TCP header and
/// what of the payload is contiguous, in the numbering of the side that it comes from; `length` is that of
/// header and payload. True when the flow's state changed. Never judges whether the segment may pass: the
/// endpoints do that; what lies outside the window only leaves the state as it is (RFC 5961: a blind RST or
/// SYN must not end a connection). A RST that its receiver has not believed is told by its sender, who goes
/// on: the connection is established again (as in RFC 6146 §3.5.2.2, TRANS). Source: RFC 9293 §3.10.7,
/// RFC 5961 §3.2, RFC 7857 §2.
template <base::Family F>
bool track_tcp(Flow<F>& flow, FlowDetail& detail, Direction direction, std::span<const std::byte> segment,
               std::size_t length) noexcept;

/// Follows a fragment of a segment other than its first: what has been sent. `tag` is of the datagram, of
/// which the first `length` bytes end with the fragment. Whether that moves data, as of moves_data().
template <base::Family F>
bool track_later(Flow<F>& flow, const FlowDetail& detail, Direction direction, const FragmentTag& tag,
                 std::uint32_t length) noexcept;

/// Whether a segment, given as to track_tcp(), is more than a sign of life: opens, closes, or carries data
/// that the receiver has not acknowledged yet. A keepalive with its one old byte does not (RFC 9293 §3.8.4).
template <base::Family F>
[[nodiscard]] bool moves_data(const Flow<F>& flow, const FlowDetail& detail, Direction direction,
                              std::span<const std::byte> segment, std::size_t length) noexcept;

/// Begins to follow a flow at the client's SYN.
template <base::Family F>
void start_tcp(Flow<F>& flow, std::span<const std::byte> syn, std::size_t length) noexcept;

}  // namespace sluice::dp
