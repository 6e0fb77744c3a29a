#include "cp/health_log.h"

#include <fmt/format.h>

namespace sluice::cp {
std::string down_line(ServerName name, const CheckResult& result, std::size_t active_left,
                      std::optional<std::uint64_t> sessions) {
  std::string line = fmt::format("Server {}/{} is DOWN, {}. {} active and 0 backup servers left.",
                                 name.service, name.server, describe(result), active_left);
  if (sessions) line += fmt::format(" {} sessions active, 0 requeued, 0 remaining in queue.", *sessions);
  return line;
}

std::string up_line(ServerName name, const CheckResult& result, std::size_t active_online) {
  return fmt::format(
      "Server {}/{} is UP, {}. {} active and 0 backup servers online. 0 sessions requeued, 0 total in queue.",
      name.service, name.server, describe(result), active_online);
}

std::string no_server_line(std::string_view service) {
  return fmt::format("backend {} has no server available!", service);
}

}  // namespace sluice::cp
