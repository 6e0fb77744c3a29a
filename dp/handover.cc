#include "dp/handover.h"

#include <string>

#include <rte_errno.h>
#include <rte_lcore.h>

namespace sluice::dp {

base::Result<Handover> Handover::make(unsigned workers) {
  Handover handover(workers);
  handover.rings_.resize(std::size_t{workers} * workers);
  for (unsigned from = 0; from < workers; ++from) {
    for (unsigned to = 0; to < workers; ++to) {
      if (from == to) continue;
      const std::string name = "handover_" + std::to_string(from) + "_" + std::to_string(to);
      auto& ring = handover.rings_[from * workers + to];
      ring.reset(::rte_ring_create(name.c_str(), kDepth, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ));
      if (ring == nullptr) return base::system_error("rings between workers: cannot make " + name, rte_errno);
    }
  }
  return handover;
}

Handover::~Handover() {
  for (auto& ring : rings_) {
    void* mbuf = nullptr;
    while (ring != nullptr && ::rte_ring_sc_dequeue(ring.get(), &mbuf) == 0) {
      ::rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
    }
  }
}

}  // namespace sluice::dp
