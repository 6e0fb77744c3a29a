#pragma once

#include <cstdint>

#include "base/clock.h"
#include "dp/flow/flow.h"
#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// Connections whose client is answered before a server is asked.
///
/// Theory of operation. With SYN cookies (dp/syn_cookies.h) a connection begins in two halves that sluice
/// joins:
///
///     client              sluice               server
///       SYN ─────────────►
///          ◄───────────── SYN-ACK, window 0          nothing is kept
///       ACK ─────────────►
///                         SYN ──────────────►        made anew of the cookie: a flow, a place, a port
///                          ◄────────────── SYN-ACK
///                         ACK ──────────────►
///          ◄───────────── ACK, with the server's window
///
/// The window of 0 keeps the client from sending what nobody could take yet, so nothing has to be stored
/// (Netfilter's SYNPROXY does the same). From the client's ACK on the SYN is one like any other: it waits for
/// a place, is tried at other servers, is refused. Three things differ for the life of the flow, and are
/// translated (dp/rewrite.cc): the server's sequence numbers, since the client was told the cookie's;
/// windows, since it was told a window scale that need not be the server's; and what ends an attempt must fit
/// a client that believes to be connected. MSS and SACK need no translation: a server that does not care for
/// SACK ignores it, and the client is told the least MSS that the links to the servers carry (of one that
/// wants less than its link nothing is known in time: the service's `mss` says it). Timestamps and ECN are
/// not offered to the client, nor to the server. A SYN that gets lost on the way to the server is repeated by
/// sluice, since the client has no reason to; and where nothing comes of the connection, the client is told
/// by a RST.
namespace sluice::dp {

/// How often a SYN that a server does not answer is sent to it again.
inline constexpr std::uint32_t kSynAgainMs = 1'000;

/// Whether this first SYN is to be answered by a cookie.
[[nodiscard]] bool wants_cookie(const Packet& packet, const Service& service, WorkerState& worker,
                                base::Tick now) noexcept;
/// Answers a first SYN by a cookie; the packet is turned round, or dropped. Pre: wants_cookie().
template <base::Family F>
void answer_with_cookie(Packet& packet, const FlowKey<F>& key, const Snapshot& snapshot, WorkerState& worker,
                        base::Tick now) noexcept;

/// Makes the client's SYN anew of the ACK that brings a cookie back: `packet` is then that SYN, for
/// start_flow(). False, and nothing done: it brings none. Pre: a TCP segment of a client without a flow.
template <base::Family F>
[[nodiscard]] bool unpack_cookie(Packet& packet, const FlowKey<F>& key, WorkerState& worker,
                                 base::Tick now) noexcept;
/// What start_flow() notes of a flow that begins by such a SYN: ahead of its insertion, and after it.
template <base::Family F>
void begin_splice(Flow<F>& flow, const Packet& syn) noexcept;
void begin_splice(FlowDetail& detail, const Packet& syn) noexcept;

/// What a segment means for a spliced flow.
enum class SpliceStep : std::uint8_t {
  none,   ///< nothing special
  joins,  ///< the server's SYN-ACK, or a copy of it: to be tracked, then given to join()
  taken,  ///< the verdict is set: it goes no further
};
/// To be asked before the segment is tracked. Pre: flow.flags has kSpliced.
template <base::Family F>
[[nodiscard]] SpliceStep mind_splice(Packet& packet, std::uint32_t flow, const Snapshot& snapshot,
                                     WorkerState& worker, base::Tick now) noexcept;
/// Acknowledges the server's SYN-ACK in the client's name, and makes of it the client's news of the server's
/// window. Pre: mind_splice() said so.
template <base::Family F>
void join(Packet& packet, std::uint32_t flow, const Snapshot& snapshot, WorkerState& worker) noexcept;

/// Sends the SYN of a spliced flow in syn_sent to its server once more, if there is a copy of it and room in
/// the outbox.
template <base::Family F>
void send_syn_again(std::uint32_t flow, const Snapshot& snapshot, WorkerState& worker,
                    base::Tick now) noexcept;

}  // namespace sluice::dp
