#include "tools/sluice/show_tables.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <json/json.h>

#include "tools/sluice/table.h"
#include "tools/sluice/units.h"

namespace sluice::cli {
namespace {

constexpr Align kRight = Align::right;

const Json::Value& member(const Json::Value& object, std::string_view name) {
  static const Json::Value kNone;
  if (!object.isObject()) return kNone;
  const Json::Value* found = object.find(name.data(), name.data() + name.size());
  return found != nullptr ? *found : kNone;
}

std::string text(const Json::Value& object, std::string_view name) {
  const Json::Value& value = member(object, name);
  return value.isString() && !value.asString().empty() ? value.asString() : "-";
}

std::uint64_t number(const Json::Value& object, std::string_view name) {
  const Json::Value& value = member(object, name);
  return value.isUInt64() ? value.asUInt64() : 0;
}

std::string count(const Json::Value& object, std::string_view name) {
  return member(object, name).isUInt64() ? count_text(number(object, name)) : "-";
}

std::string bytes(const Json::Value& object, std::string_view name) {
  return member(object, name).isUInt64() ? bytes_text(number(object, name)) : "-";
}

std::string duration(const Json::Value& object, std::string_view name) {
  return member(object, name).isUInt64() ? duration_text(number(object, name)) : "-";
}

/// "7", and "7/250" where there is a limit.
std::string limited(const Json::Value& object, std::string_view name, const Json::Value& limits,
                    std::string_view limit) {
  const std::string now = count(object, name);
  return number(limits, limit) == 0 ? now : fmt::format("{}/{}", now, number(limits, limit));
}

/// New connections that limits by client refused.
std::string refused(const Json::Value& clients) {
  if (!clients.isObject()) return "-";
  return count_text(number(clients, "denied") + number(clients, "over_rate") +
                    number(clients, "over_maxconn"));
}

std::string services(const Json::Value& content) {
  Table table({{"SERVICE"},
               {"VIP"},
               {"PROTO"},
               {"BALANCE"},
               {"STATUS"},
               {"SERVERS", kRight},
               {"CONNS", kRight},
               {"WAITING", kRight},
               {"NEW", kRight},
               {"FAILED", kRight},
               {"REFUSED", kRight},
               {"FROM CLIENTS", kRight},
               {"TO CLIENTS", kRight}});
  for (const Json::Value& service : content) {
    const Json::Value& counters = member(service, "counters");
    table.add({text(service, "name"), text(service, "vip"), text(service, "protocol"),
               text(service, "balance"), text(service, "status"),
               fmt::format("{}/{}", number(service, "servers_active"), number(service, "servers_total")),
               limited(counters, "connections_current", service, "maxconn"),
               count(member(service, "queue"), "waiting"), count(counters, "connections_new"),
               count(counters, "connections_failed"), refused(member(service, "clients")),
               bytes(counters, "bytes_in"), bytes(counters, "bytes_out")});
  }
  return table.empty() ? "No services are configured, or none matches.\n" : table.to_string();
}

/// "L7STS 503 Service Unavailable", "L4OK", "none".
std::string result(const Json::Value& check) {
  if (!member(check, "status").isString()) return check.isObject() ? text(check, "type") : "-";
  std::string out = text(check, "status");
  const Json::Value& code = member(check, "code");
  if (code.isInt64()) out += fmt::format(" {}", code.asInt64());
  const std::string info = text(check, "info");
  if (info != "-") out += " " + info;
  return out;
}

/// "100"; "50/100" where the configured weight is another one; "13/100 12%" in a slow start.
std::string weight(const Json::Value& server) {
  std::string out = count(server, "weight");
  if (member(server, "configured_weight").isUInt64() &&
      number(server, "weight") != number(server, "configured_weight"))
    out += fmt::format("/{}", number(server, "configured_weight"));
  if (member(server, "throttle").isUInt64()) out += fmt::format(" {}%", number(server, "throttle"));
  return out;
}

/// "UP", "UP backup", "DRAIN".
std::string status(const Json::Value& server) {
  const Json::Value& backup = member(server, "backup");
  return text(server, "status") + (backup.isBool() && backup.asBool() ? " backup" : "");
}

std::string servers(const Json::Value& content) {
  Table table({{"SERVICE"},
               {"SERVER"},
               {"ADDRESS"},
               {"STATUS"},
               {"FOR", kRight},
               {"WEIGHT", kRight},
               {"CHECK"},
               {"CONNS", kRight},
               {"QUEUE", kRight},
               {"NEW", kRight},
               {"FAILED", kRight},
               {"REFUSED", kRight},
               {"SILENT", kRight},
               {"TO SERVER", kRight},
               {"FROM SERVER", kRight},
               {"NEXT HOP"}});
  for (const Json::Value& server : content) {
    const Json::Value& counters = member(server, "counters");
    const Json::Value& handshakes = member(server, "handshakes");
    const std::uint64_t refused = number(handshakes, "refused") + number(handshakes, "unreachable");
    table.add({text(server, "service"), text(server, "name"), text(server, "endpoint"), status(server),
               duration(server, "last_change_ms"), weight(server), result(member(server, "check")),
               limited(counters, "connections_current", server, "maxconn"),
               count(member(server, "queue"), "waiting"), count(counters, "connections_new"),
               count(counters, "connections_failed"),
               member(handshakes, "refused").isUInt64() ? count_text(refused) : "-",
               count(handshakes, "unanswered"), bytes(counters, "bytes_in"), bytes(counters, "bytes_out"),
               text(server, "next_hop")});
  }
  return table.empty() ? "No servers are configured, or none matches.\n" : table.to_string();
}

std::string flows(const Json::Value& content) {
  Table table({{"PROTO"},
               {"CLIENT"},
               {"VIP"},
               {"LOCAL"},
               {"SERVER"},
               {"STATE"},
               {"SERVICE"},
               {"NAME"},
               {"AGE", kRight},
               {"IDLE", kRight},
               {"EXPIRES IN", kRight},
               {"WORKER", kRight}});
  const Json::Value& list = member(content, "flows");
  for (const Json::Value& flow : list) {
    table.add({text(flow, "protocol"), text(flow, "client"), text(flow, "vip"), text(flow, "local"),
               text(flow, "real"), text(flow, "state"), text(flow, "service"), text(flow, "server"),
               duration(flow, "age_ms"), duration(flow, "idle_ms"), duration(flow, "expires_ms"),
               count(flow, "worker")});
  }
  const std::uint64_t total = number(content, "total");
  if (table.empty())
    return total == 0 ? "No flows.\n" : fmt::format("{} flows match; none is listed.\n", count_text(total));
  if (total <= list.size()) return table.to_string() + fmt::format("{} flows.\n", list.size());
  return table.to_string() +
         fmt::format("{} of {} flows; --limit lists more.\n", list.size(), count_text(total));
}

std::string ports(const Json::Value& content) {
  Table table({{"PORT"},
               {"DEVICE"},
               {"INTERFACE"},
               {"DRIVER"},
               {"LINK"},
               {"MAC"},
               {"MTU", kRight},
               {"QUEUES", kRight},
               {"RX", kRight},
               {"RX BYTES", kRight},
               {"TX", kRight},
               {"TX BYTES", kRight},
               {"MISSED", kRight},
               {"ERRORS", kRight},
               {"TO KERNEL", kRight},
               {"FROM KERNEL", kRight}});
  for (const Json::Value& port : content) {
    const std::uint64_t errors =
        number(port, "rx_errors") + number(port, "tx_errors") + number(port, "rx_nombuf");
    table.add({text(port, "name"), text(port, "device"), text(port, "interface"), text(port, "driver"),
               member(port, "link_up").isBool() && member(port, "link_up").asBool() ? "up" : "down",
               text(port, "mac"), std::to_string(number(port, "mtu")), count(port, "queues"),
               count(port, "rx_packets"), bytes(port, "rx_bytes"), count(port, "tx_packets"),
               bytes(port, "tx_bytes"), count(port, "rx_missed"), count_text(errors), count(port, "punted"),
               count(port, "from_twin")});
  }
  return table.empty() ? "No ports.\n" : table.to_string();
}

std::string drops(const Json::Value& content) {
  std::vector<const Json::Value*> happened;
  for (const Json::Value& drop : content) {
    if (number(drop, "packets") > 0) happened.push_back(&drop);
  }
  const auto packets = [](const Json::Value* drop) { return number(*drop, "packets"); };
  std::ranges::stable_sort(happened, std::ranges::greater(), packets);
  const std::size_t others = content.size() - happened.size();
  if (happened.empty())
    return fmt::format("Nothing was dropped. ({} reasons are counted; --json lists all.)\n", others);
  Table table({{"PACKETS", kRight}, {"REASON"}, {"MEANING"}});
  for (const Json::Value* drop : happened) {
    table.add({count(*drop, "packets"), text(*drop, "reason"), text(*drop, "description")});
  }
  return table.to_string() + fmt::format("{} other reasons did not occur; --json lists all.\n", others);
}

std::string workers(const Json::Value& content) {
  Table table({{"WORKER", kRight},
               {"CPU", kRight},
               {"PACKETS", kRight},
               {"HANDED OVER", kRight},
               {"FLOWS", kRight},
               {"OF", kRight},
               {"HALF-OPEN", kRight},
               {"OF", kRight},
               {"BUSY", kRight},
               {"GENERATION", kRight}});
  for (const Json::Value& worker : content) {
    table.add({std::to_string(number(worker, "id")), std::to_string(number(worker, "cpu")),
               count(worker, "packets"), count(worker, "handed_over"), count(worker, "flows"),
               count(worker, "flows_max"), count(worker, "half_open"), count(worker, "half_open_max"),
               percent_text(number(worker, "busy_cycles"), number(worker, "total_cycles")),
               std::to_string(number(worker, "generation"))});
  }
  return table.empty() ? "No workers.\n" : table.to_string();
}

/// "3/4": the counter, of rise + fall - 1.
std::string health_value(const Json::Value& check) {
  if (!member(check, "value").isUInt64()) return "-";
  return fmt::format("{}/{}", number(check, "value"), number(check, "rise") + number(check, "fall") - 1);
}

std::string health(const Json::Value& content) {
  Table table({{"SERVICE"},
               {"SERVER"},
               {"STATUS"},
               {"FOR", kRight},
               {"ADMIN"},
               {"CHECK"},
               {"LAST RESULT"},
               {"TOOK", kRight},
               {"AGO", kRight},
               {"NEXT IN", kRight},
               {"HEALTH", kRight},
               {"RISE", kRight},
               {"FALL", kRight},
               {"FAILED", kRight},
               {"DOWN", kRight},
               {"DOWNTIME", kRight}});
  const auto row = [&table](const Json::Value& server, const Json::Value& check, bool agent) {
    const auto once = [agent](std::string cell) { return agent ? std::string() : std::move(cell); };
    table.add({once(text(server, "service")), once(text(server, "name")), once(status(server)),
               once(duration(server, "last_change_ms")), once(text(server, "admin")), text(check, "type"),
               member(check, "status").isString() ? result(check) : "-", duration(check, "duration_ms"),
               duration(check, "age_ms"), duration(check, "next_ms"), health_value(check),
               count(check, "rise"), count(check, "fall"), count(check, "failed"),
               once(count(server, "times_down")), once(duration(server, "downtime_ms"))});
  };
  for (const Json::Value& server : content) {
    row(server, member(server, "check"), false);
    if (member(server, "agent").isObject()) row(server, member(server, "agent"), true);
  }
  return table.empty() ? "No servers are configured, or none matches.\n" : table.to_string();
}

std::string queue(const Json::Value& content) {
  Table table({{"SERVICE"},
               {"SERVER"},
               {"CONNS", kRight},
               {"MAXCONN", kRight},
               {"WAITING", kRight},
               {"MAXQUEUE", kRight},
               {"OLDEST", kRight},
               {"ENTERED", kRight},
               {"TIMED OUT", kRight}});
  const auto limit = [](const Json::Value& place, std::string_view name) {
    return number(place, name) == 0 ? std::string("-") : count(place, name);
  };
  const auto row = [&](std::string service, std::string server, const Json::Value& place) {
    const Json::Value& queue = member(place, "queue");
    table.add({std::move(service), std::move(server), count(place, "connections_current"),
               limit(place, "maxconn"), count(queue, "waiting"), limit(place, "maxqueue"),
               number(queue, "waiting") == 0 ? "-" : duration(queue, "oldest_ms"), count(queue, "entered"),
               count(queue, "timed_out")});
  };
  for (const Json::Value& service : content) {
    row(text(service, "name"), "(all)", service);
    for (const Json::Value& server : member(service, "servers"))
      row(text(service, "name"), text(server, "name"), server);
  }
  return table.empty() ? "No services are configured, or none matches.\n" : table.to_string();
}

/// A service and its servers a line.
std::string names(const Json::Value& content) {
  std::string out;
  for (const Json::Value& service : content) {
    out += text(service, "name");
    for (const Json::Value& server : member(service, "servers"))
      out += " " + (server.isString() ? server.asString() : std::string("-"));
    out += "\n";
  }
  return out;
}

std::string info(const Json::Value& content) {
  const Json::Value& data_plane = member(content, "data_plane");
  const Json::Value& generation = member(content, "generation");
  const auto yes = [](const Json::Value& value) { return value.isBool() && value.asBool(); };
  std::string out;
  const auto line = [&out](std::string_view name, std::string_view value) {
    out += fmt::format("{:<15}{}\n", name, value);
  };
  line("version", text(content, "version"));
  line("configuration", text(content, "config_file"));
  line("services", count(content, "services"));
  line("servers", fmt::format("{}, {} of them up", count(content, "servers"), count(content, "servers_up")));
  line("control plane",
       fmt::format("pid {}, up for {}", number(content, "pid"), duration(content, "uptime_ms")));
  if (member(data_plane, "pid").isUInt64()) {
    line("data plane", fmt::format("pid {}, up for {}, version {}", number(data_plane, "pid"),
                                   duration(data_plane, "uptime_ms"), text(data_plane, "version")));
    line("hugepages", yes(member(data_plane, "hugepages")) ? "yes" : "no");
    line("connections", limited(data_plane, "connections_current", content, "maxconn"));
    line("waiting", count(data_plane, "waiting"));
  } else {
    line("data plane", "does not answer");
  }
  const Json::Value& checks = member(content, "checks");
  const Json::Value& late = member(checks, "late_us");
  if (number(checks, "begun") > 0) {
    const auto ms = [&late](const char* name) { return static_cast<double>(number(late, name)) / 1000; };
    line("checks",
         fmt::format("{} in {}; late by {:.1f} ms (median), {:.1f} ms (p99), {:.1f} ms (most)",
                     number(checks, "begun"), duration(checks, "over_ms"), ms("p50"), ms("p99"), ms("max")));
  }
  line("generation",
       fmt::format("{} wanted, {} running", number(generation, "wanted"), number(generation, "running")));
  if (text(data_plane, "trouble") != "-") line("trouble", text(data_plane, "trouble"));
  return out;
}

}  // namespace

std::string table_text(config::ShowWhat what, const Json::Value& content) {
  switch (what) {
    case config::ShowWhat::services: return services(content);
    case config::ShowWhat::servers: return servers(content);
    case config::ShowWhat::flows: return flows(content);
    case config::ShowWhat::ports: return ports(content);
    case config::ShowWhat::drops: return drops(content);
    case config::ShowWhat::workers: return workers(content);
    case config::ShowWhat::health: return health(content);
    case config::ShowWhat::queue: return queue(content);
    case config::ShowWhat::names: return names(content);
    case config::ShowWhat::info: return info(content);
    case config::ShowWhat::metrics: break;  // no table
  }
  return {};
}

}  // namespace sluice::cli
