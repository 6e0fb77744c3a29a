#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

/// A kernel network interface as a port needs it: what it is, and the few settings that a port must change on
/// it. In the network namespace of the process. Thread: any; every call makes system calls.
namespace sluice::dp {

struct KernelInterface {
  std::string name;
  int index = 0;
  base::Mac mac;
  std::uint16_t mtu = 0;
  bool up = false;             ///< administratively
  bool running = false;        ///< has a carrier
  std::string driver;          ///< e.g. "veth", "ixgbe"; empty when it does not say
  std::uint16_t channels = 1;  ///< receive queues in use
  bool combined = true;        ///< a channel receives and transmits; false: separate queues (veth)
};

/// The interface called `name`. Error: no such interface (the sentence lists those that exist), or not
/// Ethernet.
base::Result<KernelInterface> find_kernel_interface(std::string_view name);

/// Names of all interfaces but the loopback one.
[[nodiscard]] std::vector<std::string> kernel_interface_names();

/// Unicast addresses of the interface but IPv6 link-local ones, as text.
base::Result<std::vector<std::string>> kernel_addresses(int index);

/// Flags of netdevice(7) such as IFF_UP, IFF_ALLMULTI.
base::Result<unsigned> interface_flags(const std::string& name);
base::Result<void> change_interface_flags(const std::string& name, unsigned set, unsigned clear);
base::Result<void> set_interface_mtu(const std::string& name, std::uint16_t mtu);
/// Carrier, as ifi_flags IFF_RUNNING tells. False also when the interface is gone.
[[nodiscard]] bool interface_running(const std::string& name);

/// Gives a tap its carrier, or takes it away: its kernel then takes it for an interface without cable.
base::Result<void> set_interface_carrier(int index, bool on);
/// The name that the interface has now; empty: there is none of that index.
[[nodiscard]] std::string interface_name(int index);

/// Generic receive offload: the kernel joins segments before a packet socket sees them.
base::Result<bool> receive_merging(const std::string& name);
base::Result<void> set_receive_merging(const std::string& name, bool on);

/// net.ipv6.conf.<name>.disable_ipv6. False also where the kernel has no IPv6.
[[nodiscard]] bool ipv6_enabled(const std::string& name);
base::Result<void> set_ipv6_enabled(const std::string& name, bool on);

/// Holds an interface for this process: an abstract Unix socket, so that it is of the interface's own network
/// namespace and goes with the process, however it ends. Error: another sluice process has it.
base::Result<base::Fd> claim_interface(const KernelInterface& interface);

}  // namespace sluice::dp
