#include "config/build.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include <json/json.h>

#include "config/build_check.h"
#include "config/build_clients.h"
#include "config/build_server.h"
#include "config/build_vrrp.h"
#include "config/cpu_list.h"
#include "config/names.h"
#include "config/section.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

/// What a service starts from.
struct ServiceDraft {
  Service service;
  ServerDraft server;
  ClientsDraft clients;
};

class Builder {
 public:
  explicit Builder(ProblemList& problems, NamedFiles named_files) : reader_(problems, named_files) {}

  Config build(const Section& root) {
    Config config;
    build_global(root.inner("global"), config.global);
    build_dataplane(root.inner("dataplane"), config.dataplane);
    for (const Section& port : root.elements("ports")) config.ports.push_back(build_port(port));
    ServiceDraft defaults;
    const Section section = root.inner("defaults");
    read_common(section, defaults);
    for (const Section& service : root.elements("services")) {
      config.services.push_back(build_service(service, defaults));
    }
    all_clients_.check(section, reader_);
    for (const Section& instance : root.elements("vrrp")) {
      config.vrrp.push_back(build_vrrp(instance, reader_));
    }
    return config;
  }

 private:
  void read_source_ports(const Section& section, PortRange& out) {
    const auto word = SectionReader::text(section, "source_ports");
    if (!word) return;
    const std::string path = pointer(section.path, "source_ports");
    PortRange range;
    const char* const end = word->data() + word->size();
    const auto [dash, bad_first] = std::from_chars(word->data(), end, range.first);
    const bool has_dash = bad_first == std::errc() && dash != end && *dash == '-';
    const auto [rest, bad_last] = std::from_chars(has_dash ? dash + 1 : end, end, range.last);
    if (!has_dash || bad_last != std::errc() || rest != end || range.first == 0) {
      return reader_.refuse(
          path, in_quotes(*word) + " is not a range of ports within 1-65535, such as \"1024-65535\"");
    }
    if (range.first > range.last) {
      const std::string turned = std::to_string(range.last) + "-" + std::to_string(range.first);
      return reader_.refuse(
          path, in_quotes(*word) + " ends before it begins (did you mean " + in_quotes(turned) + "?)");
    }
    out = range;
  }

  void read_timeouts(const Section& section, Timeouts& out) {
    reader_.read_duration(section, "connect", out.connect);
    reader_.read_duration(section, "queue", out.queue);
    reader_.read_duration(section, "client", out.client);
    reader_.read_duration(section, "server", out.server);
    reader_.read_duration(section, "tunnel", out.tunnel);
    reader_.read_duration(section, "client_fin", out.client_fin);
    reader_.read_duration(section, "server_fin", out.server_fin);
    reader_.read_duration(section, "udp", out.udp);
  }

  static void read_mss(const Section& section, Mss& out) {
    SectionReader::read_number(section, "mss", out.limit);
    if (const auto word = SectionReader::text(section, "mss")) {
      if (const auto mss = Mss::parse(*word)) out = *mss;
    }
  }

  /// What "defaults" and a service have in common.
  void read_common(const Section& section, ServiceDraft& out) {
    SectionReader::read_name_of(section, "mode", out.service.mode);
    SectionReader::read_name_of(section, "balance", out.service.balance);
    SectionReader::read_name_of(section, "hash_key", out.service.hash_key);
    SectionReader::read_name_of(section, "idle_refresh", out.service.idle_refresh);
    SectionReader::read_name_of(section, "syn_cookies", out.service.syn_cookies);
    SectionReader::read_name_of(section, "no_server", out.service.no_server);
    read_clients(section.inner("clients"), out.clients, reader_);
    SectionReader::read_number(section, "retries", out.service.retries);
    SectionReader::read_flag(section, "redispatch", out.service.redispatch);
    read_mss(section, out.service.mss);
    SectionReader::read_flag(section, "allbackups", out.service.allbackups);
    read_timeouts(section.inner("timeouts"), out.service.timeouts);
    read_source_ports(section, out.service.source_ports);
    read_check(section.inner("check"), out.server.check, reader_);
    read_server_settings(section.inner("server"), out.server, reader_);
  }

  Service build_service(const Section& section, const ServiceDraft& defaults) {
    ServiceDraft own = defaults;
    read_common(section, own);
    Service service = std::move(own.service);
    read_object_name(section, service.name, reader_);
    const Section vip = section.inner("vip");
    reader_.read_address(vip.object, vip.path, service.vip.address);
    SectionReader::read_number(section, "port", service.vip.port);
    SectionReader::read_name_of(section, "protocol", service.protocol);
    SectionReader::read_number(section, "maxconn", service.maxconn);
    service.clients = finish_clients(own.clients, section, service.vip.address, reader_);
    all_clients_.add(service.clients, section);
    for (const Section& local : section.elements("local_addresses")) {
      reader_.read_address(local.object, local.path, service.local_addresses.emplace_back());
    }
    if (service.local_addresses.empty()) service.local_addresses.push_back(service.vip.address);
    for (const Section& element : section.elements("servers")) {
      service.servers.push_back(build_server(element, section, service.vip.port, own.server, reader_));
    }
    check_server_settings(section, own.server, service.servers, reader_);
    return service;
  }

  Port build_port(const Section& section) {
    Port port;
    read_object_name(section, port.name, reader_);
    read_device(section, port);
    port.twin = port.kind != DeviceKind::af_xdp;
    const Section twin = section.inner("twin");
    if (twin.object.isBool()) port.twin = twin.object.asBool();
    if (twin.object.isObject()) port.twin = true;
    if (port.twin) port.twin_name = SectionReader::text(twin, "name").value_or(port.name);
    SectionReader::read_number(section, "queues", port.queues);
    return port;
  }

  void read_device(const Section& section, Port& port) {
    const auto word = SectionReader::text(section, "device");
    if (!word) return;
    const std::string path = pointer(section.path, "device");
    const auto colon = word->find(':');
    const std::string kind = word->substr(0, colon);
    if (const auto known = named<DeviceKind>(kind)) {
      port.kind = *known;
    } else {
      std::vector<std::string_view> kinds;
      for (const auto& [value, name] : kNames<DeviceKind>) kinds.push_back(name);
      return reader_.refuse(path, in_quotes(*word) + ": " + in_quotes(kind) +
                                      " is no kind of device; allowed: " + all_names<DeviceKind>() +
                                      did_you_mean(kind, kinds));
    }
    port.argument = colon == std::string::npos ? "" : word->substr(colon + 1);
    const bool interface = port.kind == DeviceKind::af_xdp || port.kind == DeviceKind::af_packet;
    if (port.argument.empty()) {
      reader_.refuse(path, in_quotes(*word) + " does not say which" +
                               (interface ? " interface: write \"" + kind + ":INTERFACE\""
                                          : ": write \"" + kind + ":...\""));
    }
  }

  void build_global(const Section& section, Global& out) {
    SectionReader::read_number(section, "maxconn", out.maxconn);
    reader_.read_duration(section, "hard_stop_after", out.hard_stop_after);
    SectionReader::read_number(section, "spread_checks", out.spread_checks);
  }

  void build_dataplane(const Section& section, Dataplane& out) {
    SectionReader::read_number(section, "workers", out.workers);
    if (const auto cpus = SectionReader::text(section, "cpus")) {
      out.cpus = *cpus;
      const auto list = parse_cpu_list(*cpus);
      if (!list) reader_.refuse(pointer(section.path, "cpus"), list.error().message);
    }
    SectionReader::read_name_of(section, "hugepages", out.hugepages);
    SectionReader::read_number(section, "memory_mb", out.memory_mb);
    SectionReader::read_number(section, "flows_per_worker", out.flows_per_worker);
    out.half_open_per_worker = std::min(out.half_open_per_worker, out.flows_per_worker);
    SectionReader::read_number(section, "half_open_per_worker", out.half_open_per_worker);
    SectionReader::read_name_of(section, "syn_overflow", out.syn_overflow);
    out.syn_backlog = std::min(out.syn_backlog, out.half_open_per_worker / 2);
    SectionReader::read_number(section, "syn_backlog", out.syn_backlog);
    SectionReader::read_number(section, "rst_per_second", out.rst_per_second);
    SectionReader::read_number(section, "icmp_per_second", out.icmp_per_second);
    SectionReader::read_name_of(section, "idle", out.idle);
  }

  SectionReader reader_;
  AllClients all_clients_;
};

}  // namespace

Config build_config(const Json::Value& document, ProblemList& problems, NamedFiles named_files) {
  return Builder(problems, named_files).build({document, ""});
}

}  // namespace sluice::config
