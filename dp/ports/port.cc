#include "dp/ports/port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <rte_ethdev.h>

#include "base/log.h"

namespace sluice::dp {

namespace {

const char* name_of(config::DeviceKind kind) noexcept {
  switch (kind) {
    case config::DeviceKind::af_xdp: return "af_xdp";
    case config::DeviceKind::af_packet: return "af_packet";
    case config::DeviceKind::memif: return "memif";
    case config::DeviceKind::pci: return "pci";
    case config::DeviceKind::vdev: return "vdev";
  }
  return "";
}

/// `per_device` queues of each device, in order.
std::vector<WorkerQueues::Queue> queues_of(std::span<const Ethdev> devices, std::uint16_t per_device) {
  std::vector<WorkerQueues::Queue> queues;
  for (const Ethdev& device : devices) {
    for (std::uint16_t queue = 0; queue < per_device; ++queue) queues.push_back({device.id(), queue});
  }
  return queues;
}

base::Error about(const std::string& name, base::Error error) {
  error.message = "port \"" + name + "\": " + error.message;
  return error;
}

}  // namespace

base::Result<Port> Port::open(std::uint16_t index, const PortPlan& plan, const PlanOptions& options,
                              rte_mempool* pool, EalLog& log) {
  const std::string& name = plan.config.name;
  auto nic = open_nic(index, plan, options, pool, log);
  if (!nic) return about(name, std::move(nic).error());
  auto nic_queues = WorkerQueues::make(queues_of(nic->devices, nic->queues.rx),
                                       queues_of(nic->devices, nic->queues.tx), options.workers);
  if (!nic_queues) return about(name, std::move(nic_queues).error());

  std::optional<Twin> twin;
  std::optional<WorkerQueues> twin_queues;
  if (plan.twin_queues != 0) {
    auto opened = open_twin(index, plan, nic->devices.front().mac(), pool, log);
    if (!opened) return about(name, std::move(opened).error());
    const std::span twin_device(&opened->device, 1);
    auto queues = WorkerQueues::make(queues_of(twin_device, opened->queues.rx),
                                     queues_of(twin_device, opened->queues.tx), options.workers);
    if (!queues) return about(name, std::move(queues).error());
    twin.emplace(std::move(*opened));
    twin_queues.emplace(std::move(*queues));
  }
  return Port(index, plan, std::move(*nic), std::move(twin), std::move(*nic_queues), std::move(twin_queues));
}

Port::Port(std::uint16_t index, const PortPlan& plan, Nic nic, std::optional<Twin> twin,
           WorkerQueues nic_queues, std::optional<WorkerQueues> twin_queues)
    : index_(index),
      name_(plan.config.name),
      device_(std::string(name_of(plan.config.kind)) + ":" + plan.config.argument),
      nic_interface_(plan.nic ? plan.nic->name : ""),
      nic_ifindex_(plan.nic ? plan.nic->index : 0),
      mac_(nic.devices.front().mac()),
      mtu_(plan.nic ? plan.nic->mtu : nic.devices.front().mtu()),
      nic_(std::move(nic)),
      twin_(std::move(twin)),
      nic_queues_(std::move(nic_queues)),
      twin_queues_(std::move(twin_queues)) {
  if (nic_.filter) {
    interface_ = nic_interface_;
  } else if (twin_) {
    interface_ = plan.config.twin_name;
  }
  if (!interface_.empty()) ifindex_ = static_cast<int>(::if_nametoindex(interface_.c_str()));
}

base::Result<void> Port::start(EalLog& log) {
  for (Ethdev& device : nic_.devices) {
    if (auto started = device.start(log); !started) return about(name_, std::move(started).error());
  }
  if (!nic_.filter && nic_interface_.empty()) {
    // The twin's multicast memberships (ND, VRRP) are not the device's. Drivers without a filter refuse:
    // fine.
    if (::rte_eth_allmulticast_enable(nic_.devices.front().id()) != 0)
      ::rte_eth_promiscuous_enable(nic_.devices.front().id());
  }
  if (twin_) {
    if (auto set = set_interface_mtu(interface_, mtu_); !set) return about(name_, std::move(set).error());
    if (auto started = twin_->device.start(log); !started) return about(name_, std::move(started).error());
    if (auto up = change_interface_flags(interface_, IFF_UP, 0); !up)
      return about(name_, std::move(up).error());
  }
  base::log::info("port {}: {} ({}), MAC {}, MTU {}, {} receive and {} transmit queues{}", name_, device_,
                  driver(), mac_.to_string(), mtu_, nic_queues_.rx_queues(), nic_queues_.tx_queues(),
                  twin_ ? ", kernel twin " + interface_ + " (" + twin_->device.driver() + ")" : "");
  return {};
}

void Port::hear(std::vector<base::Mac> macs) {
  if (nic_.filter || macs == heard_) return;
  const std::uint16_t id = nic_.devices.front().id();
  const auto ether = [](const base::Mac& mac) {
    rte_ether_addr out;
    std::memcpy(out.addr_bytes, mac.bytes.data(), sizeof out.addr_bytes);
    return out;
  };
  for (const base::Mac& mac : heard_) {
    rte_ether_addr address = ether(mac);
    if (std::ranges::find(macs, mac) == macs.end()) (void)::rte_eth_dev_mac_addr_remove(id, &address);
  }
  for (const base::Mac& mac : macs) {
    if (std::ranges::find(heard_, mac) != heard_.end()) continue;
    rte_ether_addr address = ether(mac);
    // A driver that refuses both has no filter.
    if (::rte_eth_dev_mac_addr_add(id, &address, 0) != 0) (void)::rte_eth_promiscuous_enable(id);
  }
  heard_ = std::move(macs);
}

std::vector<std::uint16_t> Port::ethdevs() const {
  std::vector<std::uint16_t> ids;
  for (const Ethdev& device : nic_.devices) ids.push_back(device.id());
  return ids;
}

std::string Port::lost_interface() const {
  const auto is_there = [](int index) {
    return index == 0 || !interface_name(index).empty() || errno != ENXIO;
  };
  if (!is_there(nic_ifindex_)) return nic_interface_;
  return is_there(ifindex_) ? std::string() : interface_;
}

bool Port::link_up() const {
  if (nic_ifindex_ != 0) return interface_running(interface_name(nic_ifindex_));
  rte_eth_link link{};
  return ::rte_eth_link_get_nowait(nic_.devices.front().id(), &link) == 0 &&
         link.link_status == RTE_ETH_LINK_UP;
}

void Port::pass_link_on() {
  if (!twin_) return;
  const bool link = link_up();
  if (link != twin_has_link_) {
    std::atomic_ref(twin_has_link_).store(link, std::memory_order_relaxed);
    base::log::info("port {}: link is {}, its twin {} follows", name_, link ? "up" : "down", interface_);
  }
  if (link == twin_carrier_) return;
  const auto set = set_interface_carrier(ifindex_, link);
  if (set) {
    twin_carrier_ = link;
    carrier_failure_.clear();
  } else if (std::exchange(carrier_failure_, set.error().message) != set.error().message) {
    base::log::warn("port {}: twin: {}; it is tried again", name_, set.error().message);
  }
}

PortCounters Port::counters() const {
  PortCounters sum{};
  for (const Ethdev& device : nic_.devices) {
    rte_eth_stats stats{};
    if (::rte_eth_stats_get(device.id(), &stats) != 0) continue;
    sum.rx_packets += stats.ipackets;
    sum.rx_bytes += stats.ibytes;
    sum.tx_packets += stats.opackets;
    sum.tx_bytes += stats.obytes;
    sum.rx_missed += stats.imissed;
    sum.rx_errors += stats.ierrors;
    sum.tx_errors += stats.oerrors;
    sum.rx_nombuf += stats.rx_nombuf;
  }
  sum.tx_errors += nic_queues_.dropped();
  sum.handed_over = nic_queues_.handed_over();
  return sum;
}

}  // namespace sluice::dp
