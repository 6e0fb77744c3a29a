#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "dp/flow/flow.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// A set of flow states.
class FlowStates {
 public:
  /// All that a flow in use can have.
  [[nodiscard]] static constexpr FlowStates used() noexcept {
    return where([](FlowState s) { return s != FlowState::unused; });
  }
  /// Those of connections that are not over.
  [[nodiscard]] static constexpr FlowStates alive() noexcept {
    return where([](FlowState s) { return s != FlowState::unused && class_of(s) != FlowClass::closed; });
  }
  [[nodiscard]] static constexpr FlowStates only(FlowState state) noexcept {
    return where([state](FlowState s) { return s == state; });
  }
  [[nodiscard]] constexpr bool contains(FlowState state) const noexcept {
    return (bits_ >> static_cast<unsigned>(state) & 1U) != 0;
  }

 private:
  template <typename Predicate>
  [[nodiscard]] static constexpr FlowStates where(Predicate&& wanted) noexcept {
    FlowStates set;
    for (unsigned i = 0; i < static_cast<unsigned>(FlowState::kCount); ++i) {
      if (wanted(static_cast<FlowState>(i))) set.bits_ = static_cast<std::uint16_t>(set.bits_ | 1U << i);
    }
    return set;
  }
  std::uint16_t bits_ = 0;
};

/// Something that the control thread wants done with a worker's flows, of which only the worker may touch
/// any: it goes over its table slice by slice, between two bursts.
///
/// Life: the asker makes it, hands it to the worker, waits for done(), takes the result. It must live until
/// then.
class FlowQuery {
 public:
  enum class Purpose : std::uint8_t {
    list,  ///< take rows()
    kill,  ///< end them, by RST to both ends
    /// The same for a server's sake: what it has not answered yet is tried elsewhere, while that is possible.
    take_from_server,
  };
  /// A flow as plain values, whichever its family.
  struct Row {
    base::IpAddress client, vip, local, server;
    base::Be16 client_port, vip_port, local_port, server_port;
    base::IpProto proto{};
    FlowState state{};
    std::uint16_t service = kNoIndex, server_slot = kNoIndex;
    base::Tick created, last_seen;
  };
  /// Unset members match all. Slots: several, because a name may have had several endpoints.
  struct Filter {
    std::optional<std::vector<bool>> services, servers;  ///< by slot
    std::optional<base::IpAddress> client;
    std::optional<base::Be16> client_port;
    FlowStates states = FlowStates::used();
  };

  /// `limit`: rows at most; room for as many is set aside.
  FlowQuery(Purpose purpose, Filter filter, std::size_t limit)
      : purpose_(purpose), filter_(std::move(filter)) {
    rows_.reserve(limit);
  }

  /// Looks at up to `records` further records, fewer when the worker's outbox is full; true when that was the
  /// last of them: the asker may be gone with the query by the time this returns. Thread: the worker.
  bool advance(const Snapshot& snapshot, WorkerState& worker, base::Tick now, std::uint32_t records) noexcept;

  [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  /// Pre: done().
  [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }
  /// Those beyond the limit, too; not those that are tried elsewhere.
  [[nodiscard]] std::uint64_t matched() const noexcept { return matched_; }
  [[nodiscard]] base::Tick taken_at() const noexcept { return taken_at_; }

 private:
  template <base::Family F>
  bool scan(const Snapshot& snapshot, WorkerState& worker, base::Tick now, std::uint32_t& budget) noexcept;
  template <base::Family F>
  [[nodiscard]] bool matches(const Flow<F>& flow) const noexcept;

  Purpose purpose_;
  Filter filter_;
  std::vector<Row> rows_;
  std::uint64_t matched_ = 0;
  base::Tick taken_at_;
  base::Family family_ = base::Family::v4;
  std::uint32_t next_ = 0;
  std::atomic<bool> done_{false};
};

/// A flow's values.
template <base::Family F>
[[nodiscard]] FlowQuery::Row row_of(const Flow<F>& flow, const FlowDetail& detail) noexcept {
  return {.client = flow.client,
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
          .created = detail.created,
          .last_seen = flow.last_seen};
}

}  // namespace sluice::dp
