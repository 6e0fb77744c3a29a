#pragma once

#include <string>

#include <boost/asio/awaitable.hpp>

#include "config/wire.h"
#include "cp/controller.h"
#include "cp/dp_link.h"
#include "cp/show.h"

namespace sluice::cp {

/// The reply line to one request line of the CLI: asks the data plane, merges, encodes. Whatever fails is an
/// error reply. `fixed`: version, config_file, pid; the rest is filled in. `started`: when this process
/// did.
boost::asio::awaitable<std::string> answer(const config::ShowRequest& request, const Controller& controller,
                                           const DpLink& link, const ProcessView& fixed, TimePoint started);

}  // namespace sluice::cp
