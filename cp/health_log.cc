#include "cp/health_log.h"

#include <fmt/format.h>

namespace sluice::cp {
namespace {

/// `, info: "…"` as HAProxy builds it: the system's words, then where in the check they fell. A timeout has
/// no words, yet the place (with its leading blank) still stands there.
std::string info_of(const CheckResult& result) {
  if (result.passed()) return {};
  return fmt::format(R"(, info: "{} at initial connection step of tcp-check")", result.info);
}

}  // namespace

std::string down_line(ServerName name, const CheckResult& result, std::size_t active_left,
                      std::optional<std::uint64_t> sessions) {
  std::string line = fmt::format(
      "Server {}/{} is DOWN, reason: {}{}, check duration: {}ms. {} active and 0 backup servers left.",
      name.service, name.server, reason(result.status), info_of(result), result.duration.count(),
      active_left);
  if (sessions) line += fmt::format(" {} sessions active, 0 requeued, 0 remaining in queue.", *sessions);
  return line;
}

std::string up_line(ServerName name, const CheckResult& result, std::size_t active_online) {
  return fmt::format(
      "Server {}/{} is UP, reason: {}, check duration: {}ms. {} active and 0 backup servers online. 0 "
      "sessions requeued, 0 "
      "total in queue.",
      name.service, name.server, reason(result.status), result.duration.count(), active_online);
}

std::string no_server_line(std::string_view service) {
  return fmt::format("backend {} has no server available!", service);
}

}  // namespace sluice::cp
