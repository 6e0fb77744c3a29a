/// Theory of operation. net_af_xdp loads and attaches the XDP program while it sets up the first receive
/// queue, and refuses an interface that carries any program. One of ours whose process was killed is
/// therefore read, removed, and its rules given to the successor at once: between the two lie a few
/// milliseconds in which the kernel sees what is ours. A foreign program is left alone. The driver wants the
/// program as a path: it gets that of an anonymous file, so that nothing depends on where sluice is
/// installed.
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <net/if.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include <bpf/libbpf.h>

#include "base/log.h"
#include "dp/nic.h"

namespace sluice::dp {

namespace {

/// libbpf's own words, which hold the kernel's reason (extended acknowledgement), to our log.
int log_libbpf(libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_DEBUG) return 0;
  std::array<char, 1024> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, args);
  std::string text(line.data());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty()) base::log::debug("{}", text);
  return length;
}

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

base::Error explain(const PortPlan& plan, base::Error error) {
  if (::geteuid() != 0 && error.message.find("receive queues") != std::string::npos) {
    error.code = base::ErrorCode::permission;
    error.message += "; AF_XDP needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK: run as root";
  } else if (plan.nic->driver == "veth" && plan.nic->mtu > 1500) {
    error.message += "; a veth takes an XDP program only when its peer's MTU is at most about 3,500 bytes";
  }
  return error;
}

}  // namespace

base::Result<Nic> open_af_xdp_nic(std::uint16_t index, const PortPlan& plan, rte_mempool* pool, EalLog& log) {
  ::libbpf_set_print(log_libbpf);
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

  std::string arguments = "iface=" + nic.name + ",start_queue=0,queue_count=" + std::to_string(plan.queues) +
                          ",xdp_prog=/proc/self/fd/" + std::to_string(file->get());
  if (is_virtual(nic)) arguments += ",busy_budget=0";
  auto device = Ethdev::plug("net_af_xdp" + std::to_string(index), arguments, log);
  if (!device) return std::move(device).error();
  const EthdevQueues queues{
      .rx = plan.queues, .tx = plan.queues, .rx_depth = kQueueDepth, .tx_depth = kQueueDepth};
  if (auto configured = device->configure(queues, pool, log); !configured) {
    return explain(plan, std::move(configured).error());
  }
  auto filter = XdpFilter::open(nic.index);
  if (!filter) return std::move(filter).error();
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
             .device = std::move(*device),
             .filter = std::move(*filter),
             .queues = queues};
}

}  // namespace sluice::dp
