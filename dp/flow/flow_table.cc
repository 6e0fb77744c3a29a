#include "dp/flow/flow_table.h"

#include <string>

namespace sluice::dp {
namespace {

struct Layout {
  std::size_t buckets, flows, details, bytes;
};

template <base::Family F>
constexpr Layout layout(std::uint32_t capacity) noexcept {
  Layout l{};
  const std::size_t buckets = FlowIndex::main_buckets(capacity) + FlowIndex::overflow_buckets(capacity);
  l.buckets = 0;
  l.flows = buckets * sizeof(FlowBucket);
  l.details = l.flows + capacity * sizeof(Flow<F>);
  l.bytes = l.details + capacity * sizeof(FlowDetail);
  return l;
}

}  // namespace

template <base::Family F>
base::Result<FlowTable<F>> FlowTable<F>::create(std::uint32_t capacity, const FlowHash& hash,
                                                base::Tick now) {
  if (capacity == 0 || capacity > FlowIndex::kMaxRecords) {
    return base::Error{base::ErrorCode::invalid, "flow table: " + std::to_string(capacity) +
                                                     " flows per worker are not between 1 and " +
                                                     std::to_string(FlowIndex::kMaxRecords)};
  }
  auto arena = Arena::map(layout<F>(capacity).bytes, "flow table");
  if (!arena) return std::move(arena).error();
  return FlowTable(std::move(*arena), capacity, hash, now);
}

template <base::Family F>
FlowTable<F>::FlowTable(Arena arena, std::uint32_t capacity, const FlowHash& hash, base::Tick now) noexcept
    : arena_(std::move(arena)),
      flows_(arena_.view<Flow<F>>(layout<F>(capacity).flows, capacity)),
      details_(arena_.view<FlowDetail>(layout<F>(capacity).details, capacity)),
      index_(arena_.view<FlowBucket>(
                 0, FlowIndex::main_buckets(capacity) + std::size_t{FlowIndex::overflow_buckets(capacity)}),
             capacity),
      hash_(hash),
      wheels_{TimerWheel(now), TimerWheel(now), TimerWheel(now)},
      bytes_(layout<F>(capacity).bytes) {}

template <base::Family F>
std::uint32_t FlowTable<F>::insert(const Flow<F>& flow, base::Tick now, base::Tick due) noexcept {
  // Records join the free list only once they have been used: pages of an idle table are never touched.
  const bool reuse = free_ != kNoFlow;
  const std::uint32_t number = reuse ? free_ : fresh_;
  if (number == capacity()) return kNoFlow;
  const std::uint64_t client_hash = hash_(flow.client_key());
  if (!index_.insert(client_hash, number, Direction::to_server)) return kNoFlow;
  if (!index_.insert(hash_(flow.server_key()), number, Direction::to_client)) {
    index_.erase(client_hash, number, Direction::to_server);
    return kNoFlow;
  }
  if (reuse) {
    free_ = details_[number].next;
  } else {
    ++fresh_;
  }
  flows_[number] = flow;
  FlowDetail& detail = details_[number];
  detail = FlowDetail{};
  detail.created = now;
  detail.wheel = class_of(flow.state);
  wheel(detail.wheel).add(details_.data(), number, now, due);
  ++size_;
  return number;
}

template <base::Family F>
void FlowTable<F>::erase(std::uint32_t number) noexcept {
  Flow<F>& flow = flows_[number];
  FlowDetail& detail = details_[number];
  index_.erase(hash_(flow.client_key()), number, Direction::to_server);
  index_.erase(hash_(flow.server_key()), number, Direction::to_client);
  wheel(detail.wheel).remove(details_.data(), number);
  flow.state = FlowState::unused;
  detail.next = free_;
  free_ = number;
  --size_;
}

template <base::Family F>
void FlowTable<F>::rearm(std::uint32_t number, base::Tick now, base::Tick due) noexcept {
  FlowDetail& detail = details_[number];
  wheel(detail.wheel).remove(details_.data(), number);
  detail.wheel = class_of(flows_[number].state);
  wheel(detail.wheel).add(details_.data(), number, now, due);
}

template <base::Family F>
std::uint32_t FlowTable<F>::due(base::Tick now) noexcept {
  for (TimerWheel& w : wheels_) {
    const std::uint32_t number = w.due(now);
    if (number != kNoFlow) return number;
  }
  return kNoFlow;
}

template class FlowTable<base::Family::v4>;
template class FlowTable<base::Family::v6>;

}  // namespace sluice::dp
