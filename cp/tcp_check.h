#pragma once

#include <boost/asio/awaitable.hpp>

#include "base/address.h"
#include "config/model.h"
#include "cp/check_result.h"

namespace sluice::cp {

/// Connects to `endpoint` and resets the connection at once: SYN, SYN-ACK, RST, as HAProxy's plain `check`
/// does on the wire, so that the application never sees a connection without data. Ends after `timeout` at
/// the latest. Whatever happens is in the result; throws nothing. Thread: that of the calling coroutine.
boost::asio::awaitable<CheckResult> tcp_check(base::Endpoint endpoint, config::Milliseconds timeout);

}  // namespace sluice::cp
