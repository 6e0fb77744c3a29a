#include "dp/kernel/virtual_macs.h"

namespace sluice::dp {
namespace {

/// The port under a link, through the VLAN interfaces between them; none: kNoPort.
std::uint16_t port_under(const KernelTables& kernel, std::span<const PortInterface> ports, const Link* link) {
  while (link != nullptr && link->up) {
    const auto port = std::ranges::find(ports, link->name, &PortInterface::interface);
    if (port != ports.end()) return port->port;
    if (!link->vlan) break;
    link = kernel.link(link->parent);
  }
  return kNoPort;
}

}  // namespace

std::vector<VirtualMac> virtual_macs(const KernelTables& kernel, std::span<const PortInterface> ports,
                                     const std::function<bool(const base::IpAddress&)>& is_served) {
  std::vector<VirtualMac> macs;
  for (const InterfaceAddress& address : kernel.addresses) {
    const Link* const link = kernel.link(address.ifindex);
    if (link == nullptr || !link->up || link->parent == 0 || link->vlan) continue;
    if (!is_served(address.prefix.address)) continue;
    const VirtualMac mac{port_under(kernel, ports, kernel.link(link->parent)), link->mac};
    if (mac.port != kNoPort && !contains(macs, mac)) macs.push_back(mac);
  }
  return macs;
}

std::vector<base::Mac> macs_of(std::span<const VirtualMac> macs, std::uint16_t port) {
  std::vector<base::Mac> out;
  for (const VirtualMac& each : macs) {
    if (each.port == port) out.push_back(each.mac);
  }
  return out;
}

}  // namespace sluice::dp
