#include "config/build.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <json/json.h>

#include "config/cpu_list.h"
#include "config/duration.h"
#include "config/names.h"
#include "config/source_map.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

/// One object of the document and the way to it.
struct Section {
  const Json::Value& object;
  std::string path;

  /// The member when it is there. Works on whatever stands in the object's place.
  [[nodiscard]] const Json::Value* find(std::string_view key) const {
    return object.isObject() ? object.find(key.data(), key.data() + key.size()) : nullptr;
  }
  [[nodiscard]] Section inner(std::string_view key) const {
    const Json::Value* member = find(key);
    return {member != nullptr ? *member : Json::Value::nullSingleton(), pointer(path, key)};
  }
  [[nodiscard]] std::vector<Section> elements(std::string_view key) const {
    std::vector<Section> all;
    const Section array = inner(key);
    if (!array.object.isArray()) return all;
    for (Json::ArrayIndex i = 0; i < array.object.size(); ++i) {
      all.push_back({array.object[i], pointer(array.path, i)});
    }
    return all;
  }
};

/// What a service starts from.
struct ServiceDefaults {
  Service service;
  Check check;
  std::uint16_t weight = Server{}.weight;
};

class Builder {
 public:
  explicit Builder(ProblemList& problems) : problems_(problems) {}

  Config build(const Section& root) {
    Config config;
    build_dataplane(root.inner("dataplane"), config.dataplane);
    for (const Section& port : root.elements("ports")) config.ports.push_back(build_port(port));
    ServiceDefaults defaults;
    const Section section = root.inner("defaults");
    read_common(section, defaults);
    for (const Section& service : root.elements("services")) {
      config.services.push_back(build_service(service, defaults));
    }
    return config;
  }

 private:
  void refuse(const std::string& path, std::string text) {
    problems_.add({.path = path, .text = std::move(text)});
  }

  [[nodiscard]] static std::optional<std::string> text(const Section& section, std::string_view key) {
    const Json::Value* member = section.find(key);
    if (member == nullptr || !member->isString()) return std::nullopt;
    return member->asString();
  }

  template <typename T>
  static void read_number(const Section& section, std::string_view key, T& out) {
    const Json::Value* member = section.find(key);
    if (member == nullptr || !member->isUInt64()) return;
    if (member->asUInt64() <= std::numeric_limits<T>::max()) out = static_cast<T>(member->asUInt64());
  }

  template <Named E>
  static void read_name_of(const Section& section, std::string_view key, E& out) {
    const auto word = text(section, key);
    if (!word) return;
    if (const auto value = named<E>(*word)) out = *value;
  }

  template <typename Out>
  void read_duration(const Section& section, std::string_view key, Out& out) {
    const auto word = text(section, key);
    if (!word) return;
    const auto duration = parse_duration(*word);
    if (duration) {
      out = *duration;
    } else {
      refuse(pointer(section.path, key), duration.error().message);
    }
  }

  void read_address(const Json::Value& value, const std::string& path, base::IpAddress& out) {
    if (!value.isString()) return;
    const auto address = base::IpAddress::parse(value.asString());
    if (address) {
      out = *address;
    } else {
      refuse(path, in_quotes(value.asString()) + " is not an IPv4 or IPv6 address");
    }
  }

  /// Names go into logs, metrics and command lines, so their characters are those that HAProxy allows.
  void read_object_name(const Section& section, std::string& out) {
    out = text(section, "name").value_or("");
    const bool good = std::ranges::all_of(out, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("-_.:").find(c) != std::string_view::npos;
    });
    if (!good) {
      refuse(
          pointer(section.path, "name"),
          in_quotes(out) + " has a character that names do not have (allowed: letters, digits and - _ . :)");
    }
  }

  void read_source_ports(const Section& section, PortRange& out) {
    const auto word = text(section, "source_ports");
    if (!word) return;
    const std::string path = pointer(section.path, "source_ports");
    PortRange range;
    const char* const end = word->data() + word->size();
    const auto [dash, bad_first] = std::from_chars(word->data(), end, range.first);
    const bool has_dash = bad_first == std::errc() && dash != end && *dash == '-';
    const auto [rest, bad_last] = std::from_chars(has_dash ? dash + 1 : end, end, range.last);
    if (!has_dash || bad_last != std::errc() || rest != end || range.first == 0) {
      return refuse(path,
                    in_quotes(*word) + " is not a range of ports within 1-65535, such as \"1024-65535\"");
    }
    if (range.first > range.last) {
      const std::string turned = std::to_string(range.last) + "-" + std::to_string(range.first);
      return refuse(path,
                    in_quotes(*word) + " ends before it begins (did you mean " + in_quotes(turned) + "?)");
    }
    out = range;
  }

  void read_timeouts(const Section& section, Timeouts& out) {
    read_duration(section, "connect", out.connect);
    read_duration(section, "client", out.client);
    read_duration(section, "server", out.server);
    read_duration(section, "udp", out.udp);
  }

  void read_check(const Section& section, Check& out) {
    read_name_of(section, "type", out.type);
    read_duration(section, "interval", out.interval);
    read_duration(section, "down_interval", out.down_interval);
    read_duration(section, "fast_interval", out.fast_interval);
    read_duration(section, "timeout", out.timeout);
    read_number(section, "rise", out.rise);
    read_number(section, "fall", out.fall);
  }

  /// What "defaults" and a service have in common.
  void read_common(const Section& section, ServiceDefaults& out) {
    read_name_of(section, "mode", out.service.mode);
    read_name_of(section, "balance", out.service.balance);
    read_name_of(section, "hash_key", out.service.hash_key);
    read_timeouts(section.inner("timeouts"), out.service.timeouts);
    read_source_ports(section, out.service.source_ports);
    read_check(section.inner("check"), out.check);
    read_number(section.inner("server"), "weight", out.weight);
  }

  Service build_service(const Section& section, const ServiceDefaults& defaults) {
    ServiceDefaults own = defaults;
    read_common(section, own);
    Service service = std::move(own.service);
    read_object_name(section, service.name);
    const Section vip = section.inner("vip");
    read_address(vip.object, vip.path, service.vip.address);
    read_number(section, "port", service.vip.port);
    read_name_of(section, "protocol", service.protocol);
    for (const Section& local : section.elements("local_addresses")) {
      read_address(local.object, local.path, service.local_addresses.emplace_back());
    }
    if (service.local_addresses.empty()) service.local_addresses.push_back(service.vip.address);
    for (const Section& element : section.elements("servers")) {
      Server server;
      server.weight = own.weight;
      server.check = own.check;
      server.endpoint.port = service.vip.port;
      read_object_name(element, server.name);
      const Section address = element.inner("address");
      read_address(address.object, address.path, server.endpoint.address);
      read_number(element, "port", server.endpoint.port);
      read_number(element, "weight", server.weight);
      read_check(element.inner("check"), server.check);
      service.servers.push_back(std::move(server));
    }
    return service;
  }

  Port build_port(const Section& section) {
    Port port;
    read_object_name(section, port.name);
    read_device(section, port);
    port.twin = port.kind != DeviceKind::af_xdp;
    const Section twin = section.inner("twin");
    if (twin.object.isBool()) port.twin = twin.object.asBool();
    if (twin.object.isObject()) port.twin = true;
    if (port.twin) port.twin_name = text(twin, "name").value_or(port.name);
    read_number(section, "queues", port.queues);
    return port;
  }

  void read_device(const Section& section, Port& port) {
    const auto word = text(section, "device");
    if (!word) return;
    const std::string path = pointer(section.path, "device");
    const auto colon = word->find(':');
    const std::string kind = word->substr(0, colon);
    if (const auto known = named<DeviceKind>(kind)) {
      port.kind = *known;
    } else {
      std::vector<std::string_view> kinds;
      for (const auto& [value, name] : kNames<DeviceKind>) kinds.push_back(name);
      return refuse(path, in_quotes(*word) + ": " + in_quotes(kind) + " is no kind of device; allowed: " +
                              all_names<DeviceKind>() + did_you_mean(kind, kinds));
    }
    port.argument = colon == std::string::npos ? "" : word->substr(colon + 1);
    const bool interface = port.kind == DeviceKind::af_xdp || port.kind == DeviceKind::af_packet;
    if (port.argument.empty()) {
      refuse(path, in_quotes(*word) + " does not say which" +
                       (interface ? " interface: write \"" + kind + ":INTERFACE\""
                                  : ": write \"" + kind + ":...\""));
    }
  }

  void build_dataplane(const Section& section, Dataplane& out) {
    read_number(section, "workers", out.workers);
    if (const auto cpus = text(section, "cpus")) {
      out.cpus = *cpus;
      const auto list = parse_cpu_list(*cpus);
      if (!list) refuse(pointer(section.path, "cpus"), list.error().message);
    }
    read_name_of(section, "hugepages", out.hugepages);
    read_number(section, "memory_mb", out.memory_mb);
    read_number(section, "flows_per_worker", out.flows_per_worker);
    out.half_open_per_worker = std::min(out.half_open_per_worker, out.flows_per_worker);
    read_number(section, "half_open_per_worker", out.half_open_per_worker);
    read_name_of(section, "syn_overflow", out.syn_overflow);
    read_number(section, "rst_per_second", out.rst_per_second);
    read_number(section, "icmp_per_second", out.icmp_per_second);
    read_name_of(section, "idle", out.idle);
  }

  ProblemList& problems_;
};

}  // namespace

Config build_config(const Json::Value& document, ProblemList& problems) {
  return Builder(problems).build({document, ""});
}

}  // namespace sluice::config
