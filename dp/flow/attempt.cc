#include "dp/flow/attempt.h"

#include "dp/admission.h"
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
  ServerLoad& load = worker.load->servers[server];
  load.last_failure.store(how, std::memory_order_relaxed);
  load.failures_in_row.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

template <Family F>
void attempt_answered(const Flow<F>& flow, FlowDetail& detail, bool opens, WorkerState& worker) noexcept {
  forget_syn(detail.syn, worker);
  if (!opens) return;
  worker.handshakes[flow.server_slot].answered.add(1);
  auto& in_row = worker.load->servers[flow.server_slot].failures_in_row;
  if (in_row.load(std::memory_order_relaxed) != 0) in_row.store(0, std::memory_order_relaxed);
}

template <Family F>
bool attempt_failed(std::uint32_t number, Failure how, const Snapshot& snapshot, WorkerState& worker,
                    base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const std::uint16_t server = flow.server_slot;
  if ((flow.flags & Flow<F>::kAttemptFailed) == 0) {
    flow.flags |= Flow<F>::kAttemptFailed;
    count(how, server, worker);
  }
  FlowDetail& detail = worker.flows<F>().detail(number);
  if (detail.syn == kNoIndex) return false;
  const std::uint16_t syn = std::exchange(detail.syn, kNoIndex);
  worker.syns.unbind(syn);
  end_flow<F>(number, snapshot, worker, now);
  retry(syn, server, *snapshot.services, worker, now);
  return true;
}

template <Family F>
bool says_unreachable(const Packet& packet, const FlowDetail& detail) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const auto* icmp = at<base::IcmpHdr>(bytes, packet.meta.l4_offset);
  if constexpr (F == Family::v4) {
    if (icmp->type != base::icmp::kUnreachable || icmp->code == base::icmp::kCodeFragNeeded) return false;
  } else {
    if (icmp->type != base::icmpv6::kUnreachable) return false;
  }
  const auto* seq = at<base::Be32>(bytes, packet.meta.inner_l4_offset + sizeof(L4Ports));
  return seq != nullptr && seq->host() == detail.first[index(Direction::to_server)] + detail.sequence_delta;
}

template void attempt_answered(const Flow<Family::v4>&, FlowDetail&, bool, WorkerState&) noexcept;
template void attempt_answered(const Flow<Family::v6>&, FlowDetail&, bool, WorkerState&) noexcept;
template bool attempt_failed<Family::v4>(std::uint32_t, Failure, const Snapshot&, WorkerState&,
                                         base::Tick) noexcept;
template bool attempt_failed<Family::v6>(std::uint32_t, Failure, const Snapshot&, WorkerState&,
                                         base::Tick) noexcept;
template bool says_unreachable<Family::v4>(const Packet&, const FlowDetail&) noexcept;
template bool says_unreachable<Family::v6>(const Packet&, const FlowDetail&) noexcept;

}  // namespace sluice::dp
