/// Theory of operation. net_af_xdp loads and attaches the XDP program while it sets up the first receive
/// queue, and refuses an interface that carries any program. One of ours whose process was killed is
/// therefore read, removed, and its rules given to the successor at once: between the two lie a few
/// milliseconds in which the kernel sees what is ours. A foreign program is left alone. An interface without
/// combined channels (veth) takes a device of the driver for each receive queue, each of which brings a
/// program; the sockets of all are gathered in the last one. The driver wants the program as a path: it gets
/// that of an anonymous file, so that nothing depends on where sluice is installed.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <net/if.h>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/log.h"
#include "dp/ports/nic.h"

namespace sluice::dp {

namespace {

base::Result<base::Fd> program_file() {
  const std::span<const unsigned char> object = xdp_filter_object();
  base::Fd file(::memfd_create("sluice-xdp-filter", MFD_CLOEXEC));
  if (!file || ::write(file.get(), object.data(), object.size()) != static_cast<ssize_t>(object.size())) {
    return base::system_error("the XDP program cannot be put into memory", errno);
  }
  return file;
}

/// Empties the interface of a program of ours that its process left behind; returns what it redirected.
base::Result<FilterTable> take_over(const KernelInterface& nic) {
  auto program = attached_xdp_program(nic.index);
  if (!program) return std::move(program).error();
  if (!program->has_value()) return FilterTable{};
  if (!(*program)->ours) {
    return base::Error{base::ErrorCode::exists, "interface " + nic.name + " carries the XDP program \"" +
                                                    (*program)->name +
                                                    "\" of another application; remove it with: "
                                                    "ip link set dev " +
                                                    nic.name + " xdp off"};
  }
  FilterTable table;
  if (auto filter = XdpFilter::open(nic.index); filter) table = filter->table();
  if (auto detached = detach_xdp_filter(nic.index); !detached) return std::move(detached).error();
  return table;
}

/// veth and its like copy in any case: the kernel side works by itself there, and a system call for each
/// empty poll (the driver's default, "preferred busy polling") would only cost.
bool is_virtual(const KernelInterface& nic) {
  return nic.driver == "veth" || nic.driver == "tun";
}

/// The AF_XDP sockets that the process has open. The driver tells nobody which it made.
std::set<int> xdp_sockets() {
  std::set<int> sockets;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    int domain = 0;
    socklen_t size = sizeof(domain);
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP) sockets.insert(fd);
  }
  return sockets;
}

base::Error explain(const PortPlan& plan, base::Error error) {
  if (plan.nic->driver == "veth" && plan.nic->mtu > 1500) {
    error.message += "; a veth takes an XDP program only when its peer's MTU is at most about 3,500 bytes";
  }
  return error;
}

}  // namespace

base::Result<Nic> open_af_xdp_nic(std::uint16_t index, const PortPlan& plan, rte_mempool* pool, EalLog& log) {
  const KernelInterface& nic = *plan.nic;
  auto claim = claim_interface(nic);
  if (!claim) return std::move(claim).error();
  if (!nic.up) {
    base::log::info("interface {} is down; it is set up", nic.name);
    if (auto up = change_interface_flags(nic.name, IFF_UP, 0); !up) return std::move(up).error();
  }
  auto file = program_file();
  if (!file) return std::move(file).error();
  auto inherited = take_over(nic);
  if (!inherited) return std::move(inherited).error();

  // The driver takes a range of combined channels; of an interface without such it takes a single one.
  const std::uint16_t per_device = nic.combined ? plan.queues : std::uint16_t{1};
  const EthdevQueues queues{
      .rx = per_device, .tx = per_device, .rx_depth = kQueueDepth, .tx_depth = kQueueDepth};
  std::vector<Ethdev> devices;
  std::vector<int> sockets;
  for (std::uint16_t first = 0; first < plan.queues; first = static_cast<std::uint16_t>(first + per_device)) {
    // Each device brings the program anew; the last one's stays.
    if (auto detached = detach_xdp_filter(nic.index); !detached) return std::move(detached).error();
    std::string arguments = "iface=" + nic.name + ",start_queue=" + std::to_string(first) +
                            ",queue_count=" + std::to_string(per_device) + ",xdp_prog=/proc/self/fd/" +
                            std::to_string(file->get());
    if (is_virtual(nic)) arguments += ",busy_budget=0";
    auto device =
        Ethdev::plug("net_af_xdp" + std::to_string(index) + "_" + std::to_string(first), arguments, log);
    if (!device) return std::move(device).error();
    const std::set<int> before = xdp_sockets();
    if (auto configured = device->configure(queues, pool, log); !configured) {
      return explain(plan, std::move(configured).error());
    }
    for (const int socket : xdp_sockets()) {
      if (!before.contains(socket)) sockets.push_back(socket);
    }
    devices.push_back(std::move(*device));
  }
  auto filter = XdpFilter::open(nic.index);
  if (!filter) return std::move(filter).error();
  if (devices.size() > 1) {
    if (auto gathered = filter->serve(sockets); !gathered) return std::move(gathered).error();
  }
  if (!inherited->empty()) {
    if (auto updated = filter->update(*inherited); !updated) return std::move(updated).error();
    base::log::info(
        "interface {} carried the XDP program of a process that is gone; its rules are kept until the "
        "control plane speaks",
        nic.name);
  }
  auto attached = attached_xdp_program(nic.index);
  if (attached && attached->has_value() && !(*attached)->native) {
    base::log::info("interface {} ({}) has no native XDP; the kernel's generic path is used, which is slower",
                    nic.name, nic.driver);
    // The generic path sees segments after they were merged.
    if (const auto merging = receive_merging(nic.name); merging && *merging) {
      if (auto off = set_receive_merging(nic.name, false); !off) return std::move(off).error();
    }
  }
  return Nic{.claim = std::move(*claim),
             .takeover = std::nullopt,
             .devices = std::move(devices),
             .filter = std::move(*filter),
             .queues = queues};
}

}  // namespace sluice::dp
