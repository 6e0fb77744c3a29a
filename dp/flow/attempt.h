#pragma once

#include "dp/flow/flow.h"
#include "dp/server_load.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// How attempts to reach a server end: what a flow in syn_sent is.
///
/// Theory of operation. What `observe` goes by are a server's failures in a row: attempts that failed since
/// the last one that was answered. A refusal is the server's own word, an ICMP error names the SYN that only
/// those on the way know. Silence, however, may be the client's doing: there is always a SYN that servers
/// drop without a word (a TTL that ends behind us, an option that somebody minds), and whoever sends a few of
/// these must not have healthy servers taken out of service. So silence counts only
///
///  - if the server has answered nobody since the attempt began: whom it answers, it lives for; what is dead
///    answers nobody, and counts as fast as ever;
///  - and, where SYNs are tried at other servers, once one of these has answered (or refused) this very SYN:
///    then it was no SYN that cannot be answered, and those that were silent to it are at fault. A SYN that
///    nobody answers convicts nobody. One of which there is no copy (too long to be stored) neither.
///
/// Where there is nobody to compare with (one usable server, no retries, no redispatch) the first rule is all
/// there is: a service without traffic can lose its only server to silence that a client brought about, until
/// the next checks say otherwise. That is the lesser evil: else a dead server would never be found out.
/// All attempts are counted (ServerHandshakes), whatever comes of them here.
namespace sluice::dp {

/// The server has answered: by its SYN (`opens`), or by something else that the client gets to see, which
/// leaves nobody else to try.
template <base::Family F>
void attempt_answered(const Flow<F>& flow, FlowDetail& detail, bool opens, WorkerState& worker,
                      base::Tick now) noexcept;

/// Whether there is a further attempt when this one fails.
[[nodiscard]] inline bool has_attempts_left(const FlowDetail& detail, const WorkerState& worker) noexcept {
  return detail.syn != kNoIndex && !worker.syns.at(detail.syn).spent;
}

/// Accounts for a failure, once for each attempt, whatever else is heard of it. True: the SYN is tried again,
/// and this flow is gone; the client must not hear of it. False: it was the last attempt, and the flow
/// goes on as it was.
template <base::Family F>
[[nodiscard]] bool attempt_failed(std::uint32_t flow, Failure how, const Snapshot& snapshot,
                                  WorkerState& worker, base::Tick now) noexcept;

/// The server is not to be waited for any longer, whatever it might yet have answered; that is no failure of
/// it. True: the SYN is tried again, elsewhere if possible, and this flow is gone. False: there are no
/// attempts left, or the flow has got beyond them; it is as it was.
template <base::Family F>
[[nodiscard]] bool withdraw_attempt(std::uint32_t flow, const Snapshot& snapshot, WorkerState& worker,
                                    base::Tick now) noexcept;

/// Whether an ICMP error says that the server cannot be reached by the very SYN of this flow: it quotes its
/// sequence number, which nobody else knows (RFC 5927 §4.1). Pre: packet.meta.icmp_error.
template <base::Family F>
[[nodiscard]] bool says_unreachable(const Packet& packet, const FlowDetail& detail) noexcept;

}  // namespace sluice::dp
