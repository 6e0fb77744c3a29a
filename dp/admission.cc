#include "dp/admission.h"

#include <algorithm>

#include "dp/answer.h"
#include "dp/client_limits.h"
#include "dp/ip_header.h"
#include "dp/parse.h"
#include "dp/pipeline.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;

[[nodiscard]] bool is_shared(SynQueue queue) noexcept {
  return is_service_queue(queue) || is_server_queue(queue);
}

/// Who waits in a shared queue is counted where all workers see it.
[[nodiscard]] Places& places_of(SynQueue queue, WorkerState& worker) noexcept {
  return is_service_queue(queue) ? worker.load->services[queue].waiting
                                 : worker.load->servers[queue - queue_of_server(0)].waiting;
}

/// Makes a queued SYN loose.
void leave_queue(std::uint16_t slot, WorkerState& worker) noexcept {
  const SynQueue queue = worker.syns.at(slot).queue;
  if (is_shared(queue)) places_of(queue, worker).give_back();
  worker.syns.dequeue(slot);
}

/// Lets go of a SYN, wherever it is.
void discard(std::uint16_t slot, const ServiceTables& tables, WorkerState& worker) noexcept {
  leave_client(worker.syns.at(slot), tables, worker);
  if (worker.syns.at(slot).state == SynState::queued) leave_queue(slot, worker);
  worker.syns.release(slot);
}

[[nodiscard]] bool is_usable(const ServiceTables& tables, std::uint16_t server,
                             std::uint16_t service) noexcept {
  return server < tables.servers.size() && tables.servers[server].usable &&
         tables.servers[server].service == service;
}

/// The lowest ticket in a queue over all workers; the greatest number when nobody waits.
[[nodiscard]] std::uint64_t oldest_ticket(SynQueue queue, const WorkerState& worker) noexcept {
  std::uint64_t oldest = ~std::uint64_t{0};
  for (const WorkerState* peer : worker.peers) {
    const std::uint64_t ticket = peer->syns.queue(queue).oldest_ticket.get();
    if (ticket != 0) oldest = std::min(oldest, ticket);
  }
  return oldest;
}

/// Whether a server has room that nobody who waits for it has an older claim to.
[[nodiscard]] bool has_room_for(std::uint64_t ticket, std::uint16_t server, const ServiceTables& tables,
                                const WorkerState& worker) noexcept {
  const ServerLoad& load = worker.load->servers[server];
  return load.open.has_room(tables.servers[server].maxconn) &&
         (load.waiting.taken() == 0 || oldest_ticket(queue_of_server(server), worker) >= ticket);
}

/// Whether the first of a shared queue may try to take a place now.
[[nodiscard]] bool may_go(const StoredSyn& syn, const ServiceTables& tables,
                          const WorkerState& worker) noexcept {
  const Service& service = tables.services[syn.service];
  if (service.choices == nullptr || service.choices->servers.empty()) return true;  // to be refused
  if (!worker.load->open.has_room(tables.maxconn) ||
      !worker.load->services[syn.service].open.has_room(service.maxconn)) {
    return false;
  }
  if (oldest_ticket(queue_of_service(syn.service), worker) < syn.ticket) return false;
  if (is_server_queue(syn.queue)) return has_room_for(syn.ticket, syn.wait_for, tables, worker);
  const auto& servers = service.choices->servers;
  return std::any_of(servers.begin(), servers.end(),
                     [&](std::uint16_t server) { return has_room_for(syn.ticket, server, tables, worker); });
}

/// The service that a stored SYN is for, by these tables.
[[nodiscard]] std::uint16_t service_of(const StoredSyn& syn, const ServiceTables& tables) noexcept {
  return with_family(syn.family, [&]<Family F>() -> std::uint16_t {
    const FlowKey<F> key = syn.key<F>();
    const std::uint16_t address = tables.find_address<F>(key.dst);
    return address == kNoIndex ? kNoIndex : tables.by_port.find({address, key.proto, key.dst_port});
  });
}

/// Puts a loose SYN where it is the worker's next task.
void make_ready(std::uint16_t slot, WorkerState& worker, base::Tick now) noexcept {
  worker.syns.at(slot).ticket = worker.syns.next_ticket++;
  worker.syns.enqueue(slot, kReadyQueue, now);
}

/// Brings the queues into line with new tables: who waits for a server that takes nobody any more waits for
/// any; who waits at a service that is gone, or is another's now, is as one that has just come.
void follow_tables(const ServiceTables& tables, WorkerState& worker, base::Tick now) noexcept {
  SynStore& syns = worker.syns;
  for (std::uint32_t n = 0; n < syns.fresh(); ++n) {
    const auto slot = static_cast<std::uint16_t>(n);
    StoredSyn& syn = syns.at(slot);
    if (syn.state != SynState::queued || syn.queue == kReadyQueue) continue;
    const std::uint16_t service = service_of(syn, tables);
    if (service == syn.service) {
      if (is_pause_queue(syn.queue) && !is_usable(tables, syn.wait_for, service)) syn.wait_for = kNoIndex;
      continue;
    }
    leave_queue(slot, worker);
    leave_client(syn, tables, worker);
    syn.client_judged = false;
    syn.service = service;
    syn.wait_for = syn.avoid = kNoIndex;
    syn.attempts = 0;
    syn.silent_count = 0;
    make_ready(slot, worker, now);
  }
  for (std::size_t i = syns.active().size(); i-- > 0;) {
    const SynQueue queue = syns.active()[i];
    if (!is_server_queue(queue)) continue;
    const auto server = static_cast<std::uint16_t>(queue - queue_of_server(0));
    const std::uint16_t service = syns.at(syns.front(queue)).service;
    if (is_usable(tables, server, service)) continue;
    for (std::uint32_t moved = syns.merge(queue, queue_of_service(service)); moved != 0; --moved) {
      worker.load->servers[server].waiting.give_back();
      worker.load->services[service].waiting.take();
    }
  }
}

}  // namespace

Wish wish_of(const Packet& packet, const ServiceTables& tables, const WorkerState& worker) noexcept {
  Wish wish{.may_wait = packet.meta.proto == base::IpProto::tcp};
  if (packet.meta.syn == kNoIndex) return wish;
  const StoredSyn& syn = worker.syns.at(packet.meta.syn);
  if (is_usable(tables, syn.wait_for, packet.meta.service)) wish.only = syn.wait_for;
  wish.avoid = syn.avoid;
  wish.has_waited = syn.state == SynState::queued;
  return wish;
}

std::uint16_t hold(Packet& packet, const Choice& choice, const ServiceTables& tables, WorkerState& worker,
                   base::Tick now) noexcept {
  SynStore& syns = worker.syns;
  const std::uint16_t service = packet.meta.service;
  std::uint16_t slot = packet.meta.syn;
  if (slot == kNoIndex) slot = syns.put(packet, true);
  if (slot == kNoIndex) {
    packet.drop(DropReason::queue_full);
    return kNoIndex;
  }
  StoredSyn& syn = syns.at(slot);
  packet.verdict = Verdict::hold;

  std::uint16_t server = choice.server;
  SynQueue queue = server == kNoIndex ? queue_of_service(service) : queue_of_server(server);
  if (syn.state == SynState::queued && syn.queue == queue)
    return slot;  // another was quicker: it keeps its place
  // Who is tied to a server, having tried it before, waits there however many others do.
  if (server != kNoIndex) {
    const std::uint32_t maxqueue = syn.wait_for == server ? 0 : tables.servers[server].maxqueue;
    if (!worker.load->servers[server].waiting.try_take(maxqueue)) {
      server = kNoIndex;
      queue = queue_of_service(service);
      if (syn.state == SynState::queued && syn.queue == queue) return slot;
    }
  }
  if (server == kNoIndex) worker.load->services[service].waiting.take();
  syn.service = service;
  syn.wait_for = server;
  if (syn.state == SynState::queued) {
    places_of(syn.queue, worker).give_back();
    syns.move(slot, queue);
  } else {
    syn.ticket = worker.load->services[service].next_ticket.fetch_add(1, std::memory_order_relaxed);
    syns.enqueue(slot, queue, now);
  }
  return slot;
}

void keep_syn(const Packet& packet, const Service& service, std::uint16_t& kept,
              WorkerState& worker) noexcept {
  SynStore& syns = worker.syns;
  std::uint16_t slot = packet.meta.syn;
  if (slot != kNoIndex) {
    if (syns.at(slot).state == SynState::queued) leave_queue(slot, worker);
  } else if (service.retries != 0 || packet.meta.spliced) {
    slot = syns.put(packet, false);
  }
  if (slot == kNoIndex) return;
  StoredSyn& syn = syns.at(slot);
  syn.spent = syn.attempts >= service.retries;
  // Let go by run_stored(); but no client will repeat one that was made of a cookie.
  if (syn.spent && syn.silent_count == 0 && !syn.spliced) return;
  syn.altered = false;
  syn.service = packet.meta.service;  // it may have been stored for another that had the endpoint before
  ++syn.attempts;
  syns.bind(slot);
  kept = slot;
}

template <Family F>
bool absorb(Packet& packet, const FlowKey<F>& key, const ServiceTables& tables,
            WorkerState& worker) noexcept {
  SynStore& syns = worker.syns;
  if (syns.queued() == 0 || packet.meta.syn != kNoIndex) return false;
  const std::uint16_t slot = syns.find<F>(key, packet.meta.hash);
  if (slot == kNoIndex) return false;
  const base::TcpFlags flags = packet.meta.tcp_flags;
  if (!flags.rst() && syns.at(slot).spliced) {
    packet.drop(DropReason::before_server);
    return true;
  }
  if (!flags.rst() && (!flags.syn() || flags.ack() || flags.fin())) return false;
  if (!flags.rst()) {
    // Another number means that the client gave up and began anew; it waits no less for that. What does not
    // fit leaves the older copy as it is.
    (void)syns.replace(slot, packet);
    packet.verdict = Verdict::hold;
    return true;
  }
  const std::uint32_t seq =
      at<base::TcpHdr>(std::span<const std::byte>(packet.bytes), packet.meta.l4_offset)->seq.host();
  const std::uint32_t isn = syns.at(slot).isn();
  if (seq != isn && seq != isn + 1) return false;
  discard(slot, tables, worker);
  packet.drop(DropReason::stray_reset);
  return true;
}

bool goes_elsewhere(const Service& service, std::uint16_t server) noexcept {
  return service.retries != 0 && service.redispatch && service.choices != nullptr &&
         std::any_of(service.choices->servers.begin(), service.choices->servers.end(),
                     [server](std::uint16_t other) { return other != server; });
}

void retry(std::uint16_t slot, std::uint16_t server, const ServiceTables& tables, WorkerState& worker,
           base::Tick now) noexcept {
  SynStore& syns = worker.syns;
  StoredSyn& syn = syns.at(slot);
  const Service& service = tables.services[syn.service];
  if (goes_elsewhere(service, server)) {
    syn.wait_for = kNoIndex;
    syn.avoid = server;
    worker.handshakes[server].redispatched.add(1);
    make_ready(slot, worker, now);
    return;
  }
  syn.wait_for = service.redispatch ? kNoIndex : server;
  syn.avoid = kNoIndex;
  worker.handshakes[server].retried.add(1);
  syn.ticket = syns.next_ticket++;
  syns.enqueue(slot, pause_queue_of(syn.service), now);
}

DueSyn next_due(const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  constexpr std::size_t kQueuesLookedAt = 64;
  SynStore& syns = worker.syns;
  const ServiceTables& tables = *snapshot.services;
  if (syns.seen_tables != tables.serial) [[unlikely]] {
    syns.seen_tables = tables.serial;
    if (syns.queued() != 0) follow_tables(tables, worker, now);
  }
  const std::size_t queues = syns.active().size();
  if (queues == 0) return {};
  if (const std::uint16_t ready = syns.front(kReadyQueue); ready != kNoIndex) {
    return {ready, DropReason::none};
  }
  for (std::size_t i = 0; i < std::min(queues, kQueuesLookedAt); ++i) {
    const SynQueue queue = syns.active()[syns.next_looked_at++ % queues];
    const std::uint16_t slot = syns.front(queue);
    const StoredSyn& syn = syns.at(slot);
    const Service& service = tables.services[syn.service];
    if (is_pause_queue(queue)) {
      if (reached(now, syn.since + service.retry_ms)) return {slot, DropReason::none};
      continue;
    }
    if (reached(now, syn.since + service.queue_ms)) return {slot, DropReason::queue_timeout};
    if (may_go(syn, tables, worker)) return {slot, DropReason::none};
  }
  return {};
}

void run_stored(Packet& packet, const DueSyn& due, const Snapshot& snapshot, WorkerState& worker,
                base::Tick now) noexcept {
  SynStore& syns = worker.syns;
  const StoredSyn& syn = syns.at(due.slot);
  packet.meta.spliced = syn.spliced;
  if (due.refusal != DropReason::none) {
    syns.count_timed_out(syn.queue);
    parse(packet);
    answer_with_reset(packet, due.refusal, worker, now);
    return discard(due.slot, *snapshot.services, worker);
  }
  if (!is_shared(syn.queue)) leave_queue(due.slot, worker);
  packet.meta.syn = due.slot;
  process_burst(std::span(&packet, 1), Origin::worker, snapshot, worker, now);
  // It began a flow, or waits on, or has failed at once and is to be tried again; else its way ends here.
  const bool waits_on =
      syn.state == SynState::queued && (packet.verdict == Verdict::hold || !is_shared(syn.queue));
  if (syn.state == SynState::loose || (syn.state == SynState::queued && !waits_on)) {
    discard(due.slot, *snapshot.services, worker);
  }
}

template bool absorb(Packet&, const FlowKey<Family::v4>&, const ServiceTables&, WorkerState&) noexcept;
template bool absorb(Packet&, const FlowKey<Family::v6>&, const ServiceTables&, WorkerState&) noexcept;

}  // namespace sluice::dp
