#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/forwarding.h"
#include "dp/control/service_compiler.h"

/// Servers whose connections are to end though neither side closes them. Pure: says which, ends none.
namespace sluice::dp {

/// The slots of the servers whose `shutdowns` has risen from `before` to `after`, so that their connections
/// are to end; those of the same server that drain elsewhere, too.
[[nodiscard]] std::vector<std::uint16_t> newly_shut_down(const config::ForwardingState& before,
                                                         const config::ForwardingState& after,
                                                         const ServiceCompiler& compiler);

/// Watches how long servers that are no longer configured have been draining (hard_stop_after). Thread:
/// control.
class HardStop {
 public:
  /// The slots that have drained for `limit` and more; none: no limit. To be called after each compile() and
  /// now and then. `now_ms`: steady.
  [[nodiscard]] std::vector<std::uint16_t> overdue(const ServiceCompiler& compiler,
                                                   std::optional<config::Milliseconds> limit,
                                                   std::uint64_t now_ms);

 private:
  struct Drain {
    std::string service, server;
    base::Endpoint endpoint;
    std::uint64_t since_ms = 0;
  };
  std::map<std::uint16_t, Drain> drains_;  ///< by slot
};

}  // namespace sluice::dp
