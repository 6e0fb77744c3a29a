#include "vrrp/kernel/macvlan.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"

namespace sluice::vrrp {
namespace {

constexpr std::string_view kSysctls = "/proc/sys/net/";

using Sysctls = std::vector<std::pair<std::string, std::string_view>>;

base::Result<void> write(const Sysctls& sysctls) {
  for (const auto& [name, value] : sysctls) {
    const std::string path = std::string(kSysctls) + name;
    const base::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), value.data(), value.size()) < 0) return base::system_error(path, errno);
  }
  return {};
}

/// Both interfaces are in the same network: each is to answer ARP for its own addresses alone, and to ask
/// with them alone (who is asked learns that an address of the macvlan has the parent's MAC address), and the
/// one without an address in that network is to take its packets all the same.
Sysctls apart(const std::string& macvlan, const std::string& parent) {
  const std::string ipv4 = "ipv4/conf/";
  return {{ipv4 + macvlan + "/arp_ignore", "1"}, {ipv4 + macvlan + "/accept_local", "1"},
          {ipv4 + macvlan + "/rp_filter", "0"},  {ipv4 + parent + "/arp_ignore", "1"},
          {ipv4 + parent + "/arp_filter", "1"},  {ipv4 + parent + "/arp_announce", "2"}};
}

/// Of IPv6 it is to have what the instance gives it: no link-local address made from the MAC address, which
/// would be the same on all hosts, and nothing of what routers advertise.
Sysctls reticent(const std::string& macvlan, bool has_ipv6) {
  const std::string ipv6 = "ipv6/conf/" + macvlan;
  return {{ipv6 + "/addr_gen_mode", "1"},
          {ipv6 + "/accept_ra", "0"},
          {ipv6 + "/autoconf", "0"},
          {ipv6 + "/router_solicitations", "0"},
          {ipv6 + "/disable_ipv6", has_ipv6 ? "0" : "1"}};
}

bool has_ipv6(const config::VrrpInstance& instance) {
  for (const auto* list : {&instance.addresses, &instance.addresses_excluded}) {
    for (const config::VrrpAddress& address : placed_addresses(instance, *list)) {
      if (address.interface == instance.vmac_interface && !address.prefix.address.is_v4()) return true;
    }
  }
  return instance.family == base::Family::v6;
}

base::Result<void> configure(Interfaces& interfaces, const config::VrrpInstance& instance,
                             const Interface& macvlan, const std::string& parent) {
  auto done = interfaces.set_vepa(macvlan);
  if (done) done = write(apart(macvlan.name, parent));
  // A kernel without IPv6, or an interface with too small an MTU, has none of these.
  const bool ipv6 = ::access(fmt::format("{}ipv6/conf/{}", kSysctls, macvlan.name).c_str(), F_OK) == 0;
  if (done && ipv6) done = write(reticent(macvlan.name, has_ipv6(instance)));
  return done;
}

}  // namespace

base::Mac vmac_of(const config::VrrpInstance& instance) noexcept {
  const std::uint8_t family = instance.family == base::Family::v4 ? 1 : 2;
  return {{0x00, 0x00, 0x5e, 0x00, family, instance.virtual_router_id}};
}

std::vector<config::VrrpAddress> placed_addresses(const config::VrrpInstance& instance,
                                                  std::vector<config::VrrpAddress> addresses) {
  if (!instance.use_vmac) return addresses;
  for (config::VrrpAddress& address : addresses) {
    if (address.interface == instance.interface) address.interface = instance.vmac_interface;
  }
  return addresses;
}

base::Result<bool> ensure_macvlan(Interfaces& interfaces, const config::VrrpInstance& instance,
                                  const Interface& parent, std::uint32_t& configured) {
  const std::string& name = instance.vmac_interface;
  const Interface* found = interfaces.by_name(name);
  if (found != nullptr && found->kind != "macvlan") {
    return base::Error{base::ErrorCode::exists,
                       fmt::format("interface {}: exists, and is none of ours; set vmac_interface", name)};
  }
  // Left over from another configuration; or without IPv6, as its parent was for a while.
  if (found != nullptr && (found->mac != vmac_of(instance) || found->parent != parent.index ||
                           (found->mtu < kIpv6Mtu && parent.mtu >= kIpv6Mtu))) {
    const Interface old = *found;
    if (auto removed = interfaces.remove_link(old); !removed) return std::move(removed).error();
    found = nullptr;
  }
  const bool fresh = found == nullptr;
  if (fresh) {
    auto made = interfaces.add_macvlan(name, parent, vmac_of(instance));
    interfaces.drain();
    if (!made) return std::move(made).error();
    found = interfaces.by_name(name);
    if (found == nullptr) return base::Error{base::ErrorCode::not_found, name + ": was removed at once"};
  }
  const Interface macvlan = *found;  // events may change the mirror
  if (configured != macvlan.index) {
    if (auto done = configure(interfaces, instance, macvlan, parent.name); !done)
      return std::move(done).error();
    configured = macvlan.index;
  }
  if (macvlan.up) return fresh;
  auto up = interfaces.set_up(macvlan);
  interfaces.drain();
  if (!up) return std::move(up).error();
  return fresh;
}

bool drops_what_comes_back_elsewhere(const std::string& macvlan) {
  const auto rp_filter_of = [](const std::string& interface) {
    const std::string path = fmt::format("{}ipv4/conf/{}/rp_filter", kSysctls, interface);
    const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char value = '0';
    return fd && ::read(fd.get(), &value, 1) == 1 ? value : '0';
  };
  return std::max(rp_filter_of("all"), rp_filter_of(macvlan)) == '1';
}

}  // namespace sluice::vrrp
