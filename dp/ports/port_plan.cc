#include "dp/ports/port_plan.h"

#include <algorithm>
#include <array>
#include <linux/capability.h>
#include <net/if.h>
#include <set>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace sluice::dp {

namespace {

constexpr std::uint32_t kL2Bytes = 14 + 2 * 4 + 4;  // Ethernet, two VLAN tags, FCS
constexpr std::uint16_t kDefaultDataRoom = kHeadroom + 2048;
constexpr std::uint32_t kXdpHeadroom = 256;  // XDP_PACKET_HEADROOM: the kernel's own, in front of every frame
constexpr std::uint32_t kMbufHeader = 128;   // sizeof(rte_mbuf)
constexpr std::uint32_t kObjectHeader = 64;  // of a mempool object
constexpr std::uint32_t kDriverMemoryMb = 24;  // device data, rings, statistics, pdump

base::Error refuse(const config::Port& port, const std::string& why,
                   base::ErrorCode code = base::ErrorCode::invalid) {
  return base::Error{code, "port \"" + port.name + "\": " + why};
}

/// Whether the process has a capability in effect (capabilities(7)).
bool has_capability(unsigned capability) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return true;  // let the kernel decide
  return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

/// What a port needs the right to: packet sockets, interface settings, a BPF program.
base::Result<void> check_rights(const config::Port& port) {
  struct Right {
    unsigned capability;
    const char* name;
  };
  constexpr std::array<Right, 3> kRights{
      {{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_NET_RAW, "CAP_NET_RAW"}, {CAP_IPC_LOCK, "CAP_IPC_LOCK"}}};
  for (const Right& right : kRights) {
    if (!has_capability(right.capability)) {
      return refuse(
          port, std::string("this user may not open it (") + right.name + " is missing); run sluice as root",
          base::ErrorCode::permission);
    }
  }
  if (port.kind == config::DeviceKind::af_xdp && !has_capability(CAP_BPF) && !has_capability(CAP_SYS_ADMIN)) {
    return refuse(port, "this user may not load its XDP program (CAP_BPF is missing); run sluice as root",
                  base::ErrorCode::permission);
  }
  return {};
}

/// Mbufs that a queue pair keeps for itself when it is as full as it gets.
std::uint32_t mbufs_held(config::DeviceKind kind) noexcept {
  switch (kind) {
    case config::DeviceKind::af_xdp:
      // Fill ring (4,096, filled by half), receive ring, transmit and completion rings.
      return 4 * kQueueDepth;
    case config::DeviceKind::af_packet: return 0;  // copies to and from rings of the kernel
    case config::DeviceKind::memif:
    case config::DeviceKind::pci:
    case config::DeviceKind::vdev: return 2 * kQueueDepth;
  }
  return 0;
}

base::Result<std::uint16_t> queues_of(const config::Port& port, const std::optional<KernelInterface>& nic,
                                      std::uint16_t workers) {
  switch (port.kind) {
    case config::DeviceKind::af_xdp:
      // A frame that arrives on a channel without a socket is lost, so each channel has its queue.
      if (port.queues != 0 && port.queues != nic->channels) {
        return refuse(port,
                      "\"queues\" is " + std::to_string(port.queues) + ", but " + nic->name + " has " +
                          std::to_string(nic->channels) +
                          " channels and af_xdp must serve them all; leave \"queues\" out, or change the "
                          "channels with: ethtool -L " +
                          nic->name + " combined " + std::to_string(port.queues));
      }
      return nic->channels;
    case config::DeviceKind::memif:
      // Both sides must have as many; net_memif 22.11 lets a queue without a ring scribble on ring 0.
      return std::max<std::uint16_t>(port.queues, 1);
    case config::DeviceKind::af_packet:
    case config::DeviceKind::pci:
    case config::DeviceKind::vdev: return port.queues != 0 ? port.queues : workers;
  }
  return std::uint16_t{1};
}

/// What the umem of net_af_xdp can carry: an mbuf with all its headers is one chunk, and a chunk is at most a
/// page.
base::Result<void> check_xdp_mtu(const config::Port& port, const KernelInterface& nic,
                                 std::uint16_t private_bytes) {
  const auto page = static_cast<std::uint32_t>(::getpagesize());
  const std::uint32_t most =
      page - kObjectHeader - kMbufHeader - private_bytes - kHeadroom - kXdpHeadroom - kL2Bytes;
  if (nic.mtu <= most) return {};
  return refuse(port, "interface " + nic.name + " has MTU " + std::to_string(nic.mtu) +
                          ", af_xdp can carry at most " + std::to_string(most) +
                          "; lower it with: ip link set " + nic.name + " mtu " + std::to_string(most));
}

std::uint32_t data_room_for(std::uint32_t mtu) noexcept {
  return std::max<std::uint32_t>(kDefaultDataRoom,
                                 (kHeadroom + kXdpHeadroom + mtu + kL2Bytes + 63) / 64 * 64);
}

}  // namespace

bool PortsPlan::has_pci() const noexcept {
  return std::any_of(ports.begin(), ports.end(),
                     [](const PortPlan& port) { return port.config.kind == config::DeviceKind::pci; });
}

base::Result<PortsPlan> plan_ports(const std::vector<config::Port>& ports, const PlanOptions& options) {
  PortsPlan plan;
  plan.options = options;
  std::set<std::pair<bool, std::string>> devices;  // (is a kernel interface, its name)
  std::uint32_t held = 0;
  std::uint32_t data_room = kDefaultDataRoom;
  for (const config::Port& port : ports) {
    PortPlan wanted;
    wanted.config = port;
    if (auto rights = check_rights(port); !rights) return std::move(rights).error();
    const bool on_interface =
        port.kind == config::DeviceKind::af_xdp || port.kind == config::DeviceKind::af_packet;
    if (!devices.emplace(on_interface, port.argument).second) {
      return refuse(port, "\"" + port.argument + "\" is the device of another port already");
    }
    if (on_interface) {
      auto nic = find_kernel_interface(port.argument);
      if (!nic) return refuse(port, nic.error().message, nic.error().code);
      if (port.kind == config::DeviceKind::af_xdp) {
        if (auto fits = check_xdp_mtu(port, *nic, options.private_bytes); !fits)
          return std::move(fits).error();
      }
      data_room = std::max(data_room, data_room_for(nic->mtu));
      wanted.nic = std::move(*nic);
    }
    auto queues = queues_of(port, wanted.nic, options.workers);
    if (!queues) return std::move(queues).error();
    wanted.queues = *queues;
    held += std::uint32_t{wanted.queues} * mbufs_held(port.kind);
    if (port.twin && port.kind != config::DeviceKind::af_xdp) {
      if (port.twin_name.empty() || port.twin_name.size() >= IFNAMSIZ) {
        return refuse(port, "the twin's name \"" + port.twin_name + "\" must be 1 to 15 characters long");
      }
      if (::if_nametoindex(port.twin_name.c_str()) != 0) {
        return refuse(
            port,
            "an interface named \"" + port.twin_name +
                "\" exists already, so the port's twin cannot have that name; choose another in \"twin\"",
            base::ErrorCode::exists);
      }
      if (!devices.emplace(true, port.twin_name).second) {
        return refuse(port, "the twin's name \"" + port.twin_name + "\" is taken by another port");
      }
      wanted.twin_queues = std::min(options.workers, kMaxTwinQueues);
      held += std::uint32_t{wanted.twin_queues} * kQueueDepth;
    }
    plan.ports.push_back(std::move(wanted));
  }
  // A lcore's cache may hold half as much again as its size; each worker has a burst or two in its hands.
  const std::uint32_t per_worker = kMbufCache * 3 / 2 + 512 + kHandoverDepth;
  plan.mbufs =
      std::max<std::uint32_t>(16'384, held + (options.workers + 1U) * per_worker + options.mbufs_in_flight);
  plan.data_room = static_cast<std::uint16_t>(std::min<std::uint32_t>(data_room, 65'535));
  const std::uint64_t object = kObjectHeader + kMbufHeader + options.private_bytes + plan.data_room + 64U;
  plan.memory_mb = static_cast<std::uint32_t>(plan.mbufs * object / (1U << 20)) + kDriverMemoryMb;
  return plan;
}

}  // namespace sluice::dp
