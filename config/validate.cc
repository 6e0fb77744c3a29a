#include "config/validate.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "config/host_address.h"
#include "config/interface_name.h"
#include "config/names.h"
#include "config/source_map.h"
#include "config/suggest.h"
#include "config/validate_vrrp.h"

namespace sluice::config {
namespace {

using base::Endpoint;
using base::IpAddress;

bool is_interface(const Port& port) {
  return port.kind == DeviceKind::af_xdp || port.kind == DeviceKind::af_packet;
}

/// [domain:]bus:device.function in hexadecimal digits, then perhaps options after a comma.
bool is_pci_device(std::string_view text) {
  text = text.substr(0, text.find(','));
  const auto number = [&text](std::size_t least, std::size_t most) {
    std::size_t digits = 0;
    while (digits < text.size() && std::isxdigit(static_cast<unsigned char>(text[digits])) != 0) ++digits;
    text.remove_prefix(digits);
    return digits >= least && digits <= most;
  };
  const auto sign = [&text](char expected) {
    const bool there = text.starts_with(expected);
    if (there) text.remove_prefix(1);
    return there;
  };
  if (std::ranges::count(text, ':') == 2 && !(number(1, 8) && sign(':'))) return false;
  if (!(number(1, 2) && sign(':') && number(1, 2) && sign('.'))) return false;
  return text.size() == 1 && text.front() >= '0' && text.front() <= '7';
}

class Rules {
 public:
  Rules(const Config& config, ProblemList& problems) : config_(config), problems_(problems) {}

  void check() {
    if (config_.ports.empty()) refuse("/ports", "is empty: at least one is needed");
    if (config_.dataplane.half_open_per_worker > config_.dataplane.flows_per_worker) {
      problems_.add({.path = "/dataplane/half_open_per_worker",
                     .text = std::to_string(config_.dataplane.half_open_per_worker) +
                             " is more than flows_per_worker, of which they are a part (" +
                             std::to_string(config_.dataplane.flows_per_worker) + ")",
                     .depends = {"/dataplane/flows_per_worker"}});
    }
    if (config_.dataplane.syn_backlog >= config_.dataplane.half_open_per_worker) {
      problems_.add({.path = "/dataplane/syn_backlog",
                     .text = std::to_string(config_.dataplane.syn_backlog) +
                             " is never exceeded by half_open_per_worker (" +
                             std::to_string(config_.dataplane.half_open_per_worker) +
                             "): choose less, or \"syn_cookies\": \"off\"",
                     .depends = {"/dataplane/half_open_per_worker"}});
    }
    for (std::size_t i = 0; i < config_.ports.size(); ++i) check_port(config_.ports[i], pointer("/ports", i));
    for (std::size_t i = 0; i < config_.services.size(); ++i) vips_by_service(i);
    for (std::size_t i = 0; i < config_.services.size(); ++i) {
      check_service(config_.services[i], pointer("/services", i));
    }
  }

 private:
  void refuse(std::string path, std::string text, std::vector<std::string> depends = {}) {
    problems_.add({.path = std::move(path), .text = std::move(text), .depends = std::move(depends)});
  }

  void check_port(const Port& port, const std::string& path) {
    const std::string device = path + "/device";
    const std::string name = path + "/name";
    if (const auto [first, is_new] = port_names_.emplace(port.name, path); !is_new) {
      refuse(name, in_quotes(port.name) + " is the name of another port already", {first->second + "/name"});
    }
    if (is_interface(port)) {
      if (auto fault = interface_fault(port.argument); !fault.empty()) refuse(device, std::move(fault));
    }
    if (port.kind == DeviceKind::pci && !is_pci_device(port.argument)) {
      refuse(device, in_quotes(device_text(port)) +
                         " does not hold the address of a PCI device, such as \"pci:0000:01:00.0\"");
    }
    const std::string identity = is_interface(port) ? "interface " + port.argument : device_text(port);
    if (const auto [first, is_new] = devices_.emplace(identity, path); !is_new) {
      refuse(device, identity + " belongs to another port already", {first->second + "/device"});
    }
    check_twin(port, path);
  }

  void check_twin(const Port& port, const std::string& path) {
    if (!port.twin) return;
    const std::string twin = path + "/twin";
    if (port.kind == DeviceKind::af_xdp) {
      return refuse(
          twin, "a port over af_xdp has none: its interface itself stays with the kernel; leave the key out",
          {path + "/device"});
    }
    // An implied name is the port's, and that is where the user can change it.
    const std::string where = port.twin_name == port.name ? path + "/name" : twin + "/name";
    if (auto fault = interface_fault(port.twin_name); !fault.empty()) {
      const bool implied = port.twin_name == port.name;
      return refuse(where,
                    std::move(fault) + (implied ? "; the port's twin would be named so: shorten it or give "
                                                  "\"twin\": {\"name\": ...}"
                                                : ""),
                    {path + "/device"});
    }
    if (const auto [first, is_new] = twins_.emplace(port.twin_name, path); !is_new) {
      refuse(where, in_quotes(port.twin_name) + " is the name of another port's twin already",
             {first->second + "/name", first->second + "/twin", path + "/device"});
    }
    for (std::size_t i = 0; i < config_.ports.size(); ++i) {
      const Port& other = config_.ports[i];
      if (!is_interface(other) || other.argument != port.twin_name) continue;
      refuse(where,
             in_quotes(port.twin_name) +
                 " is the interface of a port's device, its twin needs another name: give "
                 "\"twin\": {\"name\": ...}",
             {pointer("/ports", i) + "/device", path + "/device"});
    }
  }

  using VipKey = std::tuple<Protocol, Endpoint>;

  void vips_by_service(std::size_t index) {
    const Service& service = config_.services[index];
    const std::string path = pointer("/services", index);
    const auto [first, is_new] = vips_.emplace(VipKey{service.protocol, service.vip}, index);
    if (is_new) return;
    const Service& other = config_.services[first->second];
    const std::string other_path = pointer("/services", first->second);
    refuse(path + "/vip",
           service.vip.to_string() + " over " + std::string(name_of(service.protocol)) +
               " is served by service " + in_quotes(other.name) + " already",
           {path + "/port", path + "/protocol", other_path + "/vip", other_path + "/port",
            other_path + "/protocol"});
  }

  void check_service(const Service& service, const std::string& path) {
    if (const auto [first, is_new] = service_names_.emplace(service.name, path); !is_new) {
      refuse(path + "/name", in_quotes(service.name) + " is the name of another service already",
             {first->second + "/name"});
    }
    const IpAddress& vip = service.vip.address;
    check_host(vip, path + "/vip");
    if (vip.is_loopback()) {
      refuse(path + "/vip", vip.to_string() + " is a loopback address: no client can reach it");
    }
    check_local_addresses(service, path);
    if (service.source_ports.size() < config_.dataplane.workers) {
      refuse(path + "/source_ports",
             std::to_string(service.source_ports.first) + "-" + std::to_string(service.source_ports.last) +
                 " holds fewer ports than there are workers (" + std::to_string(config_.dataplane.workers) +
                 ")",
             {"/dataplane/workers", "/defaults/source_ports"});
    }
    check_servers(service, path);
  }

  void check_host(const IpAddress& address, const std::string& path) {
    if (const auto fault = not_a_host(address); !fault.empty()) {
      refuse(path, address.to_string() + " " + std::string(fault));
    }
  }

  void check_local_addresses(const Service& service, const std::string& path) {
    std::map<IpAddress, std::string> seen;
    for (std::size_t i = 0; i < service.local_addresses.size(); ++i) {
      const IpAddress& local = service.local_addresses[i];
      check_source_ports(local, service, path);
      if (local == service.vip.address && service.local_addresses.size() == 1) continue;  // the default
      const std::string where = pointer(path + "/local_addresses", i);
      check_host(local, where);
      if (local.is_loopback()) {
        refuse(where, local.to_string() + " is a loopback address: no server could answer to it");
      }
      check_family(local, where, service, path);
      if (const auto [first, is_new] = seen.emplace(local, where); !is_new) {
        refuse(where, local.to_string() + " is given twice", {first->second});
      }
    }
  }

  /// What comes back to a local address is known by its port alone.
  void check_source_ports(const IpAddress& local, const Service& service, const std::string& path) {
    const auto [first, is_new] = senders_.emplace(local, &service);
    const Service& other = *first->second;
    if (is_new || other.source_ports == service.source_ports) return;
    const auto text = [](const PortRange& ports) {
      return std::to_string(ports.first) + "-" + std::to_string(ports.last);
    };
    const std::string other_path =
        pointer("/services", static_cast<std::size_t>(&other - config_.services.data()));
    refuse(path + "/source_ports",
           text(service.source_ports) + " are not those of service " + in_quotes(other.name) + " (" +
               text(other.source_ports) + "), though both send from " + local.to_string() +
               ": give them the same",
           {path + "/local_addresses", path + "/vip", other_path + "/source_ports",
            other_path + "/local_addresses", other_path + "/vip", "/defaults/source_ports"});
  }

  void check_family(const IpAddress& address, const std::string& where, const Service& service,
                    const std::string& path) {
    if (address.family() == service.vip.address.family()) return;
    refuse(where,
           address.to_string() + " is an " + std::string(family_name(address.family())) +
               " address, but the vip " + service.vip.address.to_string() + " is an " +
               std::string(family_name(service.vip.address.family())) + " address",
           {path + "/vip"});
  }

  void check_servers(const Service& service, const std::string& path) {
    std::map<std::string_view, std::string> names;
    std::map<Endpoint, std::size_t> endpoints;
    for (std::size_t i = 0; i < service.servers.size(); ++i) {
      const Server& server = service.servers[i];
      const std::string where = pointer(path + "/servers", i);
      const std::string address = where + "/address";
      if (const auto [first, is_new] = names.emplace(server.name, where); !is_new) {
        refuse(where + "/name",
               in_quotes(server.name) + " is the name of another server of this service already",
               {first->second + "/name"});
      }
      check_host(server.endpoint.address, address);
      if (server.endpoint.address.is_loopback()) {
        refuse(address, server.endpoint.address.to_string() +
                            " is a loopback address: packets for it never leave a host, so none gets there");
      }
      check_family(server.endpoint.address, address, service, path);
      check_loop(service, server, address, {where + "/port", path + "/port"});
      if (const auto [first, is_new] = endpoints.emplace(server.endpoint, i); !is_new) {
        const std::string other = pointer(path + "/servers", first->second);
        refuse(address,
               server.endpoint.to_string() + " is server " + in_quotes(service.servers[first->second].name) +
                   " already",
               {other + "/address", other + "/port", where + "/port", path + "/port"});
      }
    }
  }

  void check_loop(const Service& service, const Server& server, const std::string& where,
                  std::vector<std::string> depends) {
    const auto found = vips_.find(VipKey{service.protocol, server.endpoint});
    if (found == vips_.end()) return;
    const Service& target = config_.services[found->second];
    const std::string path = pointer("/services", found->second);
    depends.push_back(path + "/vip");
    depends.push_back(path + "/port");
    refuse(where,
           server.endpoint.to_string() + " is the vip of " +
               (&target == &service ? "this service itself" : "service " + in_quotes(target.name)) +
               ": its packets would come back here",
           std::move(depends));
  }

  const Config& config_;
  ProblemList& problems_;
  std::map<std::string_view, std::string> port_names_, twins_, service_names_;
  std::map<std::string, std::string> devices_;
  std::map<VipKey, std::size_t> vips_;
  std::map<IpAddress, const Service*> senders_;  ///< by local address, the first that has it
};

}  // namespace

void validate(const Config& config, ProblemList& problems) {
  Rules(config, problems).check();
  validate_vrrp(config, problems);
}

}  // namespace sluice::config
