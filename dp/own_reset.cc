#include "dp/own_reset.h"

#include "dp/own_segment.h"

namespace sluice::dp {
namespace {

using base::Family;

constexpr bool wants(ResetTo to, ResetTo end) noexcept {
  return (static_cast<unsigned>(to) & static_cast<unsigned>(end)) != 0;
}

/// What a RST says to the end that `d` leads to.
template <Family F>
OwnSegment reset_for(const Flow<F>& flow, const FlowDetail& detail, Direction d) noexcept {
  constexpr base::TcpFlags kReset{base::TcpFlags::kRst};
  constexpr base::TcpFlags kResetAck{base::TcpFlags::kRst | base::TcpFlags::kAck};
  const std::uint32_t after_syn = detail.first[index(Direction::to_server)] + 1;
  const std::uint32_t sent = flow.end[index(Direction::to_server)];
  const std::uint32_t server_acked = flow.acked[index(Direction::to_client)];
  const bool spliced = (flow.flags & Flow<F>::kSpliced) != 0;
  const bool server_spoke = flow.state != FlowState::syn_sent;
  // When both open at once (RFC 9293 §3.5), the server's SYN acknowledges nothing.
  const bool server_acks = flow.state != FlowState::syn_received || sent - server_acked <= 0xffff;
  const std::uint32_t server_read = server_spoke && server_acks ? server_acked : after_syn;
  const std::uint32_t client_read =
      (flow.flags & Flow<F>::kClientAcked) != 0
          ? flow.acked[index(Direction::to_server)]
          : detail.first[index(Direction::to_client)] + 1;  // fits before and after it gets the SYN-ACK
  if (d == Direction::to_client) {
    return {.seq = server_spoke || spliced ? client_read : 0, .ack = server_read, .flags = kResetAck};
  }
  const std::uint32_t shift = (flow.flags & Flow<F>::kTranslatesSequence) != 0 ? detail.sequence_delta : 0;
  if (!server_spoke) return {.seq = server_read + shift, .flags = kReset};
  return {.seq = server_read + shift,
          .ack = client_read - (spliced ? detail.server_shift : 0),
          .flags = kResetAck};
}

}  // namespace

template <Family F>
ResetResult post_resets(std::uint32_t number, ResetTo to, const Snapshot& snapshot, WorkerState& worker,
                        base::Tick now) noexcept {
  Flow<F>& flow = worker.flows<F>().flow(number);
  const FlowDetail& detail = worker.flows<F>().detail(number);
  if (!worker.outbox.has_room(2)) return ResetResult::no_room;
  Way client, server;
  if (wants(to, ResetTo::client)) client = way_to_client(flow, snapshot, worker, now);
  if (wants(to, ResetTo::server)) server = way_to_server(flow, snapshot);
  if (client.later || server.later) return ResetResult::no_hop;
  const auto post = [&](const Way& way, Direction d) {
    if (way.hop != nullptr) {
      post_segment(flow, d, reset_for(flow, detail, d), *way.hop, worker);
    } else {
      worker.counters.drops[static_cast<std::size_t>(way.lost)].add(1);
    }
  };
  if (wants(to, ResetTo::client)) post(client, Direction::to_client);
  if (wants(to, ResetTo::server)) post(server, Direction::to_server);
  return ResetResult::done;
}

template ResetResult post_resets<Family::v4>(std::uint32_t, ResetTo, const Snapshot&, WorkerState&,
                                             base::Tick) noexcept;
template ResetResult post_resets<Family::v6>(std::uint32_t, ResetTo, const Snapshot&, WorkerState&,
                                             base::Tick) noexcept;

}  // namespace sluice::dp
