#include "vrrp/kernel/macvlan.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/fd.h"

namespace sluice::vrrp {
namespace {

base::Result<void> write_sysctl(const std::string& path, std::string_view value) {
  const base::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return base::system_error(path, errno);
  if (::write(fd.get(), value.data(), value.size()) < 0) return base::system_error(path, errno);
  return {};
}

/// Both interfaces are in the same network: each is to answer ARP for its own addresses alone, and to ask
/// with them alone (who is asked learns that an address of the macvlan has the parent's MAC address), and the
/// one without an address in that network is to take its packets all the same.
base::Result<void> separate(const std::string& macvlan, const std::string& parent) {
  const std::string ipv4 = "/proc/sys/net/ipv4/conf/";
  for (const auto& [path, value] :
       {std::pair{ipv4 + macvlan + "/arp_ignore", "1"}, std::pair{ipv4 + macvlan + "/accept_local", "1"},
        std::pair{ipv4 + macvlan + "/rp_filter", "0"}, std::pair{ipv4 + parent + "/arp_ignore", "1"},
        std::pair{ipv4 + parent + "/arp_filter", "1"}, std::pair{ipv4 + parent + "/arp_announce", "2"}}) {
    if (auto done = write_sysctl(path, value); !done) return done;
  }
  return {};
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
                                  const Interface& parent) {
  const std::string& name = instance.vmac_interface;
  if (const Interface* found = interfaces.by_name(name)) {
    if (found->kind == "macvlan" && found->mac == vmac_of(instance) && found->parent == parent.index) {
      if (found->up) return false;
      auto up = interfaces.set_up(*found);
      interfaces.drain();
      if (!up) return std::move(up).error();
      return false;
    }
    if (found->kind != "macvlan") {
      return base::Error{base::ErrorCode::exists,
                         fmt::format("interface {}: exists, and is none of ours; set vmac_interface", name)};
    }
    // Left over from another configuration.
    const Interface old = *found;
    if (auto removed = interfaces.remove_link(old); !removed) return std::move(removed).error();
  }
  auto made = interfaces.add_macvlan(name, parent, vmac_of(instance));
  interfaces.drain();
  if (!made) return std::move(made).error();
  if (auto separated = separate(name, parent.name); !separated) return std::move(separated).error();
  return true;
}

}  // namespace sluice::vrrp
