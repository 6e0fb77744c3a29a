#include "dp/control/flow_query.h"

#include "dp/flow/attempt.h"
#include "dp/flow/flow_life.h"

namespace sluice::dp {
namespace {

using base::Family;

bool in(const std::optional<std::vector<bool>>& slots, std::uint16_t slot) noexcept {
  return !slots || (slot < slots->size() && (*slots)[slot]);
}

}  // namespace

template <Family F>
bool FlowQuery::matches(const Flow<F>& flow) const noexcept {
  return flow.state != FlowState::unused && filter_.states.contains(flow.state) &&
         in(filter_.services, flow.service) && in(filter_.servers, flow.server_slot) &&
         (!filter_.client || *filter_.client == base::IpAddress(flow.client)) &&
         (!filter_.client_port || *filter_.client_port == flow.client_port);
}

template <Family F>
bool FlowQuery::scan(const Snapshot& snapshot, WorkerState& worker, base::Tick now,
                     std::uint32_t& budget) noexcept {
  const FlowTable<F>& flows = worker.flows<F>();
  for (; next_ < flows.used_records() && budget != 0; ++next_, --budget) {
    const Flow<F>& flow = flows.flow(next_);
    if (!matches(flow)) continue;
    if (purpose_ == Purpose::list) {
      if (rows_.size() < rows_.capacity()) rows_.push_back(row_of(flow, flows.detail(next_)));
    } else if (purpose_ == Purpose::take_from_server && withdraw_attempt<F>(next_, snapshot, worker, now)) {
      continue;
    } else if (kill_flow<F>(next_, snapshot, worker, now) == Killing::no_room) {
      budget = 0;
      return false;
    }
    ++matched_;
  }
  return next_ >= flows.used_records();
}

bool FlowQuery::advance(const Snapshot& snapshot, WorkerState& worker, base::Tick now,
                        std::uint32_t records) noexcept {
  if (family_ == Family::v4) {
    if (!scan<Family::v4>(snapshot, worker, now, records)) return false;
    family_ = Family::v6;
    next_ = 0;
  }
  if (!scan<Family::v6>(snapshot, worker, now, records)) return false;
  taken_at_ = now;
  done_.store(true, std::memory_order_release);
  return true;
}

}  // namespace sluice::dp
