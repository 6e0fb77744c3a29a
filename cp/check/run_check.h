#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "cp/agent_answer.h"
#include "cp/check/check_target.h"
#include "cp/check/command_slots.h"
#include "cp/check_result.h"

namespace sluice::cp {

/// Runs one check to its end: at the latest when the target's timeout is over. An external command first
/// waits its turn in `commands`. Whatever the server does is in the result. Thread: that of the coroutine.
boost::asio::awaitable<CheckResult> run_check(std::shared_ptr<const CheckTarget> target,
                                              CommandSlots commands);

/// Asks an agent; `timeout` bounds it. That there is no answer is in its result.
boost::asio::awaitable<AgentAnswer> ask_agent(base::Endpoint endpoint, std::string send,
                                              config::Milliseconds timeout);

}  // namespace sluice::cp
