#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/report.h"
#include "config/vrrp_report.h"
#include "cp/controller.h"
#include "cp/metric_rows.h"
#include "cp/show.h"

/// What a monitor is told: counters and states of all processes as families of metrics, by Prometheus'
/// conventions (base units, "_total" for what only grows). Pure functions. Labels are names of the
/// configuration and words of a fixed set, never a text that grows without bound.
namespace sluice::cp {

/// Of sluice-cp and sluice-dp: services and servers of the configuration, ports, drops, workers. Without a
/// `report` only what the control plane itself knows.
[[nodiscard]] Families balancer_metrics(const Controller& controller, const ProcessView& process,
                                        const config::DataplaneReport* report, TimePoint now);

/// Of sluice-vrrp.
[[nodiscard]] Families vrrp_metrics(const config::VrrpReport& report);

/// "sluice_up": which processes answer, by their names.
[[nodiscard]] prometheus::MetricFamily up_metric(const std::vector<std::pair<std::string, bool>>& processes);

/// Prometheus' text exposition format, version 0.0.4.
[[nodiscard]] std::string exposition(const Families& families);

}  // namespace sluice::cp
