#include "cp/show.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <json/json.h>

#include "config/names.h"
#include "config/wire.h"
#include "cp/json_text.h"
#include "cp/server_reports.h"
#include "cp/server_view.h"

namespace sluice::cp {
namespace {

bool wanted(const std::optional<std::string>& filter, const std::string& name) {
  return !filter || *filter == name || *filter == "*";
}

/// A server that is in maintenance is not missed.
std::string_view service_status(const Controller& controller, std::size_t service) {
  if (controller.usable(service) == Usable{}) return "DOWN";
  const auto is_missed = [](const ServerState& server) {
    return !server.is_up() && !server.in_maintenance();
  };
  return std::ranges::any_of(controller.servers(service), is_missed) ? "DEGRADED" : "UP";
}

}  // namespace

std::string services_json(const Controller& controller, const config::DataplaneReport& report,
                          const config::FlowFilter& filter) {
  JsonArray array;
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    const config::Service& service = services[s];
    if (!wanted(filter.service, service.name)) continue;
    const Usable usable = controller.usable(s);
    const config::ServiceReport* known = find_report(report, service.name);
    const config::ServiceReport shown = known != nullptr ? *known : config::ServiceReport{};
    Json::Value tree(Json::objectValue);
    tree["name"] = service.name;
    tree["vip"] = service.vip.to_string();
    tree["protocol"] = std::string(config::name_of(service.protocol));
    tree["mode"] = std::string(config::name_of(service.mode));
    tree["balance"] = std::string(config::name_of(service.balance));
    tree["status"] = std::string(service_status(controller, s));
    tree["servers_total"] = Json::UInt64{service.servers.size()};
    tree["servers_active"] = Json::UInt64{usable.active > 0 ? usable.active : usable.backup};
    tree["servers_backup"] = Json::UInt64{usable.backup};
    tree["maxconn"] = Json::UInt{service.maxconn};
    tree["counters"] = tree_of(config::to_json(shown.counters));
    tree["handshakes"] = tree_of(config::to_json(shown.handshakes));
    tree["queue"] = tree_of(config::to_json(shown.queue));
    tree["clients"] = tree_of(config::to_json(shown.clients));
    array.add(tree);
  }
  return array.text();
}

std::string servers_json(const Controller& controller, const config::DataplaneReport& report,
                         const config::FlowFilter& filter, TimePoint now) {
  JsonArray array;
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    if (!wanted(filter.service, services[s].name)) continue;
    const ServerReports reports(find_report(report, services[s].name));
    for (const ServerState& server : controller.servers(s)) {
      if (!wanted(filter.server, server.config().name)) continue;
      config::ServerReport shown = reports.of(server.config());
      shown.weight = server.shown_weight();
      shown.maxconn = server.effective_maxconn();
      Json::Value more = state_view(server, now);
      more["service"] = services[s].name;
      more["check"] = check_view(server, now);
      array.add_extended(config::to_json(shown), more);
    }
  }
  for (const config::ServiceReport& service : report.services) {
    if (!wanted(filter.service, service.name)) continue;
    for (const config::ServerReport& server : service.servers) {
      if (!server.draining || !wanted(filter.server, server.name)) continue;
      Json::Value more(Json::objectValue);
      more["service"] = service.name;
      more["status"] = "REMOVED";
      array.add_extended(config::to_json(server), more);
    }
  }
  return array.text();
}

std::string health_json(const Controller& controller, const config::FlowFilter& filter, TimePoint now) {
  JsonArray array;
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    if (!wanted(filter.service, services[s].name)) continue;
    for (const ServerState& server : controller.servers(s)) {
      if (!wanted(filter.server, server.config().name)) continue;
      Json::Value tree = state_view(server, now);
      tree["service"] = services[s].name;
      tree["name"] = server.config().name;
      tree["endpoint"] = server.config().endpoint.to_string();
      Json::Value& check = tree["check"] = check_view(server, now);
      if (server.wants_checks()) add_counter(check, server.check(), server.check_delay(), now);
      if (server.wants_agent()) tree["agent"] = agent_view(server, now);
      array.add(tree);
    }
  }
  return array.text();
}

std::string queue_json(const Controller& controller, const config::DataplaneReport& report,
                       const config::FlowFilter& filter) {
  JsonArray array;
  for (const config::Service& service : controller.config().services) {
    if (!wanted(filter.service, service.name)) continue;
    const config::ServiceReport* known = find_report(report, service.name);
    const config::ServiceReport shown = known != nullptr ? *known : config::ServiceReport{};
    const ServerReports reports(known);
    Json::Value tree(Json::objectValue);
    tree["name"] = service.name;
    tree["maxconn"] = Json::UInt{service.maxconn};
    tree["timeout_ms"] = Json::UInt64(service.timeouts.queue.value_or(service.timeouts.connect).count());
    tree["connections_current"] = Json::UInt64{shown.counters.connections_current};
    tree["queue"] = tree_of(config::to_json(shown.queue));
    Json::Value& servers = tree["servers"] = Json::Value(Json::arrayValue);
    for (const config::Server& server : service.servers) {
      if (!wanted(filter.server, server.name)) continue;
      const config::ServerReport its = reports.of(server);
      Json::Value& row = servers.append(Json::objectValue);
      row["name"] = server.name;
      row["connections_current"] = Json::UInt64{its.counters.connections_current};
      row["maxconn"] = Json::UInt{its.maxconn};
      row["maxqueue"] = Json::UInt{server.maxqueue};
      row["queue"] = tree_of(config::to_json(its.queue));
    }
    array.add(tree);
  }
  return array.text();
}

}  // namespace sluice::cp
