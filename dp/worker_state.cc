#include "dp/worker_state.h"

#include <algorithm>
#include <utility>

namespace sluice::dp {

base::Result<std::unique_ptr<WorkerState>> WorkerState::create(unsigned id, unsigned workers,
                                                               const config::Dataplane& limits,
                                                               const FlowHash::Seed& seed,
                                                               AdjacencyUse& hop_use, Load& load,
                                                               base::Tick now) {
  const FlowHash hash(seed);
  auto v4 = FlowTable<base::Family::v4>::create(limits.flows_per_worker, hash, now);
  if (!v4) return std::move(v4).error();
  auto v6 = FlowTable<base::Family::v6>::create(limits.flows_per_worker, hash, now);
  if (!v6) return std::move(v6).error();
  auto syns = SynStore::create(std::min(limits.half_open_per_worker, SynStore::kMaxCapacity));
  if (!syns) return std::move(syns).error();
  auto state = std::unique_ptr<WorkerState>(new WorkerState{
      .id = id,
      .workers = workers,
      .half_open_max = limits.half_open_per_worker,
      .syn_overflow = limits.syn_overflow,
      .flows_v4 = std::move(*v4),
      .flows_v6 = std::move(*v6),
      .syns = std::move(*syns),
      .cookies = SynCookies(seed, limits.syn_backlog),
      .servers = std::vector<ServerCounters>(kMaxServers),
      .handshakes = std::vector<ServerHandshakes>(kMaxServers),
      .clients = std::vector<ClientLimitCounters>(kMaxServices),
      // Workers begin at different places of a service's order, else all would send their first client to one
      // server.
      .cursors = std::vector<std::uint32_t>(kMaxServices, id),
      .random = (seed.a ^ (seed.b + id)) | 1,
      .resets = TokenBucket(limits.rst_per_second, limits.rst_per_second, now),
      .icmp_errors = TokenBucket(limits.icmp_per_second, limits.icmp_per_second, now),
      .datagram_ids = DatagramIds(id, workers),
      .fragments = {},
      .outbox = {},
      .counters = {},
      .hop_use = &hop_use,
      .load = &load,
      .neighbour_requests = std::make_unique<SpscQueue<NeighbourRequest, 256>>(),
      .ports = {},
      .peers = {},
  });
  return state;
}

}  // namespace sluice::dp
