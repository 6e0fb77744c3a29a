#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "dp/flow/flow.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// A listing of a worker's flows, asked for by the control thread and answered by the worker, who alone may
/// read them: a slice of the table between two bursts, into memory that the asker brought.
///
/// Life: the asker makes it, hands it to the worker, waits for done(), takes the rows. It must live until
/// then.
class FlowQuery {
 public:
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
  };

  FlowQuery(Filter filter, std::size_t limit) : filter_(std::move(filter)) { rows_.reserve(limit); }

  /// Looks at up to `records` further records; true when that was the last of them: the asker may be gone
  /// with the query by the time this returns. Thread: the worker.
  bool advance(WorkerState& worker, base::Tick now, std::uint32_t records) noexcept;

  [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  /// Pre: done().
  [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t matched() const noexcept { return matched_; }  ///< those beyond the limit, too
  [[nodiscard]] base::Tick taken_at() const noexcept { return taken_at_; }

 private:
  template <base::Family F>
  bool scan(const FlowTable<F>& flows, std::uint32_t& budget) noexcept;

  Filter filter_;
  std::vector<Row> rows_;
  std::uint64_t matched_ = 0;
  base::Tick taken_at_;
  base::Family family_ = base::Family::v4;
  std::uint32_t next_ = 0;
  std::atomic<bool> done_{false};
};

}  // namespace sluice::dp
