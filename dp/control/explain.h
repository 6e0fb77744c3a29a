#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "config/explain.h"
#include "dp/choose_server.h"
#include "dp/client_limits.h"
#include "dp/control/flow_query.h"
#include "dp/flow/flow.h"
#include "dp/flow/flow_life.h"
#include "dp/flow/flow_source.h"
#include "dp/kernel/adjacency_table.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// Theory of operation. What would become of a packet is found out by the worker that owns it, which alone
/// may read its flows, its place in the schedule and its source ports: in the order of the stages, by the
/// functions that the stages themselves call, or by their twins that take nothing (foresee_server(),
/// foresee_source()). The worker is const here, so that asking changes nothing. What comes out are slots and
/// numbers; dp/control/explain_report.h makes names of them.
namespace sluice::dp {

/// How packets leave towards one end.
struct HopFound {
  Resolution resolution;
  Adjacency adjacency;  ///< when resolution.kind says that there is one
};

/// The flow that a packet belongs to, as plain values.
struct FlowFound {
  FlowQuery::Row row;
  Direction direction = Direction::to_server;  ///< of the packet asked about
  bool killed = false, strips_timestamps = false;
  std::uint32_t sequence_delta = 0;
  std::uint16_t attempts = 0;  ///< at servers, this one too; 0: it is not kept, or has answered
  std::optional<std::uint32_t> bytes_from_client, bytes_from_server;  ///< modulo 2^32
  HopFound towards_server;
};

/// A SYN of the client that waits already.
struct HeldFound {
  SynQueue queue = kNoQueue;
  std::uint16_t wait_for = kNoIndex;
  std::uint16_t attempts = 0;
  base::Tick since;
};

/// A client of a service that has rules for clients, as a new connection would find it.
struct ClientFound {
  bool denied = false;       ///< by prefixes; what follows is not asked
  ClientTable::Sight sight;  ///< in the service's table of clients
};

/// What a first SYN or a datagram would get.
struct StartFound {
  Verdict verdict = Verdict::forward;
  DropReason reason = DropReason::none;
  bool by_cookie = false;  ///< the SYN is answered by a cookie: what follows comes once that is back
  std::optional<ClientFound> client;
  bool chooses = false;  ///< it gets as far as the choice of a server: what follows holds
  Choice choice;
  ChoiceTrace trace;
  std::uint32_t instance_connections = 0, service_connections = 0;
  Room room;
  std::optional<Source> source;
  HopFound towards_server;
};

/// What a worker has found out.
struct Findings {
  std::uint64_t serial = 0;      ///< of the service tables
  std::uint64_t generation = 0;  ///< of the configuration
  base::Tick at;
  config::Claim claim = config::Claim::foreign_address;
  std::uint16_t service = kNoIndex;  ///< slot
  std::uint8_t owner = 0;            ///< worker
  std::optional<FlowFound> flow;
  std::optional<HeldFound> held;
  std::optional<StartFound> start;  ///< none: it begins nothing
  Verdict others = Verdict::drop;   ///< what begins nothing and has no flow
  DropReason others_reason = DropReason::none;
  std::optional<HopFound> towards_client;

  /// A server as the choice met it.
  struct ServerMet {
    std::uint32_t connections = 0, waiting = 0;
  };
  std::vector<PassedOver> passed;  ///< by server slot; room is given by who asks
  std::vector<ServerMet> met;      ///< by server slot: of those that are usable

  /// `servers`: slots of servers that there are at most.
  explicit Findings(std::size_t servers = kMaxServers)
      : passed(servers, PassedOver::not_asked), met(servers) {}
};

/// The worker that owns what comes with these addresses and ports; 0 where it is the kernel's. Thread: any.
/// `worker`: any.
[[nodiscard]] std::uint8_t owner_of(const config::FiveTuple& tuple, const Snapshot& snapshot,
                                    const WorkerState& worker) noexcept;

/// Finds out what would become of a packet. Pre: both ends are of one family; `found` is new. Thread:
/// `worker`'s own. Where another worker is the owner, only claim, service and owner are found out.
void explain(const config::FiveTuple& tuple, const Snapshot& snapshot, const WorkerState& worker,
             base::Tick now, Findings& found) noexcept;

/// The question as it is handed to a worker. It must live until done().
class ExplainQuery {
 public:
  explicit ExplainQuery(config::FiveTuple tuple) : tuple_(std::move(tuple)) {}

  /// Thread: the worker's. The asker may be gone with the query by the time this returns.
  void answer(const Snapshot& snapshot, const WorkerState& worker, base::Tick now) noexcept;

  [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  /// Pre: done().
  [[nodiscard]] const Findings& findings() const noexcept { return findings_; }

 private:
  config::FiveTuple tuple_;
  Findings findings_;
  std::atomic<bool> done_{false};
};

}  // namespace sluice::dp
