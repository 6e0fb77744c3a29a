#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cp/check_result.h"

namespace sluice::cp {

/// A server by the names that users know it by.
struct ServerName {
  std::string_view service, server;
};

/// The line for a server that went DOWN, in HAProxy's wording (log filters depend on it). `active_left`:
/// servers of the service that still get connections; `sessions`: open connections of the server, where the
/// data plane told.
std::string down_line(ServerName name, const CheckResult& result, std::size_t active_left,
                      std::optional<std::uint64_t> sessions);
/// The line for a server that came UP.
std::string up_line(ServerName name, const CheckResult& result, std::size_t active_online);
/// The line for a service whose last server went away.
std::string no_server_line(std::string_view service);

}  // namespace sluice::cp
