#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/model.h"

/// The names that users give to commands, against those that the configuration has. An error says what there
/// is instead. Pure.
namespace sluice::cp {

/// The service `name`. Error (not_found): `no service "wbe": web, dns (did you mean "web"?)`.
[[nodiscard]] base::Result<const config::Service*> find_service(const config::Config& config,
                                                                const std::string& name);

/// The server `name` of `service`, or, for "*", all of them. Error (not_found): `no server "m4" in "k8s-api":
/// m1, m2, m3`.
[[nodiscard]] base::Result<std::vector<const config::Server*>> find_servers(const config::Service& service,
                                                                            const std::string& name);

/// Whether some service has the server `name`. Error (not_found) otherwise.
[[nodiscard]] base::Result<void> find_server_anywhere(const config::Config& config, const std::string& name);

}  // namespace sluice::cp
