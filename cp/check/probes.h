#pragma once

#include <cstddef>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "cp/agent_answer.h"
#include "cp/check/check_clock.h"
#include "cp/check/check_target.h"
#include "cp/check_result.h"

/// What each kind of check does on the wire. A probe knows nothing of time: it writes into `if_late`, ahead
/// of each wait, what the result is when time runs out there, and is cancelled then; one that connects tells
/// the clock. What it is given outlives it. Durations are filled in by the caller. Thread: that of the
/// coroutine.
namespace sluice::cp {

/// tcp: connects, and closes at once.
boost::asio::awaitable<CheckResult> probe_tcp(const CheckTarget& target, CheckResult& if_late,
                                              CheckClock& clock);
/// tcp-check: runs the script; each step that connects ends the connection before.
boost::asio::awaitable<CheckResult> probe_script(const CheckTarget& target, CheckResult& if_late,
                                                 CheckClock& clock);
/// tls: connects and shakes hands.
boost::asio::awaitable<CheckResult> probe_tls(const CheckTarget& target, CheckResult& if_late,
                                              CheckClock& clock);
/// http, https: one request; the status, then, where wanted, the body.
boost::asio::awaitable<CheckResult> probe_http(const CheckTarget& target, CheckResult& if_late,
                                               CheckClock& clock);
/// udp: one datagram, and the first that comes back.
boost::asio::awaitable<CheckResult> probe_udp(const CheckTarget& target, CheckResult& if_late);
/// dns: one question; an answer with its id that says NOERROR is right.
boost::asio::awaitable<CheckResult> probe_dns(const CheckTarget& target, CheckResult& if_late);

/// Asks an agent at `endpoint`; `send` goes first.
boost::asio::awaitable<AgentAnswer> probe_agent(base::Endpoint endpoint, const std::string& send,
                                                AgentAnswer& if_late);

}  // namespace sluice::cp
