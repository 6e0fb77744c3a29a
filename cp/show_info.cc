#include <vector>

#include <json/json.h>

#include "config/wire.h"
#include "cp/json_text.h"
#include "cp/metrics.h"
#include "cp/show.h"

/// What `sluice show` tells of the instance as a whole.
namespace sluice::cp {

std::string names_json(const config::Config& config) {
  std::vector<config::ServiceNames> names;
  for (const config::Service& service : config.services) {
    config::ServiceNames& entry = names.emplace_back();
    entry.name = service.name;
    for (const config::Server& server : service.servers) entry.servers.push_back(server.name);
  }
  return config::to_json(names);
}

std::string info_json(const Controller& controller, const ProcessView& process,
                      const config::DataplaneReport* report) {
  Json::UInt64 servers = 0;
  Json::UInt64 servers_up = 0;
  const config::Config& config = controller.config();
  for (std::size_t s = 0; s < config.services.size(); ++s) {
    for (const ServerState& server : controller.servers(s)) {
      ++servers;
      if (server.is_up()) ++servers_up;
    }
  }
  Json::Value tree(Json::objectValue);
  tree["version"] = process.version;
  tree["pid"] = Json::UInt64{process.pid};
  tree["uptime_ms"] = Json::UInt64{process.uptime_ms};
  tree["config_file"] = process.config_file;
  tree["services"] = Json::UInt64{config.services.size()};
  tree["servers"] = servers;
  tree["servers_up"] = servers_up;
  tree["maxconn"] = Json::UInt{config.global.maxconn};
  tree["generation"]["wanted"] = Json::UInt64{controller.desired().generation};
  tree["generation"]["running"] =
      Json::UInt64{report != nullptr ? report->generation : controller.acknowledged()};
  Json::Value& checks = tree["checks"];
  checks["begun"] = Json::UInt64{process.checks.count};
  checks["over_ms"] = Json::Int64{process.checks.over.count()};
  checks["late_us"]["p50"] = Json::Int64{process.checks.median.count()};
  checks["late_us"]["p99"] = Json::Int64{process.checks.p99.count()};
  checks["late_us"]["max"] = Json::Int64{process.checks.most.count()};
  Json::Value& data_plane = tree["data_plane"];
  data_plane["connected"] = process.data_plane_connected;
  data_plane["trouble"] = process.data_plane_trouble;
  if (report == nullptr) return text_of(tree);

  Json::UInt64 connections = 0;
  Json::UInt64 waiting = 0;
  for (const config::ServiceReport& service : report->services) {
    connections += service.counters.connections_current;
    waiting += service.queue.waiting;
  }
  data_plane["version"] = report->version;
  data_plane["pid"] = Json::UInt64{report->pid};
  data_plane["uptime_ms"] = Json::UInt64{report->uptime_ms};
  data_plane["hugepages"] = report->hugepages;
  data_plane["connections_current"] = connections;
  data_plane["waiting"] = waiting;
  return text_of(tree);
}

std::string metrics_json(const Controller& controller, const ProcessView& process,
                         const config::DataplaneReport* report, TimePoint now) {
  return config::to_json(
      config::MetricsReport{.text = exposition(balancer_metrics(controller, process, report, now)),
                            .data_plane = report != nullptr,
                            .vrrp = !controller.config().vrrp.empty()});
}

}  // namespace sluice::cp
