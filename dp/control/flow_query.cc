#include "dp/control/flow_query.h"

#include <algorithm>

namespace sluice::dp {
namespace {

bool in(const std::optional<std::vector<bool>>& slots, std::uint16_t slot) noexcept {
  return !slots || (slot < slots->size() && (*slots)[slot]);
}

}  // namespace

template <base::Family F>
bool FlowQuery::scan(const FlowTable<F>& flows, std::uint32_t& budget) noexcept {
  const std::uint32_t end = flows.used_records();
  for (; next_ < end && budget != 0; ++next_, --budget) {
    const Flow<F>& flow = flows.flow(next_);
    if (flow.state == FlowState::unused || !in(filter_.services, flow.service) ||
        !in(filter_.servers, flow.server_slot) ||
        (filter_.client && *filter_.client != base::IpAddress(flow.client))) {
      continue;
    }
    ++matched_;
    if (rows_.size() == rows_.capacity()) continue;
    rows_.push_back({.client = flow.client,
                     .vip = flow.vip,
                     .local = flow.local,
                     .server = flow.server,
                     .client_port = flow.client_port,
                     .vip_port = flow.vip_port,
                     .local_port = flow.local_port,
                     .server_port = flow.server_port,
                     .proto = flow.proto,
                     .state = flow.state,
                     .service = flow.service,
                     .server_slot = flow.server_slot,
                     .created = flows.detail(next_).created,
                     .last_seen = flow.last_seen});
  }
  return next_ >= end;
}

bool FlowQuery::advance(WorkerState& worker, base::Tick now, std::uint32_t records) noexcept {
  if (family_ == base::Family::v4) {
    if (!scan(worker.flows_v4, records)) return false;
    family_ = base::Family::v6;
    next_ = 0;
  }
  if (!scan(worker.flows_v6, records)) return false;
  taken_at_ = now;
  done_.store(true, std::memory_order_release);
  return true;
}

}  // namespace sluice::dp
