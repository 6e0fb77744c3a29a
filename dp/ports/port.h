#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rte_mempool.h>

#include "base/address.h"
#include "base/result.h"
#include "dp/ports/nic.h"
#include "dp/ports/port_plan.h"
#include "dp/ports/worker_queues.h"

namespace sluice::dp {

struct PortCounters {
  std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
  std::uint64_t rx_missed = 0, rx_errors = 0, tx_errors = 0, rx_nombuf = 0;
  std::uint64_t handed_over = 0;  ///< sent through another worker's queue
};

/// A place where packets come and go: a DPDK device, and the kernel's interface beside it.
///
/// Theory of operation. Under af_xdp the NIC stays the kernel's; our XDP program takes from it what is
/// sluice's, and all else never gets here. Every other kind has the whole NIC, and a twin: an interface of
/// the kernel with the port's MAC address. What is not sluice's is sent to the twin, what the twin's kernel
/// sends goes out of the NIC; the workers do both.
class Port {
 public:
  /// Opens the device and its twin, stopped. `index`: of the port among the ports. Error: one sentence that
  /// begins with the port's name.
  static base::Result<Port> open(std::uint16_t index, const PortPlan& plan, const PlanOptions& options,
                                 rte_mempool* pool, EalLog& log);
  Port(Port&&) noexcept = default;

  /// Starts the device and the twin. From here frames may arrive.
  base::Result<void> start(EalLog& log);

  [[nodiscard]] std::uint16_t index() const noexcept { return index_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// As configured: "af_xdp:ens6".
  [[nodiscard]] const std::string& device() const noexcept { return device_; }
  /// DPDK's name: "net_af_xdp".
  [[nodiscard]] std::string driver() const { return nic_.devices.front().driver(); }
  [[nodiscard]] const base::Mac& mac() const noexcept { return mac_; }
  [[nodiscard]] std::uint16_t mtu() const noexcept { return mtu_; }
  /// The kernel interface that the kernel mirror is to follow: the NIC under af_xdp, else the twin. Empty and
  /// 0: none.
  [[nodiscard]] const std::string& interface() const noexcept { return interface_; }
  [[nodiscard]] int ifindex() const noexcept { return ifindex_; }

  /// DPDK's ids of the device, or devices: what rte_mbuf::port says of frames that nic() received.
  [[nodiscard]] std::vector<std::uint16_t> ethdevs() const;

  /// The device's queues, by worker.
  [[nodiscard]] WorkerQueues& nic() noexcept { return nic_queues_; }
  [[nodiscard]] const WorkerQueues& nic() const noexcept { return nic_queues_; }
  /// The twin's; null when there is none.
  [[nodiscard]] WorkerQueues* twin() noexcept { return twin_queues_ ? &*twin_queues_ : nullptr; }
  [[nodiscard]] const WorkerQueues* twin() const noexcept { return twin_queues_ ? &*twin_queues_ : nullptr; }
  /// af_xdp only; else null.
  [[nodiscard]] XdpFilter* filter() noexcept { return nic_.filter ? &*nic_.filter : nullptr; }

  /// Has the device let frames to these MAC addresses through, besides its own, and to no others. Under
  /// af_xdp the kernel sees to it, since the interfaces with these addresses stand on the NIC itself. Thread:
  /// the control thread.
  void hear(std::vector<base::Mac> macs);

  /// A kernel interface that the port stands on has been deleted: the port is dead, and does not come back
  /// with another interface of that name. Empty: none.
  [[nodiscard]] std::string lost_interface() const;
  [[nodiscard]] bool link_up() const;
  /// Gives the twin the NIC's link. Thread: the control thread.
  void pass_link_on();
  /// What the twin's kernel sends is to go out. Without a link it would stay in the NIC's ring until that
  /// returns, by when it is no longer true: an advert of old. Thread: any.
  [[nodiscard]] bool sends_for_twin() const noexcept {
    return std::atomic_ref(twin_has_link_).load(std::memory_order_relaxed);
  }
  /// Since the start of the process. Thread: the control thread.
  [[nodiscard]] PortCounters counters() const;

 private:
  Port(std::uint16_t index, const PortPlan& plan, Nic nic, std::optional<Twin> twin, WorkerQueues nic_queues,
       std::optional<WorkerQueues> twin_queues);

  std::uint16_t index_;
  std::string name_;
  std::string device_;
  std::string nic_interface_;  // the kernel's name of the NIC; empty where it has none
  int nic_ifindex_ = 0;        // 0: none
  std::string interface_;
  int ifindex_ = 0;
  base::Mac mac_;
  std::vector<base::Mac> heard_;
  std::uint16_t mtu_ = 0;
  Nic nic_;
  std::optional<Twin> twin_;
  mutable bool twin_has_link_ = true;  // by atomic_ref; written by the control thread
  bool twin_carrier_ = true;           // as the twin's kernel was told
  std::string carrier_failure_;        // of the last attempt to tell it
  WorkerQueues nic_queues_;
  std::optional<WorkerQueues> twin_queues_;
};

}  // namespace sluice::dp
