#include "config/validate_vrrp.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "config/duration.h"
#include "config/host_address.h"
#include "config/interface_name.h"
#include "config/source_map.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

using base::Family;
using base::IpAddress;
using namespace std::chrono_literals;

constexpr std::uint8_t kOwner = 255;
constexpr std::size_t kMostAddresses = 255;  // the count of an advert is one byte
/// IPv6 header, VRRP header and these many addresses fill 1,500 bytes: adverts are not to be fragmented.
constexpr std::size_t kMostAddressesV6 = (1'500 - 40 - 8) / 16;
constexpr std::size_t kPasswordBytes = 8;      // RFC 2338 §5.3.6.2
constexpr Milliseconds kLongestV3{40'950};     // Max Advertise Interval has 12 bits
constexpr Milliseconds kLongestV2{255'000};    // Adver Int has 8
constexpr Milliseconds kShortestTimeout{500};  // of track_dataplane
constexpr Milliseconds kLongestDelay{1'000'000};

std::string titled(const VrrpInstance& instance) {
  return "vrrp instance " + in_quotes(instance.name);
}

bool is_link_local_v6(const IpAddress& address) {
  return !address.is_v4() && address.v6().is_link_local();
}

/// The first (`ones` false) or last (true) address of a network, which no host has.
bool is_edge(const base::Prefix& prefix, bool ones) {
  const std::uint32_t host = prefix.address.v4().value.host();
  const std::uint32_t mask = 0xffff'ffffU >> prefix.length;
  return (host & mask) == (ones ? mask : 0);
}

/// Why an interface cannot have this address as one of its own; empty when it can.
std::string address_fault(const base::Prefix& prefix) {
  const IpAddress& address = prefix.address;
  const std::string text = address.to_string() + " ";
  if (!is_link_local_v6(address)) {
    if (const auto fault = not_a_host(address); !fault.empty()) return text + std::string(fault);
  }
  if (address.is_loopback()) return text + "is a loopback address: no other host can reach it";
  if (prefix.length == 0) return prefix.to_string() + " takes the whole Internet for its network";
  if (address.is_v4() && prefix.length < 31) {
    if (is_edge(prefix, false)) return prefix.to_string() + " is the network itself, not an address in it";
    if (is_edge(prefix, true)) return prefix.to_string() + " is the network's broadcast address";
  }
  return {};
}

class VrrpRules {
 public:
  VrrpRules(const Config& config, ProblemList& problems) : config_(config), problems_(problems) {}

  void check() {
    for (std::size_t i = 0; i < config_.vrrp.size(); ++i) check_instance(i);
    for (std::size_t i = 0; i < config_.vrrp.size(); ++i) check_sync_group(config_.vrrp[i], path_of(i));
    for (std::size_t i = 0; i < config_.services.size(); ++i) {
      check_local_addresses(config_.services[i], pointer("/services", i));
    }
  }

 private:
  static std::string path_of(std::size_t index) { return pointer("/vrrp", index); }

  void refuse(std::string path, std::string text, std::vector<std::string> depends = {}) {
    problems_.add({.path = std::move(path), .text = std::move(text), .depends = std::move(depends)});
  }

  void check_instance(std::size_t index) {
    const VrrpInstance& instance = config_.vrrp[index];
    const std::string path = path_of(index);
    check_identity(index, instance, path);
    check_interface(instance.interface, path + "/interface");
    check_port(instance, path);
    check_version(instance, path);
    check_interval(instance, path);
    check_preemption(instance, path);
    check_addresses(instance, path);
    check_peers(instance, path);
    check_vmac(index, instance, path);
    check_trackers(instance, path);
  }

  void check_interface(const std::string& name, const std::string& path,
                       std::vector<std::string> depends = {}) {
    if (auto fault = interface_fault(name); !fault.empty())
      refuse(path, std::move(fault), std::move(depends));
  }

  /// An instance speaks on an interface of the kernel; the packets of a port's own NIC are sluice's.
  void check_port(const VrrpInstance& instance, const std::string& path) {
    for (std::size_t i = 0; i < config_.ports.size(); ++i) {
      const Port& port = config_.ports[i];
      if (port.kind != DeviceKind::af_packet || port.argument != instance.interface) continue;
      refuse(path + "/interface",
             in_quotes(instance.interface) + " is port " + in_quotes(port.name) +
                 "'s own NIC: VRRP speaks on its twin" +
                 (port.twin ? ", " + in_quotes(port.twin_name) : ", which the port must have for that"),
             {pointer("/ports", i) + "/device"});
    }
  }

  void check_identity(std::size_t index, const VrrpInstance& instance, const std::string& path) {
    if (const auto [first, is_new] = names_.emplace(instance.name, path); !is_new) {
      refuse(path + "/name",
             in_quotes(instance.name) + " is the name of another instance already: give it one of its own",
             {first->second + "/name"});
    }
    const auto key =
        std::tuple(std::string_view(instance.interface), instance.family, instance.virtual_router_id);
    if (const auto [first, is_new] = routers_.emplace(key, index); !is_new) {
      const std::string other = path_of(first->second);
      refuse(path + "/virtual_router_id",
             std::to_string(instance.virtual_router_id) + " is that of " +
                 titled(config_.vrrp[first->second]) + " on " + instance.interface + " over " +
                 std::string(family_name(instance.family)) +
                 " already: give this one another number, the same on all its hosts",
             {path + "/interface", path + "/addresses/0", other + "/interface", other + "/virtual_router_id",
              other + "/addresses/0"});
    }
  }

  void check_version(const VrrpInstance& instance, const std::string& path) {
    const std::string version = path + "/version";
    if (instance.version == VrrpVersion::v2) {
      if (instance.family == Family::v6) {
        refuse(version, "2 knows IPv4 only; IPv6 needs 3", {path + "/addresses/0"});
      }
      if (instance.auth_pass.size() > kPasswordBytes) {
        // The password itself does not belong in a log.
        refuse(path + "/auth_pass", "has " + std::to_string(instance.auth_pass.size()) +
                                        " bytes, of which version 2 sends the first 8: shorten it");
      }
      if (instance.v3_checksum_as_v2) {
        refuse(path + "/v3_checksum_as_v2", "is for version 3", {version});
      }
      return;
    }
    if (!instance.auth_pass.empty()) {
      refuse(path + "/auth_pass", "is for version 2: version 3 has no passwords", {version});
    }
    if (instance.v3_checksum_as_v2 && instance.family == Family::v6) {
      refuse(path + "/v3_checksum_as_v2", "is for IPv4: over IPv6 all use the pseudo-header",
             {path + "/addresses/0"});
    }
  }

  void check_interval(const VrrpInstance& instance, const std::string& path) {
    const std::string where = path + "/advert_int";
    const std::string text = in_quotes(duration_text(instance.advert_int));
    const std::vector<std::string> depends{path + "/version"};
    if (instance.version == VrrpVersion::v2) {
      if (instance.advert_int % 1s != 0ms) {
        return refuse(
            where, text + " is not in whole seconds, as version 2 has it: give \"version\": 3 on all hosts",
            depends);
      }
      if (instance.advert_int > kLongestV2) refuse(where, text + " is longer than \"255s\"", depends);
      return;
    }
    if (instance.advert_int % 10ms != 0ms) {
      return refuse(where, text + " is not in steps of \"10ms\", as version 3 has it", depends);
    }
    if (instance.advert_int > kLongestV3) refuse(where, text + " is longer than \"40950ms\"", depends);
  }

  void check_preemption(const VrrpInstance& instance, const std::string& path) {
    const std::vector<std::string> depends{path + "/state", path + "/priority"};
    const std::string_view reason = instance.start == VrrpStart::master ? "\"state\": \"MASTER\""
                                    : instance.priority == kOwner       ? "an owner (priority 255)"
                                                                        : "";
    if (!instance.preempt && !reason.empty()) {
      refuse(path + "/nopreempt", "does not go with " + std::string(reason), depends);
    }
    if (instance.preempt_delay > kLongestDelay) {
      refuse(path + "/preempt_delay",
             in_quotes(duration_text(instance.preempt_delay)) + " is longer than \"1000s\"");
    }
    if (instance.startup_delay > kLongestDelay) {
      refuse(path + "/startup_delay",
             in_quotes(duration_text(instance.startup_delay)) + " is longer than \"1000s\"");
    }
    if (instance.preempt_delay == 0ms) return;
    if (!reason.empty()) {
      refuse(path + "/preempt_delay", "does not go with " + std::string(reason), depends);
    } else if (!instance.preempt) {
      refuse(path + "/preempt_delay", "has no use with \"nopreempt\": true", {path + "/nopreempt"});
    }
  }

  void check_addresses(const VrrpInstance& instance, const std::string& path) {
    const bool v6 = instance.family == Family::v6;
    const std::size_t most = v6 ? kMostAddressesV6 : kMostAddresses;
    if (instance.addresses.size() > most) {
      refuse(path + "/addresses", "holds " + std::to_string(instance.addresses.size()) +
                                      " addresses, but an advert " + (v6 ? "of 1500 bytes " : "") +
                                      "has room for " + std::to_string(most) +
                                      ": move some to addresses_excluded");
    }
    for (std::size_t i = 0; i < instance.addresses.size(); ++i) {
      const std::string where = pointer(path + "/addresses", i);
      const IpAddress& address = instance.addresses[i].prefix.address;
      if (address.family() != instance.family) {
        refuse(where,
               address.to_string() + " is an " + std::string(family_name(address.family())) +
                   " address, but the first one is an " + std::string(family_name(instance.family)) +
                   " address: give it an instance of its own, or move it to addresses_excluded",
               {path + "/addresses/0"});
      }
      check_address(instance, instance.addresses[i], where);
    }
    for (std::size_t i = 0; i < instance.addresses_excluded.size(); ++i) {
      check_address(instance, instance.addresses_excluded[i], pointer(path + "/addresses_excluded", i));
    }
  }

  void check_address(const VrrpInstance& instance, const VrrpAddress& address, const std::string& where) {
    if (auto fault = address_fault(address.prefix); !fault.empty()) refuse(where, std::move(fault));
    if (address.interface != instance.interface && address.interface != instance.vmac_interface) {
      check_interface(address.interface, where);
    }
    const IpAddress& ip = address.prefix.address;
    // A link-local address means another host on each network.
    const auto key = std::pair(ip, is_link_local_v6(ip) ? std::string_view(address.interface) : "");
    const auto [first, is_new] = carriers_.emplace(key, Carrier{&instance, where});
    if (is_new) return;
    const bool own = first->second.instance == &instance;
    refuse(where,
           ip.to_string() +
               (own ? " is given twice"
                    : " moves with " + titled(*first->second.instance) + " already: leave it to one of them"),
           {first->second.path});
  }

  void check_peers(const VrrpInstance& instance, const std::string& path) {
    if (instance.source) {
      const bool unicast = !instance.unicast_peer.empty();
      check_end(instance, *instance.source, path + (unicast ? "/unicast_src_ip" : "/mcast_src_ip"), path);
    }
    std::map<IpAddress, std::string> seen;
    for (std::size_t i = 0; i < instance.unicast_peer.size(); ++i) {
      const std::string where = pointer(path + "/unicast_peer", i);
      const IpAddress& peer = instance.unicast_peer[i];
      check_end(instance, peer, where, path);
      if (instance.source == peer) {
        refuse(where, peer.to_string() + " is unicast_src_ip, this host itself", {path + "/unicast_src_ip"});
      }
      if (const auto [first, is_new] = seen.emplace(peer, where); !is_new) {
        refuse(where, peer.to_string() + " is given twice", {first->second});
      }
    }
    if (instance.check_unicast_src && instance.unicast_peer.empty()) {
      refuse(path + "/check_unicast_src", "needs \"unicast_peer\", the addresses to check against",
             {path + "/unicast_peer"});
    }
  }

  /// An address that adverts come from or go to.
  void check_end(const VrrpInstance& instance, const IpAddress& address, const std::string& where,
                 const std::string& path) {
    if (address.family() != instance.family) {
      return refuse(where,
                    address.to_string() + " is an " + std::string(family_name(address.family())) +
                        " address, but the adverts go over " + std::string(family_name(instance.family)),
                    {path + "/addresses/0"});
    }
    if (!is_link_local_v6(address)) {
      if (const auto fault = not_a_host(address); !fault.empty()) {
        return refuse(where, address.to_string() + " " + std::string(fault));
      }
    }
    const auto moves =
        std::ranges::find(instance.addresses, address, [](const VrrpAddress& a) { return a.prefix.address; });
    if (moves != instance.addresses.end() && instance.priority != kOwner) {
      refuse(where, address.to_string() + " moves with the instance: give an address that stays",
             {path + "/priority"});
    }
  }

  void check_vmac(std::size_t index, const VrrpInstance& instance, const std::string& path) {
    if (!instance.use_vmac) {
      if (instance.vmac_xmit_base) {
        refuse(path + "/vmac_xmit_base", "is for \"use_vmac\"", {path + "/use_vmac"});
      }
      return;
    }
    const std::string where = path + "/use_vmac";
    check_interface(instance.vmac_interface, where);
    const auto [first, is_new] = vmacs_.emplace(instance.vmac_interface, index);
    if (!is_new) {
      const std::string other = path_of(first->second);
      refuse(where,
             "the interface would be named " + in_quotes(instance.vmac_interface) + " as that of " +
                 titled(config_.vrrp[first->second]) + ": give a name in place of true",
             {other + "/use_vmac", other + "/virtual_router_id", path + "/virtual_router_id"});
    }
    for (std::size_t i = 0; i < config_.vrrp.size(); ++i) {
      if (config_.vrrp[i].interface != instance.vmac_interface) continue;
      refuse(where,
             in_quotes(instance.vmac_interface) + " is the interface of " + titled(config_.vrrp[i]) +
                 ": the one with the virtual router's MAC address needs a name of its own",
             {path_of(i) + "/interface"});
    }
  }

  void check_weight(const VrrpInstance& instance, std::int16_t weight, const std::string& where,
                    const std::string& path) {
    if (weight == 0) return;
    if (!instance.sync_group.empty()) {
      return refuse(where,
                    std::to_string(weight) +
                        " is not for a member of a sync group, since members with "
                        "different priorities could not move together: leave it out "
                        "(then it is a fault of all), or leave the group",
                    {path + "/sync_group"});
    }
    if (instance.priority != kOwner) return;
    refuse(where, std::to_string(weight) + " has no effect: the priority of an owner is always 255",
           {path + "/priority", path + "/state"});
  }

  void check_trackers(const VrrpInstance& instance, const std::string& path) {
    check_weight(instance, instance.track_dataplane.weight, path + "/track_dataplane/weight", path);
    if (instance.track_dataplane.timeout < kShortestTimeout) {
      refuse(path + "/track_dataplane/timeout",
             in_quotes(duration_text(instance.track_dataplane.timeout)) + " is shorter than " +
                 in_quotes(duration_text(kShortestTimeout)) +
                 ": the data plane is asked each 200 ms, and a busy host may answer late");
    }
    check_tracked_interfaces(instance, path);
    std::map<std::string_view, std::string> scripts;
    for (std::size_t i = 0; i < instance.track_script.size(); ++i) {
      const VrrpTrackScript& script = instance.track_script[i];
      const std::string where = pointer(path + "/track_script", i);
      check_weight(instance, script.weight, where + "/weight", path);
      if (const auto [first, is_new] = scripts.emplace(script.name, where); !is_new) {
        refuse(where + "/name", in_quotes(script.name) + " is the name of another script of this instance",
               {first->second + "/name"});
      }
    }
    check_tracked_services(instance, path);
  }

  void check_tracked_interfaces(const VrrpInstance& instance, const std::string& path) {
    std::map<std::string_view, std::string> seen;
    for (std::size_t i = 0; i < instance.track_interface.size(); ++i) {
      const VrrpTrackInterface& tracked = instance.track_interface[i];
      const std::string where = pointer(path + "/track_interface", i);
      check_weight(instance, tracked.weight, where + "/weight", path);
      check_interface(tracked.interface, where, {where + "/interface"});
      if (tracked.interface == instance.interface) {
        refuse(where,
               in_quotes(tracked.interface) +
                   " is the instance's own interface, without which it is in FAULT anyway",
               {path + "/interface"});
      }
      if (const auto [first, is_new] = seen.emplace(tracked.interface, where); !is_new) {
        refuse(where, in_quotes(tracked.interface) + " is given twice", {first->second});
      }
    }
  }

  void check_tracked_services(const VrrpInstance& instance, const std::string& path) {
    std::map<std::string_view, std::string> seen;
    for (std::size_t i = 0; i < instance.track_service.size(); ++i) {
      const VrrpTrackService& tracked = instance.track_service[i];
      const std::string where = pointer(path + "/track_service", i);
      check_weight(instance, tracked.weight, where + "/weight", path);
      const auto service = std::ranges::find(config_.services, tracked.service, &Service::name);
      if (service == config_.services.end()) {
        refuse(where + "/service",
               in_quotes(tracked.service) + " is no service" + near_service(tracked.service));
        continue;
      }
      if (tracked.min_usable > service->servers.size()) {
        refuse(where + "/min_usable",
               std::to_string(tracked.min_usable) + " is more than service " + in_quotes(service->name) +
                   " has servers (" + std::to_string(service->servers.size()) + ")",
               {where + "/service"});
      }
      if (const auto [first, is_new] = seen.emplace(tracked.service, where); !is_new) {
        refuse(where + "/service", in_quotes(tracked.service) + " is given twice",
               {first->second + "/service"});
      }
    }
  }

  [[nodiscard]] std::string near_service(std::string_view word) const {
    std::vector<std::string_view> names;
    for (const Service& service : config_.services) names.push_back(service.name);
    return did_you_mean(word, names);
  }

  void check_sync_group(const VrrpInstance& instance, const std::string& path) {
    if (instance.sync_group.empty()) return;
    if (std::ranges::count(config_.vrrp, instance.sync_group, &VrrpInstance::sync_group) > 1) return;
    std::vector<std::string_view> groups;
    for (const VrrpInstance& other : config_.vrrp) {
      if (&other != &instance && !other.sync_group.empty()) groups.push_back(other.sync_group);
    }
    refuse(path + "/sync_group", in_quotes(instance.sync_group) + " has no other member" +
                                     did_you_mean(instance.sync_group, groups));
  }

  [[nodiscard]] const VrrpInstance* carrier_of(const IpAddress& address) const {
    const auto found = carriers_.find(std::pair(address, std::string_view()));
    return found == carriers_.end() ? nullptr : found->second.instance;
  }

  /// Replies come to local addresses: they must be where the vip is.
  void check_local_addresses(const Service& service, const std::string& path) {
    const VrrpInstance* const carrier = carrier_of(service.vip.address);
    if (carrier == nullptr) return;
    for (std::size_t i = 0; i < service.local_addresses.size(); ++i) {
      const IpAddress& local = service.local_addresses[i];
      if (local == service.vip.address) continue;
      const VrrpInstance* other = carrier_of(local);
      // Where nobody says where it belongs, it goes with the vip, which must be clear.
      if (other == nullptr) other = implied_.emplace(local, carrier).first->second;
      if (other == carrier) continue;
      if (!carrier->sync_group.empty() && carrier->sync_group == other->sync_group) continue;
      refuse(pointer(path + "/local_addresses", i),
             local.to_string() + " moves with " + titled(*other) + ", but the vip " +
                 service.vip.address.to_string() + " with " + titled(*carrier) +
                 ": give both the same \"sync_group\", since they must be on one host",
             {path + "/vip"});
    }
  }

  struct Carrier {
    const VrrpInstance* instance;
    std::string path;
  };

  const Config& config_;
  ProblemList& problems_;
  std::map<std::string_view, std::string> names_;
  std::map<std::tuple<std::string_view, Family, std::uint8_t>, std::size_t> routers_;
  std::map<std::string_view, std::size_t> vmacs_;
  std::map<std::pair<IpAddress, std::string_view>, Carrier> carriers_;
  std::map<IpAddress, const VrrpInstance*> implied_;
};

}  // namespace

void validate_vrrp(const Config& config, ProblemList& problems) {
  VrrpRules(config, problems).check();
}

}  // namespace sluice::config
