#pragma once

#include <memory>

#include <boost/asio/awaitable.hpp>

#include "cp/check/check_target.h"
#include "cp/check/command_slots.h"
#include "cp/check_result.h"

namespace sluice::cp {

/// external: runs the target's command, with HAProxy's arguments (proxy's address and port, server's address
/// and port) and HAPROXY_* variables, in a process group of its own, with no input and no output. Exit code 0
/// is a pass. At the target's timeout, which starts when `commands` gives it its turn, the whole group is
/// killed; its place is free again only when it is gone. Thread: that of the coroutine.
boost::asio::awaitable<CheckResult> probe_external(std::shared_ptr<const CheckTarget> target,
                                                   CommandSlots commands);

}  // namespace sluice::cp
