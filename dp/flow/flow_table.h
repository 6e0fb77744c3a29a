#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "dp/flow/arena.h"
#include "dp/flow/flow.h"
#include "dp/flow/flow_hash.h"
#include "dp/flow/flow_index.h"
#include "dp/flow/timer_wheel.h"

namespace sluice::dp {

/// One worker's flows of one family: records, their index by both keys, their timers. No locks: one thread.
/// All memory is mapped at creation; nothing allocates afterwards.
template <base::Family F>
class FlowTable {
 public:
  /// `capacity`: records, 1 .. FlowIndex::kMaxRecords. Errors: exhausted.
  static base::Result<FlowTable> create(std::uint32_t capacity, const FlowHash& hash, base::Tick now);

  [[nodiscard]] std::uint64_t hash(const FlowKey<F>& key) const noexcept { return hash_(key); }
  /// FlowHash::of_client().
  [[nodiscard]] std::uint64_t client_hash(const base::Address<F>& address, base::Be16 port,
                                          base::IpProto proto) const noexcept {
    return hash_.of_client(address, port, proto);
  }
  /// Touches the bucket of a hash, then (once that has arrived) the record that it most likely leads to.
  void prefetch_bucket(std::uint64_t hash) const noexcept { index_.prefetch(hash); }
  void prefetch_record(std::uint64_t hash) const noexcept {
    const std::uint32_t record = index_.candidate(hash);
    if (record == kNoFlow) return;
    const auto* line = reinterpret_cast<const std::byte*>(&flows_[record]);
    for (std::size_t i = 0; i < sizeof(Flow<F>); i += kCacheLine) __builtin_prefetch(line + i, 1);
  }

  struct Found {
    std::uint32_t flow = kNoFlow;
    Direction direction = Direction::to_server;
    explicit operator bool() const noexcept { return flow != kNoFlow; }
  };
  [[nodiscard]] Found find(const FlowKey<F>& key, std::uint64_t hash) const noexcept {
    Found found;
    found.flow = index_.find(hash, [&](std::uint32_t record, Direction direction) {
      found.direction = direction;
      return flows_[record].key(direction) == key;
    });
    return found;
  }

  [[nodiscard]] Flow<F>& flow(std::uint32_t number) noexcept { return flows_[number]; }
  [[nodiscard]] const Flow<F>& flow(std::uint32_t number) const noexcept { return flows_[number]; }
  [[nodiscard]] FlowDetail& detail(std::uint32_t number) noexcept { return details_[number]; }
  [[nodiscard]] const FlowDetail& detail(std::uint32_t number) const noexcept { return details_[number]; }

  /// Takes `flow` in under both keys, to be looked at at `due`. kNoFlow when no record or index slot is free.
  /// Pre: neither key is in the table; flow.state is not unused.
  std::uint32_t insert(const Flow<F>& flow, base::Tick now, base::Tick due) noexcept;
  /// Frees the record. Pre: the flow is in use.
  void erase(std::uint32_t number) noexcept;

  /// Hangs the flow into the wheel of its state's class, to be looked at at `due`.
  void rearm(std::uint32_t number, base::Tick now, base::Tick due) noexcept;
  /// A flow whose timer has come up, or kNoFlow; stays due until it is erased or re-armed.
  [[nodiscard]] std::uint32_t due(base::Tick now) noexcept;
  /// The flow of a class that ends soonest, or kNoFlow.
  [[nodiscard]] std::uint32_t soonest(FlowClass c) const noexcept { return wheel(c).soonest(); }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t size(FlowClass c) const noexcept { return wheel(c).size(); }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(flows_.size()); }
  [[nodiscard]] bool full() const noexcept { return free_ == kNoFlow && fresh_ == capacity(); }
  /// Records from this number on have never been used.
  [[nodiscard]] std::uint32_t used_records() const noexcept { return fresh_; }
  /// All memory of the table.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  FlowTable(Arena arena, std::uint32_t capacity, const FlowHash& hash, base::Tick now) noexcept;
  [[nodiscard]] TimerWheel& wheel(FlowClass c) noexcept { return wheels_[static_cast<std::size_t>(c)]; }
  [[nodiscard]] const TimerWheel& wheel(FlowClass c) const noexcept {
    return wheels_[static_cast<std::size_t>(c)];
  }

  Arena arena_;
  std::span<Flow<F>> flows_;
  std::span<FlowDetail> details_;
  FlowIndex index_;
  FlowHash hash_;
  std::array<TimerWheel, static_cast<std::size_t>(FlowClass::kCount)> wheels_;
  std::uint32_t free_ = kNoFlow;  ///< first free record, linked by FlowDetail::next
  std::uint32_t fresh_ = 0;       ///< records from here on were never used
  std::uint32_t size_ = 0;
  std::size_t bytes_ = 0;
};

extern template class FlowTable<base::Family::v4>;
extern template class FlowTable<base::Family::v6>;

}  // namespace sluice::dp
