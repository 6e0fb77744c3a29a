#include "dp/flow/attempt.h"

#include "dp/admission.h"
#include "dp/client_limits.h"
#include "dp/flow/flow_life.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;

void count(Failure how, std::uint16_t server, WorkerState& worker) noexcept {
  ServerHandshakes& handshakes = worker.handshakes[server];
  switch (how) {
    case Failure::none: return;
    case Failure::refused: handshakes.refused.add(1); break;
    case Failure::unreachable: handshakes.unreachable.add(1); break;
    case Failure::unanswered: handshakes.unanswered.add(1); break;
  }
  worker.servers[server].connections_failed.add(1);
}

/// Another failure in a row.
void blame(ServerLoad& server, Failure how) noexcept {
  server.last_failure.store(how, std::memory_order_relaxed);
  server.failures_in_row.fetch_add(1, std::memory_order_relaxed);
}

/// Whether a server has answered anybody since `begin`, which is not long ago.
bool has_answered_since(base::Tick begin, const ServerLoad& server, base::Tick now) noexcept {
  return server.answered_at.load(std::memory_order_relaxed) - begin.ms <= now.ms - begin.ms;
}

/// The SYN of this flow has been answered, so that whoever was silent to it could have answered, too.
void blame_silent(const FlowDetail& detail, std::uint16_t answering, WorkerState& worker) noexcept {
  if (detail.syn == kNoIndex) return;
  StoredSyn& syn = worker.syns.at(detail.syn);
  for (const SilentServer& silent : std::span(syn.silent).first(syn.silent_count)) {
    ServerLoad& load = worker.load->servers[silent.server];
    if (silent.server == answering || silent.era != load.era.load(std::memory_order_relaxed)) continue;
    blame(load, Failure::unanswered);
  }
  syn.silent_count = 0;
}

/// An attempt met with silence: whether that counts against the server, or may do so later.
void mind_silence(std::uint16_t server, const FlowDetail& detail, const Service& service, WorkerState& worker,
                  base::Tick now) noexcept {
  ServerLoad& load = worker.load->servers[server];
  if (has_answered_since(detail.created, load, now)) return;
  if (!goes_elsewhere(service, server)) return blame(load, Failure::unanswered);
  if (detail.syn == kNoIndex) return;
  StoredSyn& syn = worker.syns.at(detail.syn);
  if (syn.altered || syn.silent_count == syn.silent.size()) return;
  syn.silent[syn.silent_count++] = {server, load.era.load(std::memory_order_relaxed)};
}

/// Ends the flow of an attempt, and gives its SYN to the next. False: there is none, or somebody wants it to
/// end.
template <Family F>
bool try_again(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  const Flow<F>& flow = worker.flows<F>().flow(number);
  FlowDetail& detail = worker.flows<F>().detail(number);
  if ((flow.flags & Flow<F>::kKilled) != 0 || !has_attempts_left(detail, worker)) return false;
  const std::uint16_t server = flow.server_slot;
  const std::uint16_t syn = std::exchange(detail.syn, kNoIndex);
  worker.syns.unbind(syn);
  pass_client_on<F>(flow, detail, worker.syns.at(syn), *snapshot.services);
  end_flow<F>(number, snapshot, worker, now);
  retry(syn, server, *snapshot.services, worker, now);
  return true;
}

/// RFC 6554 §3.1, RFC 8883 §2.1: an error in the source routing header.
constexpr std::uint8_t kCodeRoutingHeader = 7;

/// Whether "unreachable" is due to what the sender wants of the packet, and says nothing of the destination:
/// its size, its source route, its type of service (RFC 792, RFC 1122 §3.2.2.1).
bool is_about_packet(const base::IcmpHdr& icmp) noexcept {
  constexpr std::uint8_t kSourceRouteFailed = 5, kNetworkTos = 11, kHostTos = 12;
  return icmp.code == base::icmp::kCodeFragNeeded || icmp.code == kSourceRouteFailed ||
         icmp.code == kNetworkTos || icmp.code == kHostTos;
}

}  // namespace

template <Family F>
void attempt_answered(const Flow<F>& flow, FlowDetail& detail, bool opens, WorkerState& worker,
                      base::Tick now) noexcept {
  blame_silent(detail, flow.server_slot, worker);
  forget_syn(detail.syn, worker);
  if (!opens) return;
  worker.handshakes[flow.server_slot].answered.add(1);
  ServerLoad& load = worker.load->servers[flow.server_slot];
  // The line is shared: written only where that changes something.
  if (load.answered_at.load(std::memory_order_relaxed) != now.ms) {
    load.answered_at.store(now.ms, std::memory_order_relaxed);
    load.era.fetch_add(1, std::memory_order_relaxed);
  }
  if (load.failures_in_row.load(std::memory_order_relaxed) != 0) {
    load.failures_in_row.store(0, std::memory_order_relaxed);
  }
}

template <Family F>
bool attempt_failed(std::uint32_t number, Failure how, const Snapshot& snapshot, WorkerState& worker,
                    base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const std::uint16_t server = flow.server_slot;
  FlowDetail& detail = worker.flows<F>().detail(number);
  if ((flow.flags & Flow<F>::kAttemptFailed) == 0) {
    flow.flags |= Flow<F>::kAttemptFailed;
    count(how, server, worker);
    if (how == Failure::unanswered) {
      mind_silence(server, detail, snapshot.services->services[flow.service], worker, now);
    } else {
      blame(worker.load->servers[server], how);
    }
  }
  if (how == Failure::refused) blame_silent(detail, server, worker);
  if (try_again<F>(number, snapshot, worker, now)) return true;
  if (how == Failure::refused) forget_syn(detail.syn, worker);  // after that nobody will be asked
  return false;
}

template <Family F>
bool withdraw_attempt(std::uint32_t number, const Snapshot& snapshot, WorkerState& worker,
                      base::Tick now) noexcept {
  return worker.flows<F>().flow(number).state == FlowState::syn_sent &&
         try_again<F>(number, snapshot, worker, now);
}

template <Family F>
bool says_unreachable(const Packet& packet, const FlowDetail& detail) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const auto* icmp = at<base::IcmpHdr>(bytes, packet.meta.l4_offset);
  if constexpr (F == Family::v4) {
    if (icmp->type != base::icmp::kUnreachable || is_about_packet(*icmp)) return false;
  } else {
    if (icmp->type != base::icmpv6::kUnreachable || icmp->code == kCodeRoutingHeader) return false;
  }
  const auto* seq = at<base::Be32>(bytes, packet.meta.inner_l4_offset + sizeof(L4Ports));
  return seq != nullptr && seq->host() == detail.first[index(Direction::to_server)] + detail.sequence_delta;
}

template void attempt_answered(const Flow<Family::v4>&, FlowDetail&, bool, WorkerState&, base::Tick) noexcept;
template void attempt_answered(const Flow<Family::v6>&, FlowDetail&, bool, WorkerState&, base::Tick) noexcept;
template bool attempt_failed<Family::v4>(std::uint32_t, Failure, const Snapshot&, WorkerState&,
                                         base::Tick) noexcept;
template bool attempt_failed<Family::v6>(std::uint32_t, Failure, const Snapshot&, WorkerState&,
                                         base::Tick) noexcept;
template bool withdraw_attempt<Family::v4>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;
template bool withdraw_attempt<Family::v6>(std::uint32_t, const Snapshot&, WorkerState&, base::Tick) noexcept;
template bool says_unreachable<Family::v4>(const Packet&, const FlowDetail&) noexcept;
template bool says_unreachable<Family::v6>(const Packet&, const FlowDetail&) noexcept;

}  // namespace sluice::dp
