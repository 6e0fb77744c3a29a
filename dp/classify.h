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

/// What comes to one of our addresses at a port.
struct Destination {
  Direction direction = Direction::to_server;
  std::uint16_t service = kNoIndex;  ///< to_server: whose virtual IP and port it is
};
/// Nothing: the kernel's. `address`: number in ServiceTables::addresses. Thread: any.
[[nodiscard]] std::optional<Destination> find_destination(const ServiceTables& tables, std::uint16_t address,
                                                          base::IpProto proto, base::Be16 port) noexcept;
/// The worker that owns what comes to `port` with a flow key of this hash.
[[nodiscard]] std::uint8_t owner_of(const Destination& destination, std::uint64_t hash, base::Be16 port,
                                    unsigned workers) noexcept;

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
