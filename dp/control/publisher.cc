#include "dp/control/publisher.h"

#include <cerrno>

#include <rte_errno.h>
#include <rte_malloc.h>

namespace sluice::dp {

void Publisher::Free::operator()(rte_rcu_qsbr* v) const noexcept {
  ::rte_free(v);
}

base::Result<Publisher> Publisher::make(WorkerShared& shared, unsigned workers) {
  Publisher publisher(shared);
  const std::size_t size = ::rte_rcu_qsbr_get_memsize(workers);
  publisher.quiescence_.reset(
      static_cast<rte_rcu_qsbr*>(::rte_zmalloc("sluice_qsbr", size, RTE_CACHE_LINE_SIZE)));
  if (publisher.quiescence_ == nullptr)
    return base::system_error("snapshots: no memory for their book-keeping", ENOMEM);
  if (::rte_rcu_qsbr_init(publisher.quiescence_.get(), workers) != 0) {
    return base::system_error("snapshots: cannot set up their book-keeping", rte_errno);
  }
  shared.quiescence = publisher.quiescence_.get();
  return publisher;
}

std::uint64_t Publisher::publish(std::unique_ptr<Snapshot> snapshot) {
  snapshot->serial = ++serial_;
  std::unique_ptr<const Snapshot> before = std::exchange(current_, std::move(snapshot));
  shared_->snapshot.store(current_.get(), std::memory_order_release);
  if (before != nullptr) retired_.emplace_back(::rte_rcu_qsbr_start(shared_->quiescence), std::move(before));
  return serial_;
}

void Publisher::reclaim() {
  // Tokens rise: what an older snapshot still waits for, a younger one does as well.
  std::size_t done = 0;
  while (done < retired_.size() &&
         ::rte_rcu_qsbr_check(shared_->quiescence, retired_[done].first, false) == 1)
    ++done;
  retired_.erase(retired_.begin(), retired_.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace sluice::dp
