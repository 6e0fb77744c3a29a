#include "cp/show.h"

#include <algorithm>
#include <optional>

#include <json/json.h>

#include "config/names.h"
#include "config/wire.h"

namespace sluice::cp {
namespace {

/// Pre: `text` comes from config::to_json, hence is JSON.
Json::Value tree_of(const std::string& text) {
  Json::Value value;
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  reader->parse(text.data(), text.data() + text.size(), &value, nullptr);
  return value;
}

std::string text_of(const Json::Value& value) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, value);
}

Json::UInt64 milliseconds_since(TimePoint then, TimePoint now) {
  const auto passed = std::chrono::duration_cast<config::Milliseconds>(now - then).count();
  return static_cast<Json::UInt64>(std::max<decltype(passed)>(passed, 0));
}

const config::ServiceReport* find_service(const config::DataplaneReport& report, const std::string& name) {
  const auto found = std::ranges::find(report.services, name, &config::ServiceReport::name);
  return found == report.services.end() ? nullptr : &*found;
}

/// The report of the configured server; one that drains under the same name is another server.
const config::ServerReport* find_server(const config::ServiceReport* service, const config::Server& server) {
  if (service == nullptr) return nullptr;
  const auto found = std::ranges::find_if(service->servers, [&](const config::ServerReport& candidate) {
    return !candidate.draining && candidate.name == server.name && candidate.endpoint == server.endpoint;
  });
  return found == service->servers.end() ? nullptr : &*found;
}

Json::Value check_tree(const ServerState& server, TimePoint now) {
  const Health& health = server.check();
  Json::Value tree(Json::objectValue);
  tree["type"] = std::string(config::name_of(server.config().check.type));
  if (!health.enabled()) return tree;
  const CheckResult& last = health.last_result();
  tree["status"] = std::string(code(last.status));
  tree["info"] = last.info;
  tree["failed"] = Json::UInt64{health.failed_checks()};
  tree["times_down"] = Json::UInt64{server.times_down()};
  if (last.status == CheckStatus::initializing) return tree;
  tree["duration_ms"] = Json::UInt64(std::max<config::Milliseconds::rep>(last.duration.count(), 0));
  tree["age_ms"] = milliseconds_since(health.last_check(), now);
  return tree;
}

/// Weights as users write them: the data plane's are in sixteenths.
Json::Value server_tree(const std::string& service_name, const ServerState& server,
                        const config::ServiceReport* service, TimePoint now) {
  config::ServerReport unknown;
  unknown.name = server.config().name;
  unknown.endpoint = server.config().endpoint;
  const config::ServerReport* known = find_server(service, server.config());
  Json::Value tree = tree_of(config::to_json(known != nullptr ? *known : unknown));
  tree["service"] = service_name;
  tree["status"] = server.status();
  tree["weight"] = Json::UInt{server.shown_weight()};
  tree["configured_weight"] = Json::UInt{server.config().weight};
  tree["last_change_ms"] = milliseconds_since(server.last_change(), now);
  tree["check"] = check_tree(server, now);
  return tree;
}

template <typename T>
bool wanted(const std::optional<T>& filter, const T& value) {
  return !filter || *filter == value;
}

std::string_view service_status(std::size_t active, std::size_t down) {
  if (active == 0) return "DOWN";
  return down == 0 ? "UP" : "DEGRADED";
}

}  // namespace

std::string services_json(const Controller& controller, const config::DataplaneReport& report,
                          const config::FlowFilter& filter) {
  Json::Value array(Json::arrayValue);
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    const config::Service& service = services[s];
    if (!wanted(filter.service, service.name)) continue;
    std::size_t down = 0;
    for (const ServerState& server : controller.servers(s)) down += server.is_up() ? 0 : 1;
    const Usable usable = controller.usable(s);
    const std::size_t active = usable.active > 0 ? usable.active : usable.backup;
    const config::ServiceReport* known = find_service(report, service.name);
    Json::Value tree(Json::objectValue);
    tree["name"] = service.name;
    tree["vip"] = service.vip.to_string();
    tree["protocol"] = std::string(config::name_of(service.protocol));
    tree["mode"] = std::string(config::name_of(service.mode));
    tree["balance"] = std::string(config::name_of(service.balance));
    tree["status"] = std::string(service_status(active, down));
    tree["servers_total"] = Json::UInt64{service.servers.size()};
    tree["servers_active"] = Json::UInt64{active};
    tree["counters"] =
        tree_of(config::to_json(known != nullptr ? known->counters : config::TrafficCounters{}));
    array.append(std::move(tree));
  }
  return text_of(array);
}

std::string servers_json(const Controller& controller, const config::DataplaneReport& report,
                         const config::FlowFilter& filter, TimePoint now) {
  Json::Value array(Json::arrayValue);
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    const config::ServiceReport* known = find_service(report, services[s].name);
    if (!wanted(filter.service, services[s].name)) continue;
    for (const ServerState& server : controller.servers(s)) {
      if (wanted(filter.server, server.config().name))
        array.append(server_tree(services[s].name, server, known, now));
    }
  }
  for (const config::ServiceReport& service : report.services) {
    if (!wanted(filter.service, service.name)) continue;
    for (const config::ServerReport& server : service.servers) {
      if (!server.draining || !wanted(filter.server, server.name)) continue;
      Json::Value tree = tree_of(config::to_json(server));
      tree["service"] = service.name;
      tree["status"] = "REMOVED";
      array.append(std::move(tree));
    }
  }
  return text_of(array);
}

std::string health_json(const Controller& controller, const config::FlowFilter& filter, TimePoint now) {
  Json::Value array(Json::arrayValue);
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    if (!wanted(filter.service, services[s].name)) continue;
    for (const ServerState& server : controller.servers(s)) {
      if (!wanted(filter.server, server.config().name)) continue;
      Json::Value& tree = array.append(Json::objectValue);
      tree["service"] = services[s].name;
      tree["name"] = server.config().name;
      tree["status"] = server.status();
      tree["last_change_ms"] = milliseconds_since(server.last_change(), now);
      Json::Value& check = tree["check"] = check_tree(server, now);
      if (!server.check().enabled()) continue;
      check["rise"] = Json::UInt(server.check().rise());
      check["fall"] = Json::UInt(server.check().fall());
      check["next_delay_ms"] = Json::UInt64(server.check_delay().count());
    }
  }
  return text_of(array);
}

std::string queue_json(const config::DataplaneReport& report, const config::FlowFilter& filter) {
  Json::Value array(Json::arrayValue);
  for (const config::ServiceReport& service : report.services) {
    if (!wanted(filter.service, service.name)) continue;
    Json::Value& tree = array.append(Json::objectValue);
    tree["name"] = service.name;
    tree["queue"] = tree_of(config::to_json(service.queue));
    Json::Value& servers = tree["servers"] = Json::Value(Json::arrayValue);
    for (const config::ServerReport& server : service.servers) {
      if (!wanted(filter.server, server.name)) continue;
      Json::Value& row = servers.append(Json::objectValue);
      row["name"] = server.name;
      row["maxconn"] = Json::UInt{server.maxconn};
      row["connections_current"] = Json::UInt64{server.counters.connections_current};
      row["queue"] = tree_of(config::to_json(server.queue));
    }
  }
  return text_of(array);
}

std::string names_json(const config::Config& config) {
  Json::Value array(Json::arrayValue);
  for (const config::Service& service : config.services) {
    Json::Value& tree = array.append(Json::objectValue);
    tree["name"] = service.name;
    Json::Value& servers = tree["servers"] = Json::Value(Json::arrayValue);
    for (const config::Server& server : service.servers) servers.append(server.name);
  }
  return text_of(array);
}

std::string info_json(const Controller& controller, const ProcessView& process,
                      const config::DataplaneReport* report) {
  Json::UInt64 servers = 0;
  Json::UInt64 servers_up = 0;
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
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
  tree["services"] = Json::UInt64{services.size()};
  tree["servers"] = servers;
  tree["servers_up"] = servers_up;
  tree["generation"]["wanted"] = Json::UInt64{controller.desired().generation};
  tree["generation"]["running"] =
      Json::UInt64{report != nullptr ? report->generation : controller.acknowledged()};
  Json::Value& data_plane = tree["data_plane"];
  data_plane["connected"] = process.data_plane_connected;
  data_plane["trouble"] = process.data_plane_trouble;
  if (report != nullptr) {
    data_plane["version"] = report->version;
    data_plane["pid"] = Json::UInt64{report->pid};
    data_plane["uptime_ms"] = Json::UInt64{report->uptime_ms};
    data_plane["hugepages"] = report->hugepages;
  }
  return text_of(tree);
}

}  // namespace sluice::cp
