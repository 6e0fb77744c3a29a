#pragma once

#include <cstdint>
#include <string>

#include <rte_mempool.h>

#include "base/address.h"
#include "base/result.h"
#include "dp/eal_log.h"

namespace sluice::dp {

/// How many queues of what depth an Ethdev gets.
struct EthdevQueues {
  std::uint16_t rx = 1;
  std::uint16_t tx = 1;
  std::uint16_t rx_depth = 0;
  std::uint16_t tx_depth = 0;
};

/// Owns one DPDK Ethernet device: stops and unplugs it when it goes. Thread: the control thread. REQUIRES at
/// destruction: no worker uses it any more; the pool of its queues still lives.
class Ethdev {
 public:
  /// Makes the virtual device `name` ("net_tap0") with the driver's arguments. `log`: where drivers complain;
  /// the error quotes it.
  static base::Result<Ethdev> plug(const std::string& name, const std::string& arguments, EalLog& log);
  /// The PCI device that EAL found at its start.
  static base::Result<Ethdev> adopt(const std::string& pci_address);
  Ethdev(Ethdev&& other) noexcept;
  Ethdev& operator=(Ethdev&&) = delete;
  ~Ethdev();

  [[nodiscard]] std::uint16_t id() const noexcept { return id_; }
  [[nodiscard]] std::string driver() const;
  [[nodiscard]] base::Mac mac() const noexcept;
  [[nodiscard]] std::uint16_t mtu() const noexcept;
  [[nodiscard]] std::uint16_t max_rx_queues() const noexcept;
  [[nodiscard]] std::uint16_t max_tx_queues() const noexcept;
  [[nodiscard]] int numa_node() const noexcept;

  /// Sets the queues up, no offloads but RSS where there are several receive queues and the device has it.
  base::Result<void> configure(const EthdevQueues& queues, rte_mempool* pool, EalLog& log);
  base::Result<void> start(EalLog& log);

 private:
  Ethdev(std::uint16_t id, std::string name, bool plugged) noexcept
      : id_(id), name_(std::move(name)), plugged_(plugged) {}

  std::uint16_t id_;
  std::string name_;
  bool plugged_;
  bool started_ = false;
};

}  // namespace sluice::dp
