#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <rte_mempool.h>

#include "base/fd.h"
#include "base/result.h"
#include "dp/ports/ethdev.h"
#include "dp/ports/interface_takeover.h"
#include "dp/ports/port_plan.h"
#include "dp/xdp/xdp_filter.h"

namespace sluice::dp {

/// The network side of a port: its DPDK device, configured and stopped, and what it holds of the kernel.
/// Members in the order of life.
struct Nic {
  base::Fd claim;                             ///< af_xdp, af_packet: the interface is this process's
  std::optional<InterfaceTakeover> takeover;  ///< af_packet
  /// Never empty. One, but for af_xdp on an interface without combined channels: one per receive queue there.
  std::vector<Ethdev> devices;
  std::optional<XdpFilter> filter;  ///< af_xdp
  EthdevQueues queues;              ///< of each device
};

/// Opens the device of any kind. `index` numbers the device's DPDK name. Error: see open_ports().
base::Result<Nic> open_nic(std::uint16_t index, const PortPlan& plan, const PlanOptions& options,
                           rte_mempool* pool, EalLog& log);

/// The part of it for af_xdp (nic_af_xdp.cc).
base::Result<Nic> open_af_xdp_nic(std::uint16_t index, const PortPlan& plan, rte_mempool* pool, EalLog& log);

/// The kernel's interface beside a port (twin.cc): with the port's MAC address and MTU, configured, stopped.
struct Twin {
  Ethdev device;
  EthdevQueues queues;
};
base::Result<Twin> open_twin(std::uint16_t index, const PortPlan& plan, const base::Mac& mac,
                             rte_mempool* pool, EalLog& log);

}  // namespace sluice::dp
