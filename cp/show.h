#pragma once

#include <string>

#include "config/report.h"
#include "cp/controller.h"
#include "cp/lateness.h"

/// What `sluice show` tells: the data plane's counters and the control plane's knowledge of the same objects,
/// merged by name into JSON texts. Pure functions.
namespace sluice::cp {

/// What is known of the processes themselves.
struct ProcessView {
  std::string version;
  std::string config_file;
  std::uint64_t pid = 0;
  std::uint64_t uptime_ms = 0;
  bool data_plane_connected = false;
  std::string data_plane_trouble;  ///< empty: none
  Lateness::Summary checks;
};

/// Array of services: name, vip, protocol, mode, balance, status ("UP", "DEGRADED": some servers are down,
/// "DOWN": no server takes new connections), servers_total, servers_active (that get new connections; backup
/// servers where no other does), servers_backup (usable ones), maxconn, counters, handshakes, queue, clients
/// (ClientCounters). `filter.service` narrows.
[[nodiscard]] std::string services_json(const Controller& controller, const config::DataplaneReport& report,
                                        const config::FlowFilter& filter);

/// Array of servers: the data plane's ServerReport (weights as users write them, not in sixteenths), service,
/// what server_view.h has of its state, and check as check_view. One that only its open connections keep has
/// the status "REMOVED". A server that the data plane does not know yet has zero counters. `filter.service`
/// and `filter.server` narrow.
[[nodiscard]] std::string servers_json(const Controller& controller, const config::DataplaneReport& report,
                                       const config::FlowFilter& filter, TimePoint now);

/// Array of servers: service, name, endpoint, what server_view.h has of its state, of its check with the
/// counter, and, where it has one, of its agent. `filter.service` and `filter.server` narrow.
[[nodiscard]] std::string health_json(const Controller& controller, const config::FlowFilter& filter,
                                      TimePoint now);

/// Array of services: name, connections_current, maxconn, timeout_ms, queue (QueueCounters), and servers: an
/// array of {name, connections_current, maxconn, maxqueue, queue}. `filter.service` and `filter.server`
/// narrow.
[[nodiscard]] std::string queue_json(const Controller& controller, const config::DataplaneReport& report,
                                     const config::FlowFilter& filter);

/// Array of {name, servers: [name, ...]}.
[[nodiscard]] std::string names_json(const config::Config& config);

/// Object: version, pid, uptime_ms, config_file, services, servers, servers_up, maxconn, generation {wanted,
/// running}, checks {begun, over_ms, late_us {p50, p99, max}} (of the last minute, agents included), and
/// data_plane {connected, trouble}, with version, pid, uptime_ms, hugepages,
/// connections_current, waiting when `report` is there.
[[nodiscard]] std::string info_json(const Controller& controller, const ProcessView& process,
                                    const config::DataplaneReport* report);

/// A config::MetricsReport: what metrics.h has of this process and, when `report` is there, of the data
/// plane.
[[nodiscard]] std::string metrics_json(const Controller& controller, const ProcessView& process,
                                       const config::DataplaneReport* report, TimePoint now);

}  // namespace sluice::cp
