#pragma once

#include <algorithm>
#include <map>
#include <string_view>

#include "config/model.h"
#include "config/report.h"

/// What the data plane reports, found by the names of the configuration.
namespace sluice::cp {

/// Null: the data plane does not know the service (yet).
[[nodiscard]] inline const config::ServiceReport* find_report(const config::DataplaneReport& report,
                                                              std::string_view name) {
  const auto found = std::ranges::find(report.services, name, &config::ServiceReport::name);
  return found == report.services.end() ? nullptr : &*found;
}

/// The reports of a service's configured servers by name; one that drains under the same name is another
/// server.
class ServerReports {
 public:
  explicit ServerReports(const config::ServiceReport* service) {
    if (service == nullptr) return;
    for (const config::ServerReport& server : service->servers) {
      if (!server.draining) by_name_.emplace(server.name, &server);
    }
  }
  /// Zeros for a server that the data plane does not know yet.
  [[nodiscard]] config::ServerReport of(const config::Server& server) const {
    const auto found = by_name_.find(server.name);
    if (found != by_name_.end() && found->second->endpoint == server.endpoint) return *found->second;
    config::ServerReport unknown;
    unknown.name = server.name;
    unknown.endpoint = server.endpoint;
    return unknown;
  }

 private:
  std::map<std::string_view, const config::ServerReport*> by_name_;
};

}  // namespace sluice::cp
