#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/siphash.h"
#include "config/model.h"
#include "dp/flow/flow_hash.h"
#include "dp/flow/tcp_options.h"

/// Theory of operation. In a SYN flood most SYNs come from nobody; whatever is kept of them is lost to those
/// who mean it. So nothing is kept: the SYN-ACK's sequence number is the memory (Bernstein 1996; RFC 4987
/// §3.6). It holds, from the high bits down:
///
///     24  a keyed hash of the addresses, ports, the client's sequence number, the time and the bits below
///      1  the low bit of the time, in periods of 16 s
///      1  whether the client permits selective acknowledgements
///      3  its window scale, 0: none
///      3  its maximum segment size, rounded down (536 where it is less)
///
/// Who acknowledges such a number has received the SYN-ACK, and so is where he says he is; a guess succeeds
/// once in 2^24 times. A cookie is good for 16 to 32 s. Window scale and SACK so survive without timestamps,
/// as in FreeBSD; timestamps are not offered, because the server's, which follow, have another clock (see
/// dp/splice.h).
namespace sluice::dp {

/// One worker's cookies: made, recognised, and when they are called for. Thread: its worker.
class SynCookies {
 public:
  /// `backlog`: unfinished handshakes beyond which services with syn_cookies "auto" answer by cookies.
  SynCookies(const FlowHash::Seed& seed, std::uint32_t backlog) noexcept;

  /// Whether a SYN is to be answered by a cookie; for "auto" found out anew each time. `unfinished`:
  /// handshakes of the worker that wait for a server or for a client.
  [[nodiscard]] bool wanted(config::SynCookies mode, std::uint32_t unfinished, base::Tick now) noexcept;

  /// The same, as it was found last.
  [[nodiscard]] bool active(config::SynCookies mode) const noexcept {
    return mode == config::SynCookies::always || (mode == config::SynCookies::automatic && on_);
  }

  /// The sequence number of the SYN-ACK for a client's SYN.
  template <base::Family F>
  [[nodiscard]] std::uint32_t make(const FlowKey<F>& key, std::uint32_t isn, const SynOptions& options,
                                   base::Tick now) noexcept;
  /// A cookie has come back, and begins a connection.
  void count_returned() noexcept {
    if (pending_ != 0) --pending_;
  }
  /// What a cookie keeps of the SYN, if it is one of ours, for this client, and not too old.
  template <base::Family F>
  [[nodiscard]] std::optional<SynOptions> open(const FlowKey<F>& key, std::uint32_t isn, std::uint32_t cookie,
                                               base::Tick now) noexcept;

 private:
  void settle(base::Tick now) noexcept;
  template <base::Family F>
  [[nodiscard]] std::uint32_t hash(const FlowKey<F>& key, std::uint32_t isn, std::uint32_t period,
                                   std::uint32_t kept) const noexcept;

  base::SipKey key_;
  std::uint32_t backlog_;
  bool on_ = false;            ///< for "auto"
  bool any_ = false;           ///< cookies may be on their way
  std::uint32_t pending_ = 0;  ///< cookies that have not come back: what would otherwise be unfinished
  base::Tick settled_, last_made_;
};

}  // namespace sluice::dp
