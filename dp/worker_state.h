#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/result.h"
#include "config/model.h"
#include "dp/counters.h"
#include "dp/datagram_ids.h"
#include "dp/flow/flow_table.h"
#include "dp/fragments.h"
#include "dp/outbox.h"
#include "dp/rate_limit.h"
#include "dp/server_load.h"
#include "dp/snapshot.h"
#include "dp/spsc_queue.h"
#include "dp/syn_cookies.h"
#include "dp/syn_store.h"

namespace sluice::dp {

/// What the stages need to know of a port.
struct PortView {
  base::Mac mac;
  bool has_twin = false;
};

/// xorshift64*: for scheduling only. Source: Marsaglia 2003; Vigna 2016.
[[nodiscard]] inline std::uint32_t next_random(std::uint64_t& state) noexcept {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return static_cast<std::uint32_t>((state * 0x2545f4914f6cdd1dU) >> 32);
}

/// Everything that one worker writes. Other threads read nothing of it but the counters.
struct WorkerState {
  /// Maps all memory that the worker will ever use. Errors: exhausted.
  static base::Result<std::unique_ptr<WorkerState>> create(unsigned id, unsigned workers,
                                                           const config::Dataplane& limits,
                                                           const FlowHash::Seed& seed, AdjacencyUse& hop_use,
                                                           Load& load, base::Tick now);

  unsigned id = 0;
  unsigned workers = 1;
  std::uint32_t half_open_max = 0;  ///< per family
  config::SynOverflow syn_overflow = config::SynOverflow::evict_oldest;
  FlowTable<base::Family::v4> flows_v4;
  FlowTable<base::Family::v6> flows_v6;
  SynStore syns;
  SynCookies cookies;
  std::uint32_t handshakes_open = 0;         ///< flows of which is_handshake() holds
  std::vector<ServerCounters> servers;       ///< by server slot
  std::vector<ServerHandshakes> handshakes;  ///< by server slot
  std::vector<ClientLimitCounters> clients;  ///< by service slot
  std::vector<std::uint32_t> cursors;        ///< by service slot: position of the scheduler
  std::uint64_t random;                      ///< state of next_random()
  TokenBucket resets;                        ///< RSTs that sluice originates
  TokenBucket icmp_errors;                   ///< ICMP errors that sluice originates
  DatagramIds datagram_ids;  ///< of IPv4 packets that are forwarded, or that sluice originates
  Fragments fragments;       ///< datagrams in fragments whose shard the worker is
  Outbox outbox;             ///< frames that sluice originates, other than answers in place
  WorkerCounters counters;
  AdjacencyUse* hop_use = nullptr;  ///< which next hops towards clients are in use
  Load* load = nullptr;             ///< shared with the other workers
  /// Next hops that are not known yet, asked of the control thread. A request that finds it full is repeated
  /// with the next packet.
  std::unique_ptr<SpscQueue<NeighbourRequest, 256>> neighbour_requests;
  std::vector<PortView> ports;                ///< by port number
  std::span<const WorkerState* const> peers;  ///< all workers, this one too: for totals

  template <base::Family F>
  [[nodiscard]] FlowTable<F>& flows() noexcept {
    if constexpr (F == base::Family::v4) {
      return flows_v4;
    } else {
      return flows_v6;
    }
  }
  template <base::Family F>
  [[nodiscard]] const FlowTable<F>& flows() const noexcept {
    return const_cast<WorkerState*>(this)->flows<F>();
  }
  /// TCP connections that begin, of clients that may be nobody: not answered yet, or waiting for a place.
  [[nodiscard]] std::uint32_t unfinished_handshakes() const noexcept {
    return handshakes_open + syns.unproven();
  }
};

}  // namespace sluice::dp
