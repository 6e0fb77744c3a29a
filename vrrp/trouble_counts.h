#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/vrrp_report.h"

namespace sluice::vrrp {

/// How often each kind of trouble has come over an instance: what a monitor alarms on, though the trouble be
/// gone again when it looks. Thread: main.
class TroubleCounts {
 public:
  /// All there are now. What was there at the last call is not counted anew, whatever its sentence says now.
  void see(const std::vector<config::VrrpTrouble>& troubles) {
    for (auto& [tracker, count] : counts_) count.before = std::exchange(count.now, 0);
    for (const config::VrrpTrouble& trouble : troubles) ++counts_[trouble.tracker].now;
    for (auto& [tracker, count] : counts_)
      count.times += count.now > count.before ? count.now - count.before : 0;
  }
  /// By name of the tracker.
  [[nodiscard]] std::vector<config::VrrpTroubleCount> all() const {
    std::vector<config::VrrpTroubleCount> out;
    for (const auto& [tracker, count] : counts_) out.push_back({tracker, count.times});
    return out;
  }

 private:
  struct Count {
    std::uint32_t before = 0, now = 0;
    std::uint64_t times = 0;
  };
  std::map<std::string, Count> counts_;
};

}  // namespace sluice::vrrp
