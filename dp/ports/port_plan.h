#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/model.h"
#include "dp/ports/kernel_interface.h"

/// What opening the ports will take, found out before anything is started: which interfaces, how many queues,
/// how much packet memory. EAL is started by it, the ports are opened by it.
namespace sluice::dp {

/// Bytes in front of a frame that rewriting may grow into (VLAN tags, encapsulation).
inline constexpr std::uint16_t kHeadroom = 128;
/// Descriptors of a receive or transmit queue. net_af_xdp demands its own number for its rings (2,048).
inline constexpr std::uint16_t kQueueDepth = 2048;
/// Mbufs in a per-lcore cache of the pool.
inline constexpr std::uint16_t kMbufCache = 256;
/// Frames that may wait between two workers for transmission.
inline constexpr std::uint16_t kHandoverDepth = 1024;
/// net_tap 22.11 passes its queues' descriptors in a message that holds 8, and does not look whether they
/// fit.
inline constexpr std::uint16_t kMaxTwinQueues = 4;

struct PortPlan {
  config::Port config;
  std::optional<KernelInterface> nic;  ///< af_xdp, af_packet
  std::uint16_t queues = 1;            ///< pairs wanted; memif, vdev and pci may turn out to have fewer
  std::uint16_t twin_queues = 0;       ///< 0: no twin
};

struct PlanOptions {
  std::uint16_t workers = 1;
  /// Room behind each mbuf's header for its user's metadata, a multiple of 8.
  std::uint16_t private_bytes = 0;
  /// Mbufs that the pipeline itself may hold (rings, packets that wait for a neighbour), over all workers.
  std::uint32_t mbufs_in_flight = 0;
};

struct PortsPlan {
  PlanOptions options;
  std::vector<PortPlan> ports;
  std::uint32_t mbufs = 0;      ///< in the one pool
  std::uint16_t data_room = 0;  ///< bytes of an mbuf's buffer, headroom included
  std::uint32_t memory_mb = 0;  ///< that the pool and the drivers take

  [[nodiscard]] bool has_pci() const noexcept;
};

/// Error: an interface that does not exist, a queue count that the device cannot have, an MTU that does not
/// fit, a twin's name that is taken, two ports on one device.
base::Result<PortsPlan> plan_ports(const std::vector<config::Port>& ports, const PlanOptions& options);

}  // namespace sluice::dp
