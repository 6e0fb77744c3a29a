#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "dp/eal.h"
#include "dp/ports/packet_pool.h"
#include "dp/ports/port.h"
#include "dp/ports/port_plan.h"

namespace sluice::dp {

/// All ports and the pool that their frames come from. Must go before the Eal, after the workers. Thread: the
/// control thread; workers use the queues of each Port only.
class PortSet {
 public:
  [[nodiscard]] std::span<const std::unique_ptr<Port>> ports() const noexcept { return ports_; }
  [[nodiscard]] rte_mempool* pool() const noexcept { return pool_.get(); }

  /// Makes the XDP program of every af_xdp port follow the table. Error: the first port's that failed; the
  /// others follow all the same.
  base::Result<void> update_filters(const FilterTable& table);

 private:
  friend base::Result<PortSet> open_ports(const PortsPlan& plan, const Eal& eal);
  PortSet() = default;

  PacketPool pool_;
  std::vector<std::unique_ptr<Port>> ports_;
};

/// Opens all ports, then starts them all. On an error nothing is left: the ports that were open are closed,
/// their twins and XDP programs are gone. Error: one sentence that begins with the port's name; a missing
/// interface, a missing right, an interface in use.
base::Result<PortSet> open_ports(const PortsPlan& plan, const Eal& eal);

}  // namespace sluice::dp
