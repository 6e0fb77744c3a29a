#pragma once

#include <cstdint>

#include "config/report.h"
#include "config/wire.h"
#include "dp/control/control.h"

namespace sluice::dp {

/// What does not change while the process lives.
struct ReportBasics {
  std::uint64_t started_ms = 0;  ///< base::steady_ms() at start
  bool hugepages = false;
  std::vector<std::vector<std::uint16_t>> cpus;  ///< by worker
};

/// What dp tells of itself, read from the workers' counters as they stand: everything, or what `request` is
/// for. Thread: control.
[[nodiscard]] config::DataplaneReport make_report(const Control& control, const ReportBasics& basics,
                                                  const config::ReportRequest& request = {});

/// Signs of life, and the usable servers of `services`. Thread: control.
[[nodiscard]] config::AliveReport signs_of_life(const Control& control,
                                                const std::vector<std::string>& services);

/// The configured servers whose last attempts to connect have failed. Thread: control.
[[nodiscard]] std::vector<config::FailureReport> failing_servers(const Control& control);

}  // namespace sluice::dp
