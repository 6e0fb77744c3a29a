#include "dp/pipeline.h"

#include "dp/classify.h"
#include "dp/flow/track.h"
#include "dp/gather.h"
#include "dp/ip_header.h"
#include "dp/parse.h"
#include "dp/rewrite.h"

namespace sluice::dp {
namespace {

/// Calls f<Family>(packet) for each packet that no stage has decided on yet.
template <typename F>
void each_pending(std::span<Packet> burst, F&& f) noexcept {
  for (Packet& packet : burst) {
    if (!packet.pending()) continue;
    with_family(packet.meta.family, [&]<base::Family kFamily>() { f.template operator()<kFamily>(packet); });
  }
}

}  // namespace

void process_burst(std::span<Packet> burst, Origin origin, const Snapshot& snapshot, WorkerState& worker,
                   base::Tick now) noexcept {
  const bool steer = origin == Origin::port && snapshot.workers > 1;
  for (Packet& packet : burst) parse(packet);
  for (Packet& packet : burst) classify(packet, snapshot, worker, steer);
  // All buckets first, then all records: the misses of a burst overlap instead of adding up.
  each_pending(burst, [&]<base::Family F>(Packet& p) { worker.flows<F>().prefetch_bucket(p.meta.hash); });
  each_pending(burst, [&]<base::Family F>(Packet& p) { worker.flows<F>().prefetch_record(p.meta.hash); });
  // One after the other: a packet that ends a flow gives its record to the next new one, so that no packet
  // before it may still be on its way to be rewritten by that record.
  each_pending(burst, [&]<base::Family F>(Packet& p) {
    if (p.meta.fragment != FragmentKind::whole) [[unlikely]] {
      gather<F>(p, snapshot, worker, now);
      if (!p.pending()) return;
    }
    track<F>(p, snapshot, worker, now);
    if (p.pending()) rewrite<F>(p, snapshot, worker, now);
  });
}

}  // namespace sluice::dp
