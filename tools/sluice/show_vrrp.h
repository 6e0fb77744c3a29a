#pragma once

#include <string>

#include "config/vrrp_report.h"

namespace sluice::cli {

/// `sluice show vrrp`: a line an instance; below, what stands in the way of each, and what else is not as it
/// should be.
[[nodiscard]] std::string vrrp_text(const config::VrrpReport& report);

}  // namespace sluice::cli
