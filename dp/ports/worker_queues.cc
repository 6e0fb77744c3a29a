#include "dp/ports/worker_queues.h"

#include <string>
#include <utility>

#include <rte_errno.h>

#include "dp/ports/port_plan.h"

namespace sluice::dp {

base::Result<WorkerQueues> WorkerQueues::make(const std::vector<Queue>& rx, const std::vector<Queue>& tx,
                                              std::uint16_t workers) {
  WorkerQueues queues(static_cast<std::uint16_t>(rx.size()), static_cast<std::uint16_t>(tx.size()));
  for (std::uint16_t worker = 0; worker < workers; ++worker) {
    auto lane = std::make_unique<Lane>();
    for (std::size_t queue = worker; queue < rx.size(); queue += workers) lane->rx.push_back(rx[queue]);
    const std::size_t owner = worker % tx.size();
    lane->tx = tx[owner];
    if (worker >= tx.size()) {
      const std::string name = "tx_" + std::to_string(lane->tx.ethdev) + "_" + std::to_string(worker);
      lane->to_owner.reset(
          ::rte_ring_create(name.c_str(), kHandoverDepth, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ));
      if (lane->to_owner == nullptr) {
        return base::system_error("no memory for the transmit ring of worker " + std::to_string(worker),
                                  rte_errno);
      }
      queues.lanes_[owner]->from_others.push_back(lane->to_owner.get());
    }
    queues.lanes_.push_back(std::move(lane));
  }
  return queues;
}

WorkerQueues::~WorkerQueues() {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    void* mbuf = nullptr;
    while (lane->to_owner != nullptr && ::rte_ring_dequeue(lane->to_owner.get(), &mbuf) == 0) {
      ::rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
    }
  }
}

std::uint64_t WorkerQueues::handed_over() const noexcept {
  std::uint64_t sum = 0;
  for (const std::unique_ptr<Lane>& lane : lanes_) sum += lane->handed_over.load(std::memory_order_relaxed);
  return sum;
}

std::uint64_t WorkerQueues::dropped() const noexcept {
  std::uint64_t sum = 0;
  for (const std::unique_ptr<Lane>& lane : lanes_) sum += lane->dropped.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace sluice::dp
