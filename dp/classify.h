#pragma once

#include <optional>

#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// Decides whose a parsed packet is: a service's (from a client), a flow's (from a server), an ICMP error
/// about one of those, or the kernel's. Sets direction, service, hash and owner; verdict `punt` or `drop`
/// where it is not ours or cannot be served, `hand_over` where another worker owns it and `steer` is set.
/// Fragments to an address of ours are left pending at their shard, or where their tag has brought them:
/// gather() goes on with them. Pre: parse() ran. Thread: worker.
void classify(Packet& packet, const Snapshot& snapshot, const WorkerState& worker, bool steer) noexcept;

/// Whose a packet is, and which way it goes.
struct Destination {
  Direction direction = Direction::to_server;
  std::uint16_t service = kNoIndex;  ///< to_server: whose virtual IP and port it is
  bool keeps_client = false;         ///< to_client: to the client's own address (mode dnat)
};
/// Of a packet with this key. Nothing: the kernel's. `address`: number of key.dst in
/// ServiceTables::addresses; kNoIndex: it is none of ours. Thread: any.
template <base::Family F>
[[nodiscard]] std::optional<Destination> find_destination(const ServiceTables& tables, const FlowKey<F>& key,
                                                          std::uint16_t address) noexcept;
/// The worker that owns the flow of a packet with this key. Flows of one end of a client, and replies to a
/// source port, have one each: so a flow has the same by both its keys.
template <base::Family F>
[[nodiscard]] std::uint8_t owner_of(const Destination& destination, const FlowKey<F>& key,
                                    const WorkerState& worker) noexcept;

/// The same for a fragment of which the datagram is known, by the ports of its first; `hand_over` where
/// another worker owns the flow. Pre: packet.tag is known, and meta.proto that of the tag. Thread: worker.
template <base::Family F>
void classify_gathered(Packet& packet, const Snapshot& snapshot, const WorkerState& worker) noexcept;

/// The key under which the flow of a classified packet is found: the packet's own addresses (and the ports
/// of its first fragment), or for an ICMP error those of the quoted packet turned round.
template <base::Family F>
[[nodiscard]] FlowKey<F> flow_key(const Packet& packet) noexcept;

template <>
[[nodiscard]] FlowKey<base::Family::v4> flow_key<base::Family::v4>(const Packet& packet) noexcept;
template <>
[[nodiscard]] FlowKey<base::Family::v6> flow_key<base::Family::v6>(const Packet& packet) noexcept;

}  // namespace sluice::dp
