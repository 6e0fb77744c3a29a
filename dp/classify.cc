#include "dp/classify.h"

#include "dp/flow/flow_hash.h"
#include "dp/gather.h"
#include "dp/ip_header.h"
#include "dp/parse.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

void punt(Packet& packet, DropReason reason_without_kernel) noexcept {
  packet.verdict = Verdict::punt;
  packet.reason = reason_without_kernel;
}

/// Direction and owner of a packet; false: the kernel's. By its flow key: what an ICMP error quotes was sent
/// *from* where the error goes to, so that the same rule holds for it. `address`: as of find_destination().
template <Family F>
bool match(Packet& packet, const Snapshot& snapshot, const WorkerState& worker,
           std::uint16_t address) noexcept {
  const FlowKey<F> key = flow_key<F>(packet);
  const auto destination = find_destination<F>(*snapshot.services, key, address);
  if (!destination) return false;
  Meta& meta = packet.meta;
  meta.service = destination->service;
  meta.direction = destination->direction;
  meta.hash = worker.flows<F>().hash(key);
  meta.owner = owner_of(*destination, key, worker);
  return true;
}

template <Family F>
void classify_icmp(Packet& packet, const Snapshot& snapshot, const WorkerState& worker,
                   std::uint16_t address) noexcept {
  Meta& meta = packet.meta;
  const std::span<const std::byte> bytes = packet.bytes;
  const auto* icmp = at<base::IcmpHdr>(bytes, meta.l4_offset);
  if (meta.fragment != FragmentKind::whole || !meta.has_l4 || !is_icmp_error<F>(icmp->type)) {
    return punt(packet, DropReason::no_kernel_path);
  }
  const std::size_t inner = meta.l4_offset + sizeof(base::IcmpHdr);
  const IpLayout quoted = walk_ip<F>(bytes, inner);
  const auto* ports = at<L4Ports>(bytes, quoted.l4_offset);
  // RFC 792 quotes at least 8 bytes of L4; of a later fragment there are no ports to go by.
  if (quoted.problem != DropReason::none || quoted.fragment == FragmentKind::later || ports == nullptr ||
      quoted.l4_offset + std::size_t{8} > std::size_t{meta.l4_offset} + meta.l4_length ||
      bytes.size() < quoted.l4_offset + std::size_t{8}) {
    return punt(packet, DropReason::icmp_malformed);
  }
  if (quoted.proto != IpProto::tcp && quoted.proto != IpProto::udp)
    return punt(packet, DropReason::no_kernel_path);
  // Errors go to whoever sent what they quote.
  if (at<IpHdr<F>>(bytes, inner)->src != at<IpHdr<F>>(bytes, meta.l3_offset)->dst)
    return punt(packet, DropReason::icmp_malformed);
  meta.icmp_error = true;
  meta.inner_l3_offset = static_cast<std::uint16_t>(inner);
  meta.inner_l4_offset = quoted.l4_offset;
  meta.inner_proto = quoted.proto;
  if (!match<F>(packet, snapshot, worker, address)) {
    meta.icmp_error = false;
    punt(packet, DropReason::icmp_no_flow);
  }
}

/// Whether a packet that is for none of our addresses may be ours all the same: a server's to a client, or an
/// error about what it was sent in the client's name, which comes from anywhere.
template <Family F>
bool may_concern_dnat(const Packet& packet, const IpHdr<F>& ip, const ServiceTables& tables) noexcept {
  if (tables.dnat_servers.empty()) return false;
  return tables.dnat_servers.has_address<F>(ip.src) || packet.meta.proto == kIcmpProto<F>;
}

template <Family F>
void classify_ip(Packet& packet, const Snapshot& snapshot, const WorkerState& worker) noexcept {
  Meta& meta = packet.meta;
  const auto* ip = at<IpHdr<F>>(std::span<const std::byte>(packet.bytes), meta.l3_offset);
  if (ip == nullptr) return punt(packet, meta.problem);
  const std::uint16_t address = snapshot.services->find_address<F>(ip->dst);
  if (address == kNoIndex && !may_concern_dnat<F>(packet, *ip, *snapshot.services)) {
    return punt(packet, meta.problem != DropReason::none ? meta.problem : DropReason::no_kernel_path);
  }
  if (meta.fragment != FragmentKind::whole && meta.problem == DropReason::none && is_gathered<F>(meta))
      [[unlikely]] {
    meta.hash = datagram_hash<F>(packet, worker);
    meta.owner =
        packet.tag.known ? static_cast<std::uint8_t>(worker.id) : owner_of_hash(meta.hash, snapshot.workers);
    return;
  }
  switch (meta.proto) {
    case IpProto::tcp:
    case IpProto::udp: {
      if (meta.problem != DropReason::none) {
        if (address == kNoIndex) return punt(packet, meta.problem);
        return packet.drop(meta.problem);
      }
      if (!match<F>(packet, snapshot, worker, address)) punt(packet, DropReason::no_kernel_path);
      return;
    }
    case kIcmpProto<F>:
      if (meta.problem != DropReason::none) return punt(packet, meta.problem);
      return classify_icmp<F>(packet, snapshot, worker, address);
    default:
      return punt(packet, meta.problem != DropReason::none ? meta.problem : DropReason::no_kernel_path);
  }
}

template <Family F>
FlowKey<F> key_of(const Packet& packet) noexcept {
  const Meta& meta = packet.meta;
  const std::span<const std::byte> bytes = packet.bytes;
  if (meta.fragment != FragmentKind::whole) {
    const auto* ip = at<IpHdr<F>>(bytes, meta.l3_offset);
    return {ip->src, ip->dst, packet.tag.ports.src, packet.tag.ports.dst, meta.proto};
  }
  const std::size_t l3 = meta.icmp_error ? meta.inner_l3_offset : meta.l3_offset;
  const std::size_t l4 = meta.icmp_error ? meta.inner_l4_offset : meta.l4_offset;
  const auto* ip = at<IpHdr<F>>(bytes, l3);
  const auto* ports = at<L4Ports>(bytes, l4);
  if (!meta.icmp_error) return {ip->src, ip->dst, ports->src, ports->dst, meta.proto};
  return {ip->dst, ip->src, ports->dst, ports->src, meta.inner_proto};
}

}  // namespace

template <>
FlowKey<Family::v4> flow_key<Family::v4>(const Packet& packet) noexcept {
  return key_of<Family::v4>(packet);
}
template <>
FlowKey<Family::v6> flow_key<Family::v6>(const Packet& packet) noexcept {
  return key_of<Family::v6>(packet);
}

template <Family F>
std::optional<Destination> find_destination(const ServiceTables& tables, const FlowKey<F>& key,
                                            std::uint16_t address) noexcept {
  if (address == kNoIndex) {
    if (!tables.dnat_servers.contains<F>(key.src, key.proto, key.src_port)) return std::nullopt;
    return Destination{Direction::to_client, kNoIndex, true};
  }
  const std::uint16_t service = tables.by_port.find({address, key.proto, key.dst_port});
  if (service != kNoIndex) return Destination{Direction::to_server, service, false};
  const ServedAddress& served = tables.addresses[address];
  if (!served.is_local || !served.source_ports.contains(key.dst_port.host())) return std::nullopt;
  return Destination{Direction::to_client, kNoIndex, false};
}

template <Family F>
std::uint8_t owner_of(const Destination& destination, const FlowKey<F>& key,
                      const WorkerState& worker) noexcept {
  if (worker.workers == 1) return 0;
  const FlowTable<F>& flows = worker.flows<F>();
  if (destination.direction == Direction::to_server)
    return owner_of_hash(flows.client_hash(key.src, key.src_port, key.proto), worker.workers);
  if (destination.keeps_client)
    return owner_of_hash(flows.client_hash(key.dst, key.dst_port, key.proto), worker.workers);
  return owner_of_port(key.dst_port, worker.workers);
}

template std::optional<Destination> find_destination(const ServiceTables&, const FlowKey<Family::v4>&,
                                                     std::uint16_t) noexcept;
template std::optional<Destination> find_destination(const ServiceTables&, const FlowKey<Family::v6>&,
                                                     std::uint16_t) noexcept;
template std::uint8_t owner_of(const Destination&, const FlowKey<Family::v4>&, const WorkerState&) noexcept;
template std::uint8_t owner_of(const Destination&, const FlowKey<Family::v6>&, const WorkerState&) noexcept;

template <Family F>
void classify_gathered(Packet& packet, const Snapshot& snapshot, const WorkerState& worker) noexcept {
  const Meta& meta = packet.meta;
  const auto* ip = at<IpHdr<F>>(std::span<const std::byte>(packet.bytes), meta.l3_offset);
  const std::uint16_t address = snapshot.services->find_address<F>(ip->dst);
  const bool has_ports = meta.proto == IpProto::tcp || meta.proto == IpProto::udp;
  if (!has_ports || !match<F>(packet, snapshot, worker, address)) {
    return punt(packet, DropReason::no_kernel_path);
  }
  if (meta.owner != worker.id) packet.verdict = Verdict::hand_over;
}

template void classify_gathered<Family::v4>(Packet&, const Snapshot&, const WorkerState&) noexcept;
template void classify_gathered<Family::v6>(Packet&, const Snapshot&, const WorkerState&) noexcept;

void classify(Packet& packet, const Snapshot& snapshot, const WorkerState& worker, bool steer) noexcept {
  const auto* eth = at<base::EthHdr>(std::span<const std::byte>(packet.bytes), 0);
  if (eth == nullptr) return packet.drop(DropReason::truncated);
  if (!packet.meta.is_ip)
    return punt(packet,
                packet.meta.problem == DropReason::none ? DropReason::no_kernel_path : packet.meta.problem);
  if (eth->dst != worker.ports[packet.in_port].mac &&
      !contains(snapshot.virtual_macs, {packet.in_port, eth->dst})) {
    return punt(packet, DropReason::other_host);
  }
  with_family(packet.meta.family, [&]<Family F>() { classify_ip<F>(packet, snapshot, worker); });
  // Whatever is answered goes back to where it came from; a group has sent nothing (IEEE 802 §8.2.2).
  if (packet.pending() && eth->src.is_multicast()) return packet.drop(DropReason::bad_source);
  if (steer && packet.pending() && packet.meta.owner != worker.id) packet.verdict = Verdict::hand_over;
}

}  // namespace sluice::dp
