#include "dp/ports/ethdev.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "base/log.h"

namespace sluice::dp {

namespace {

constexpr std::uint16_t kNone = RTE_MAX_ETHPORTS;

base::Error failed(const std::string& device, const char* what, int error, EalLog& log) {
  std::string text = "device " + device + " " + what;
  if (const std::string complaint = log.take_complaint(); !complaint.empty()) text += " (" + complaint + ")";
  return base::system_error(std::move(text), error < 0 ? -error : error);
}

rte_eth_dev_info info_of(std::uint16_t id) noexcept {
  rte_eth_dev_info info{};
  if (::rte_eth_dev_info_get(id, &info) != 0) std::memset(&info, 0, sizeof(info));
  return info;
}

}  // namespace

base::Result<Ethdev> Ethdev::plug(const std::string& name, const std::string& arguments, EalLog& log) {
  log.release();
  if (const int error = ::rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str()); error != 0) {
    return failed(name, "cannot be made", error, log);
  }
  std::uint16_t id = kNone;
  if (const int error = ::rte_eth_dev_get_port_by_name(name.c_str(), &id); error != 0) {
    ::rte_eal_hotplug_remove("vdev", name.c_str());
    return failed(name, "is not an Ethernet device", error, log);
  }
  return Ethdev(id, name, true);
}

base::Result<Ethdev> Ethdev::adopt(const std::string& pci_address) {
  std::uint16_t id = kNone;
  const std::string address = pci_address.substr(0, pci_address.find(','));
  for (const std::string& name : {address, "0000:" + address}) {
    if (::rte_eth_dev_get_port_by_name(name.c_str(), &id) == 0) return Ethdev(id, name, false);
  }
  return base::Error{base::ErrorCode::not_found,
                     "PCI device " + address +
                         " is not there for DPDK; bind it to vfio-pci with: dpdk-devbind.py "
                         "--bind=vfio-pci " +
                         address};
}

Ethdev::Ethdev(Ethdev&& other) noexcept
    : id_(std::exchange(other.id_, kNone)),
      name_(std::move(other.name_)),
      plugged_(other.plugged_),
      started_(std::exchange(other.started_, false)) {}

Ethdev::~Ethdev() {
  if (id_ == kNone) return;
  if (started_) ::rte_eth_dev_stop(id_);
  const int error = plugged_ ? ::rte_eal_hotplug_remove("vdev", name_.c_str()) : ::rte_eth_dev_close(id_);
  if (error != 0)
    base::log::warn("device {} cannot be closed: {}", name_, ::rte_strerror(error < 0 ? -error : error));
}

std::string Ethdev::driver() const {
  const rte_eth_dev_info info = info_of(id_);
  return info.driver_name == nullptr ? "" : info.driver_name;
}

base::Mac Ethdev::mac() const noexcept {
  base::Mac mac;
  rte_ether_addr address{};
  if (::rte_eth_macaddr_get(id_, &address) == 0)
    std::memcpy(mac.bytes.data(), address.addr_bytes, mac.bytes.size());
  return mac;
}

std::uint16_t Ethdev::mtu() const noexcept {
  std::uint16_t mtu = 0;
  return ::rte_eth_dev_get_mtu(id_, &mtu) == 0 ? mtu : RTE_ETHER_MTU;
}

std::uint16_t Ethdev::max_rx_queues() const noexcept {
  return info_of(id_).max_rx_queues;
}
std::uint16_t Ethdev::max_tx_queues() const noexcept {
  return info_of(id_).max_tx_queues;
}
int Ethdev::numa_node() const noexcept {
  return ::rte_eth_dev_socket_id(id_);
}

base::Result<void> Ethdev::configure(const EthdevQueues& queues, rte_mempool* pool, EalLog& log) {
  log.release();
  const rte_eth_dev_info info = info_of(id_);
  rte_eth_conf conf{};
  if (queues.rx > 1 && info.flow_type_rss_offloads != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
  }
  if (const int error = ::rte_eth_dev_configure(id_, queues.rx, queues.tx, &conf); error != 0) {
    return failed(name_, "cannot have these queues", error, log);
  }
  std::uint16_t rx_depth = queues.rx_depth;
  std::uint16_t tx_depth = queues.tx_depth;
  if (const int error = ::rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_depth, &tx_depth); error != 0) {
    return failed(name_, "cannot have queues of this depth", error, log);
  }
  const auto socket = static_cast<unsigned>(numa_node());
  for (std::uint16_t queue = 0; queue < queues.rx; ++queue) {
    if (const int error = ::rte_eth_rx_queue_setup(id_, queue, rx_depth, socket, nullptr, pool); error != 0) {
      return failed(name_, "cannot set up its receive queues", error, log);
    }
  }
  for (std::uint16_t queue = 0; queue < queues.tx; ++queue) {
    if (const int error = ::rte_eth_tx_queue_setup(id_, queue, tx_depth, socket, nullptr); error != 0) {
      return failed(name_, "cannot set up its transmit queues", error, log);
    }
  }
  return {};
}

base::Result<void> Ethdev::start(EalLog& log) {
  log.release();
  if (const int error = ::rte_eth_dev_start(id_); error != 0)
    return failed(name_, "cannot start", error, log);
  started_ = true;
  return {};
}

}  // namespace sluice::dp
