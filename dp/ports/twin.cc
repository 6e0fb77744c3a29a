/// Theory of operation. The twin is where the host's kernel lives while sluice has the NIC: ARP, ping, SSH,
/// VRRP. It has the NIC's MAC address, so that frames need no change on the way. virtio-user hands frames to
/// the kernel through /dev/vhost-net without a system call for each; where that device is missing, net_tap
/// does it by read and write. Either interface goes when the process goes, however it ends.
#include <fcntl.h>
#include <net/if.h>
#include <string>
#include <unistd.h>
#include <utility>

#include "base/log.h"
#include "dp/ports/nic.h"

namespace sluice::dp {

namespace {

constexpr const char* kVhostNet = "/dev/vhost-net";
// net_tap takes an mbuf for each descriptor and uses one of them.
constexpr std::uint16_t kTapDepth = 64;

base::Result<Ethdev> plug_virtio_user(std::uint16_t index, const PortPlan& plan, const base::Mac& mac,
                                      EalLog& log) {
  return Ethdev::plug("net_virtio_user" + std::to_string(index),
                      std::string("path=") + kVhostNet + ",queues=" + std::to_string(plan.twin_queues) +
                          ",queue_size=1024,iface=" + plan.config.twin_name + ",mac=" + mac.to_string(),
                      log);
}

base::Result<Ethdev> plug_tap(std::uint16_t index, const PortPlan& plan, const base::Mac& mac, EalLog& log) {
  auto device = Ethdev::plug("net_tap" + std::to_string(index),
                             "iface=" + plan.config.twin_name + ",mac=" + mac.to_string(), log);
  // On a kernel without some queueing discipline it complains that it cannot offload flows. None are.
  if (device) base::log::debug("twin {}: {}", plan.config.twin_name, log.take_complaint());
  return device;
}

}  // namespace

base::Result<Twin> open_twin(std::uint16_t index, const PortPlan& plan, const base::Mac& mac,
                             rte_mempool* pool, EalLog& log) {
  const EthdevQueues wanted{
      .rx = plan.twin_queues, .tx = plan.twin_queues, .rx_depth = kQueueDepth, .tx_depth = kQueueDepth};
  if (::access(kVhostNet, R_OK | W_OK) == 0) {
    auto device = plug_virtio_user(index, plan, mac, log);
    if (device) {
      if (auto configured = device->configure(wanted, pool, log); configured) {
        return Twin{.device = std::move(*device), .queues = wanted};
      }
    }
    base::log::info("twin {}: {} does not serve; a tap is used", plan.config.twin_name, kVhostNet);
  }
  auto device = plug_tap(index, plan, mac, log);
  if (!device) return std::move(device).error();
  EthdevQueues queues = wanted;
  queues.rx_depth = queues.tx_depth = kTapDepth;
  if (auto configured = device->configure(queues, pool, log); !configured)
    return std::move(configured).error();
  return Twin{.device = std::move(*device), .queues = queues};
}

}  // namespace sluice::dp
