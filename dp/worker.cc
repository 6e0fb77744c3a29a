#include "dp/worker.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include "dp/admission.h"
#include "dp/flow/flow_life.h"
#include "dp/gather.h"

namespace sluice::dp {
namespace {

// Flows looked at per round: bounds its length, and keeps pace with the burst or two of new ones that it may
// begin.
constexpr std::uint32_t kExpiryBudget = 64;
constexpr std::uint32_t kQuerySlice = 512;  // flow records that a query looks at per round: some 20 µs
constexpr std::uint32_t kRoundsBeforeSleep = 64;
// Sleeps grow by 1 µs a round to 50 µs. After some 0.2 s without a frame they are longer still: a wake-up
// costs up to 20 µs of CPU on a virtual machine, and at 50 µs an idle worker was seen to take 17 % of a core
// there.
constexpr std::uint32_t kShortSleepNs = 50'000;
constexpr std::uint32_t kLongSleepNs = 250'000;
constexpr std::uint32_t kRoundsBeforeLongSleep = 2'000;

}  // namespace

Worker::Worker(WorkerState& state, WorkerShared& shared, PortSet& ports, Handover& handover, MbufTag tag,
               config::IdlePolicy idle)
    : state_(state),
      shared_(shared),
      ports_(ports),
      handover_(handover),
      tag_(tag),
      disposer_(state, ports, handover, tag),
      idle_(idle) {
  for (const auto& port : ports.ports()) {
    for (const std::uint16_t ethdev : port->ethdevs()) port_of_ethdev_[ethdev] = port->index();
    state.ports.push_back({port->mac(), port->twin() != nullptr});
  }
}

bool Worker::ask(FlowQuery* query) noexcept {
  FlowQuery* none = nullptr;
  return query_.compare_exchange_strong(none, query, std::memory_order_release, std::memory_order_relaxed);
}

bool Worker::ask(ExplainQuery* query) noexcept {
  ExplainQuery* none = nullptr;
  return explain_.compare_exchange_strong(none, query, std::memory_order_release, std::memory_order_relaxed);
}

void Worker::run() noexcept {
  ::rte_rcu_qsbr_thread_register(shared_.quiescence, state_.id);
  ::rte_rcu_qsbr_thread_online(shared_.quiescence, state_.id);
  const std::uint64_t start = ::rte_rdtsc();
  while (!shared_.stop.load(std::memory_order_relaxed)) {
    const std::uint64_t tsc = ::rte_rdtsc();
    const base::Tick now = tick_at(tsc, shared_);
    const Snapshot& snapshot = *shared_.snapshot.load(std::memory_order_acquire);
    if (snapshot.serial != seen_serial_) {
      seen_serial_ = snapshot.serial;
      state_.counters.serial.set(snapshot.serial);
      state_.counters.generation.set(snapshot.generation);
      retry_parked(snapshot, now);
    }
    std::uint32_t work = poll_ports(snapshot, now) + poll_workers(snapshot, now);
    work += run_kept_fragments(snapshot, now);
    expire_flows(snapshot, state_, now, kExpiryBudget);
    work += run_stored_syns(snapshot, now);
    const bool next_ms = now != last_housekeeping_;
    if (next_ms) {
      housekeeping(snapshot, now);
      if (ExplainQuery* query = explain_.load(std::memory_order_acquire)) {
        explain_.store(nullptr, std::memory_order_relaxed);
        query->answer(snapshot, state_, now);
      }
    }
    // A slice each millisecond, however busy the worker is; more when there is nothing else to do.
    const bool asked = query_.load(std::memory_order_acquire) != nullptr;
    if (asked && (next_ms || work == 0)) answer_query(snapshot, now);
    work += disposer_.send_own();
    ::rte_rcu_qsbr_quiescent(shared_.quiescence, state_.id);
    state_.counters.total_cycles.set(tsc - start);
    if (work != 0) {
      idle_rounds_ = 0;
      state_.counters.bursts.add(1);
      state_.counters.busy_cycles.add(::rte_rdtsc() - tsc);
    } else {
      state_.counters.empty_polls.add(1);
      if (!asked) rest();
    }
  }
  ::rte_rcu_qsbr_thread_offline(shared_.quiescence, state_.id);
  ::rte_rcu_qsbr_thread_unregister(shared_.quiescence, state_.id);
}

std::uint32_t Worker::poll_ports(const Snapshot& snapshot, base::Tick now) noexcept {
  const auto id = static_cast<std::uint16_t>(state_.id);
  std::array<rte_mbuf*, kBurst> mbufs;
  std::uint32_t work = 0;
  for (const auto& port : ports_.ports()) {
    const std::uint16_t count = port->nic().receive(id, mbufs.data(), kBurst);
    if (count != 0) handle(mbufs.data(), count, Origin::port, snapshot, now);
    work += count + port->nic().flush(id);
    WorkerQueues* twin = port->twin();
    if (twin == nullptr) continue;
    const std::uint16_t from_kernel = twin->receive(id, mbufs.data(), kBurst);
    if (from_kernel != 0) {
      disposer_.send_for_kernel(port->index(), mbufs.data(), from_kernel);
      disposer_.flush();
    }
    work += from_kernel + twin->flush(id);
  }
  return work;
}

std::uint32_t Worker::poll_workers(const Snapshot& snapshot, base::Tick now) noexcept {
  std::array<rte_mbuf*, kBurst> mbufs;
  std::uint32_t work = 0;
  for (unsigned from = 0; from < handover_.workers(); ++from) {
    if (from == state_.id) continue;
    const std::uint16_t count = handover_.pop(from, state_.id, mbufs.data(), kBurst);
    if (count != 0) handle(mbufs.data(), count, Origin::worker, snapshot, now);
    work += count;
  }
  return work;
}

/// As the frame lies in its mbuf.
void Worker::fill(Packet& packet, rte_mbuf* m) const noexcept {
  packet.bytes = {rte_pktmbuf_mtod(m, std::byte*), m->data_len};
  packet.mbuf = m;
  packet.frame_length = m->pkt_len;
  packet.headroom = m->data_off;
  packet.in_port = port_of_ethdev_[m->port];
}

void Worker::handle(rte_mbuf** mbufs, std::uint16_t count, Origin origin, const Snapshot& snapshot,
                    base::Tick now) noexcept {
  std::array<Packet, kBurst> packets;
  for (std::uint16_t i = 0; i < count; ++i) ::rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  for (std::uint16_t i = 0; i < count; ++i) {
    fill(packets[i], mbufs[i]);
    if (origin == Origin::worker) packets[i].tag = tag_.get(mbufs[i]);
  }
  const std::span burst(packets.data(), count);
  if (origin == Origin::port) state_.counters.packets.add(count);
  process_burst(burst, origin, snapshot, state_, now);
  disposer_.dispose(burst, snapshot, now);
  disposer_.flush();
}

/// SYNs that have waited for a place, or for another attempt.
std::uint32_t Worker::run_stored_syns(const Snapshot& snapshot, base::Tick now) noexcept {
  std::uint32_t ran = 0;
  for (; ran < kBurst; ++ran) {
    const DueSyn due = next_due(snapshot, state_, now);
    if (due.slot == kNoIndex) break;
    const StoredSyn& syn = state_.syns.at(due.slot);
    rte_mbuf* m = ::rte_pktmbuf_alloc(ports_.pool());
    if (m == nullptr) break;  // for the moment: the SYN stays where it is
    std::memcpy(::rte_pktmbuf_append(m, syn.length), syn.frame.data(), syn.length);
    m->port = ports_.ports()[syn.in_port]->ethdevs().front();
    Packet packet{.bytes = {rte_pktmbuf_mtod(m, std::byte*), m->data_len},
                  .mbuf = m,
                  .frame_length = m->pkt_len,
                  .headroom = m->data_off,
                  .in_port = syn.in_port,
                  .tag = {},
                  .meta = {}};
    run_stored(packet, due, snapshot, state_, now);
    disposer_.dispose(std::span(&packet, 1), snapshot, now);
  }
  if (ran != 0) disposer_.flush();
  return ran;
}

/// Fragments whose datagram has become known, and those that have waited in vain.
std::uint32_t Worker::run_kept_fragments(const Snapshot& snapshot, base::Tick now) noexcept {
  std::uint32_t ran = 0;
  for (; ran < kBurst; ++ran) {
    const Fragments::Due due = state_.fragments.take_out(now);
    if (due.place == kNoIndex) break;
    Packet packet;
    fill(packet, disposer_.take_kept(due.place));
    run_kept(packet, due, snapshot, state_, now);
    disposer_.dispose(std::span(&packet, 1), snapshot, now);
  }
  if (ran != 0) disposer_.flush();
  return ran;
}

void Worker::answer_query(const Snapshot& snapshot, base::Tick now) noexcept {
  FlowQuery* query = query_.load(std::memory_order_acquire);
  if (query->advance(snapshot, state_, now, kQuerySlice)) query_.store(nullptr, std::memory_order_release);
}

/// The tables have changed: what waited for a next hop may go now, or has waited too long.
void Worker::retry_parked(const Snapshot& snapshot, base::Tick now) noexcept {
  if (disposer_.parking().size() == 0) return;
  std::array<Parking::Place, Parking::kPlaces> places;
  const std::uint32_t count = disposer_.parking().take_all(places);
  for (std::uint32_t i = 0; i < count; ++i) {
    Packet packet;
    fill(packet, places[i].mbuf);
    packet.tag = tag_.get(packet.mbuf);
    const std::span one(&packet, 1);
    if (now - places[i].since > Parking::kPatienceMs) {
      packet.drop(DropReason::neighbour_timeout);
    } else {
      process_burst(one, Origin::worker, snapshot, state_, now);
    }
    disposer_.dispose(one, snapshot, places[i].since);
  }
  disposer_.flush();
}

void Worker::housekeeping(const Snapshot& snapshot, base::Tick now) noexcept {
  constexpr std::uint32_t kParkedRetryMs = 100;  // for their patience, should no table come
  if (now.ms / kParkedRetryMs != last_housekeeping_.ms / kParkedRetryMs) retry_parked(snapshot, now);
  last_housekeeping_ = now;
  state_.counters.flows.set(state_.flows_v4.size() + std::uint64_t{state_.flows_v6.size()});
  const bool cookies =
      state_.cookies.wanted(config::SynCookies::automatic, state_.unfinished_handshakes(), now);
  state_.counters.cookies_active.set(cookies ? 1 : 0);
  state_.counters.half_open.set(state_.flows_v4.size(FlowClass::half_open) +
                                std::uint64_t{state_.flows_v6.size(FlowClass::half_open)});
}

/// Nothing to do: first only a pause, then sleeps that grow, so that an idle balancer leaves the CPU to
/// others.
void Worker::rest() noexcept {
  ++idle_rounds_;
  if (idle_ == config::IdlePolicy::poll || idle_rounds_ < kRoundsBeforeSleep) {
    ::rte_pause();
    return;
  }
  const std::uint32_t slept = idle_rounds_ - kRoundsBeforeSleep;
  const std::uint32_t ns =
      slept < kRoundsBeforeLongSleep ? std::min(slept * 1000 + 1, kShortSleepNs) : kLongSleepNs;
  const timespec duration{0, static_cast<long>(ns)};
  // An early end by a signal (net_tap raises them) is as good as a full sleep.
  (void)::nanosleep(&duration, nullptr);
}

}  // namespace sluice::dp
