#pragma once

#include <string>

#include "base/result.h"
#include "config/vrrp_report.h"
#include "config/wire.h"

namespace sluice::cli {

/// `sluice show metrics`: what the control plane and sluice-vrrp tell, in Prometheus' exposition format, led
/// by "sluice_up" of each process that there should be; of sluice-dp only the control plane can tell. Who
/// does not answer (Error) is told of there alone; when neither does: the control plane's error.
[[nodiscard]] base::Result<std::string> metrics_text(const base::Result<config::MetricsReport>& control_plane,
                                                     const base::Result<config::VrrpReport>& vrrp);

}  // namespace sluice::cli
