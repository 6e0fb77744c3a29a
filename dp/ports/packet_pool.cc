#include "dp/ports/packet_pool.h"

#include <algorithm>
#include <string>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

namespace sluice::dp {

base::Result<PacketPool> make_packet_pool(const PortsPlan& plan) {
  const auto no_memory = [&] {
    return base::Error{base::ErrorCode::exhausted,
                       "packet memory: " + std::to_string(plan.mbufs) + " buffers (" +
                           std::to_string(plan.memory_mb) +
                           " MiB) do not fit; raise dataplane.memory_mb (0: as needed)"};
  };
  // Without this flag, and on 4-KiB pages, the pool would leave a gap before each page border: net_af_xdp
  // computes the size of its umem as if there were none. With virtual IOVAs nothing needs the physical
  // contiguity.
  const unsigned flags = ::rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0U;
  const unsigned element =
      static_cast<unsigned>(sizeof(rte_mbuf)) + plan.options.private_bytes + unsigned{plan.data_room};
  PacketPool pool(::rte_mempool_create_empty("packets", plan.mbufs, element, kMbufCache,
                                             sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, flags));
  if (pool == nullptr) return no_memory();
  if (const int error = ::rte_mempool_set_ops_byname(pool.get(), ::rte_mbuf_best_mempool_ops(), nullptr);
      error != 0) {
    return base::system_error("the packet pool has no operations", -error);
  }
  rte_pktmbuf_pool_private layout{};
  layout.mbuf_data_room_size = plan.data_room;
  layout.mbuf_priv_size = plan.options.private_bytes;
  ::rte_pktmbuf_pool_init(pool.get(), &layout);
  if (::rte_mempool_populate_default(pool.get()) < 0) return no_memory();
  ::rte_mempool_obj_iter(pool.get(), ::rte_pktmbuf_init, nullptr);
  const bool umem = std::any_of(plan.ports.begin(), plan.ports.end(), [](const PortPlan& port) {
    return port.config.kind == config::DeviceKind::af_xdp;
  });
  if (umem && pool->nb_mem_chunks != 1) {
    return base::Error{base::ErrorCode::exhausted,
                       "packet memory lies in " + std::to_string(pool->nb_mem_chunks) +
                           " pieces, af_xdp ports need it in one; reserve more hugepages, or set "
                           "dataplane.hugepages to \"off\""};
  }
  return pool;
}

}  // namespace sluice::dp
