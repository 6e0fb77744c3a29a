#include "dp/offline/offline_path.h"

#include <utility>

#include "dp/admission.h"
#include "dp/control/server_hops.h"
#include "dp/flow/flow_life.h"
#include "dp/gather.h"

namespace sluice::dp {

base::Result<std::unique_ptr<OfflinePath>> OfflinePath::create(std::span<AdjacencyUse* const> hop_use,
                                                               const config::Dataplane& limits,
                                                               const FlowHash::Seed& seed,
                                                               const std::vector<PortView>& ports,
                                                               base::Tick now) {
  std::unique_ptr<OfflinePath> path(new OfflinePath());
  const auto count = static_cast<unsigned>(hop_use.size());
  for (unsigned id = 0; id < count; ++id) {
    auto made = WorkerState::create(id, count, limits, seed, *hop_use[id], *path->load_, now);
    if (!made) return std::move(made).error();
    path->workers_.push_back(std::move(*made));
    path->peers_.push_back(path->workers_.back().get());
  }
  for (const auto& worker : path->workers_) {
    worker->peers = path->peers_;
    worker->ports = ports;
  }
  path->snapshot_.workers = count;
  path->kept_.resize(count);
  return path;
}

void OfflinePath::publish(std::shared_ptr<const ServiceTables> services,
                          std::shared_ptr<const AdjacencyTable> next_hops, std::uint64_t generation) {
  ++snapshot_.serial;
  snapshot_.generation = generation;
  snapshot_.services = std::move(services);
  snapshot_.next_hops = std::move(next_hops);
  snapshot_.server_hops = server_hops(*snapshot_.services, *snapshot_.next_hops);
  snapshot_.server_links = server_links(*snapshot_.services, *snapshot_.next_hops);
  snapshot_.server_mtus = server_mtus(*snapshot_.services, *snapshot_.next_hops, snapshot_.server_hops);
}

std::vector<OfflinePath::Handled> OfflinePath::run(std::span<OfflineFrame> frames, unsigned worker,
                                                   base::Tick now) {
  std::vector<Packet> burst;
  burst.reserve(frames.size());
  for (OfflineFrame& frame : frames) burst.push_back(frame.packet());
  process_burst(burst, Origin::port, snapshot_, *workers_[worker], now);
  std::vector<Handled> handled;
  handled.reserve(frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    handled.push_back(follow(frames[i], burst[i], worker, now));
  }
  return handled;
}

/// To the worker that decides. `packet`: what `worker` made of the frame.
OfflinePath::Handled OfflinePath::follow(OfflineFrame& frame, const Packet& packet, unsigned worker,
                                         base::Tick now) {
  Handled handled{packet, worker};
  const unsigned most = packet.meta.fragment == FragmentKind::whole ? 1 : 2;
  for (unsigned times = 0; handled.packet.verdict == Verdict::hand_over && times < most; ++times) {
    const unsigned owner = handled.packet.meta.owner;
    handled.intact &= owner != handled.worker && frame.bytes_of(handled.packet) == frame.original();
    handled.handed_over = true;
    handled.worker = owner;
    const FragmentTag tag = handled.packet.tag;
    handled.packet = frame.packet();
    handled.packet.tag = tag;
    process_burst({&handled.packet, 1}, Origin::worker, snapshot_, *workers_[owner], now);
  }
  handled.intact &= handled.packet.verdict != Verdict::hand_over;
  if (handled.packet.verdict == Verdict::keep)
    kept_[handled.worker].insert_or_assign(handled.packet.meta.place, frame);
  return handled;
}

std::optional<OfflinePath::KeptRun> OfflinePath::run_kept(unsigned worker, base::Tick now) {
  const Fragments::Due due = workers_[worker]->fragments.take_out(now);
  if (due.place == kNoIndex) return std::nullopt;
  KeptRun run{due.place, std::move(kept_[worker].extract(due.place).mapped()), {}};
  Packet packet = run.frame.packet();
  dp::run_kept(packet, due, snapshot_, *workers_[worker], now);
  run.handled = follow(run.frame, packet, worker, now);
  return run;
}

std::optional<OfflinePath::StoredRun> OfflinePath::run_stored(unsigned id, base::Tick now) {
  WorkerState& worker = *workers_[id];
  const DueSyn due = next_due(snapshot_, worker, now);
  if (due.slot == kNoIndex) return std::nullopt;
  const StoredSyn& syn = worker.syns.at(due.slot);
  StoredRun run{due.slot, OfflineFrame(syn.bytes(), syn.in_port), {}};
  Packet packet = run.frame.packet();
  dp::run_stored(packet, due, snapshot_, worker, now);
  run.handled = {packet, id};
  return run;
}

void OfflinePath::expire(base::Tick now) {
  constexpr unsigned kAll = 1U << 20;
  for (const auto& worker : workers_) expire_flows(snapshot_, *worker, now, kAll);
}

}  // namespace sluice::dp
