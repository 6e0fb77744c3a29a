#pragma once

#include <memory>

#include <rte_mempool.h>

#include "base/result.h"
#include "dp/ports/port_plan.h"

namespace sluice::dp {

struct PoolFree {
  void operator()(rte_mempool* pool) const noexcept { ::rte_mempool_free(pool); }
};
using PacketPool = std::unique_ptr<rte_mempool, PoolFree>;

/// The pool that all mbufs come from. One, so that a frame received on one port leaves by another without a
/// copy (net_af_xdp transmits from its own queue's pool only). Its objects lie in one piece, densely, as the
/// umem of net_af_xdp wants them. Error: not enough memory.
base::Result<PacketPool> make_packet_pool(const PortsPlan& plan);

}  // namespace sluice::dp
