#include "dp/ports/nic.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <bpf/libbpf.h>

#include "base/log.h"

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

std::vector<Ethdev> alone(Ethdev device) {
  std::vector<Ethdev> devices;
  devices.push_back(std::move(device));
  return devices;
}

/// What the ring of a packet socket needs: frames of a power of two that hold the MTU and the kernel's
/// header, in blocks of whole pages.
std::string af_packet_arguments(const KernelInterface& nic, std::uint16_t queues) {
  constexpr std::uint32_t kFrameOverhead = 128;  // tpacket2_hdr, sockaddr_ll, Ethernet, VLAN tags
  constexpr std::uint32_t kFrames = 1024;
  const std::uint32_t frame = std::max<std::uint32_t>(2048, std::bit_ceil(nic.mtu + kFrameOverhead));
  const std::uint32_t block = std::max<std::uint32_t>(4096, frame);
  return "iface=" + nic.name + ",qpairs=" + std::to_string(queues) + ",framesz=" + std::to_string(frame) +
         ",blocksz=" + std::to_string(block) + ",framecnt=" + std::to_string(kFrames);
}

base::Result<Nic> open_af_packet(std::uint16_t index, const PortPlan& plan, EalLog& log) {
  auto claim = claim_interface(*plan.nic);
  if (!claim) return std::move(claim).error();
  // A program of ours that an af_xdp port left behind when it was killed would keep our frames from the
  // socket.
  if (auto program = attached_xdp_program(plan.nic->index);
      program && program->has_value() && (*program)->ours) {
    if (auto detached = detach_xdp_filter(plan.nic->index); !detached) return std::move(detached).error();
  }
  auto takeover = InterfaceTakeover::begin(*plan.nic, plan.twin_queues != 0);
  if (!takeover) return std::move(takeover).error();
  auto device =
      Ethdev::plug("net_af_packet" + std::to_string(index), af_packet_arguments(*plan.nic, plan.queues), log);
  if (!device) return std::move(device).error();
  return Nic{.claim = std::move(*claim),
             .takeover = std::move(*takeover),
             .devices = alone(std::move(*device)),
             .filter = std::nullopt,
             .queues = {.rx = plan.queues, .tx = plan.queues}};
}

/// "net_memif" + the arguments; any device string keeps the name that it begins with.
base::Result<Ethdev> plug_virtual(std::uint16_t index, const config::Port& port, EalLog& log) {
  if (port.kind == config::DeviceKind::memif) {
    return Ethdev::plug("net_memif" + std::to_string(index), port.argument, log);
  }
  const std::size_t comma = std::min(port.argument.find(','), port.argument.size());
  return Ethdev::plug(port.argument.substr(0, comma),
                      comma == port.argument.size() ? "" : port.argument.substr(comma + 1), log);
}

}  // namespace

base::Result<Nic> open_nic(std::uint16_t index, const PortPlan& plan, const PlanOptions& options,
                           rte_mempool* pool, EalLog& log) {
  ::libbpf_set_print(log_libbpf);
  const config::Port& port = plan.config;
  if (port.kind == config::DeviceKind::af_xdp) return open_af_xdp_nic(index, plan, pool, log);
  auto nic = [&]() -> base::Result<Nic> {
    if (port.kind == config::DeviceKind::af_packet) return open_af_packet(index, plan, log);
    auto device =
        port.kind == config::DeviceKind::pci ? Ethdev::adopt(port.argument) : plug_virtual(index, port, log);
    if (!device) return std::move(device).error();
    const bool paired = port.kind == config::DeviceKind::memif;
    const EthdevQueues queues{
        .rx = std::min(plan.queues, std::max<std::uint16_t>(device->max_rx_queues(), 1)),
        .tx = std::min(paired ? plan.queues : options.workers,
                       std::max<std::uint16_t>(device->max_tx_queues(), 1))};
    return Nic{.claim = base::Fd(),
               .takeover = std::nullopt,
               .devices = alone(std::move(*device)),
               .filter = std::nullopt,
               .queues = queues};
  }();
  if (!nic) return nic;
  nic->queues.rx_depth = nic->queues.tx_depth = kQueueDepth;
  if (auto configured = nic->devices.front().configure(nic->queues, pool, log); !configured) {
    return std::move(configured).error();
  }
  return nic;
}

}  // namespace sluice::dp
