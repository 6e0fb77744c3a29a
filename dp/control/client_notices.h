#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/report.h"
#include "dp/control/server_ledger.h"

namespace sluice::dp {

/// Sentences for the log about services whose limits by client refuse connections, or let them in uncounted:
/// of each service the first at once, further ones at most once a minute, with what was counted since.
/// Thread: control.
class ClientNotices {
 public:
  static constexpr std::uint64_t kPauseMs = 60'000;

  /// What there is to tell of the services' counters as they are now. `now_ms`: base::steady_ms().
  [[nodiscard]] std::vector<std::string> due(
      const std::map<std::string, ServerLedger::ServiceTally>& services, std::uint64_t now_ms);

 private:
  struct Told {
    config::ClientCounters counters;
    std::uint64_t next_ms = 0;  ///< not before
  };
  std::map<std::string, Told> told_;  ///< by service
};

}  // namespace sluice::dp
