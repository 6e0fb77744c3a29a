#include "dp/gather.h"

#include <span>

#include "dp/classify.h"
#include "dp/ip_header.h"
#include "dp/pipeline.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

/// Where the bytes begin that fragments are counted from.
template <Family F>
std::size_t payload_offset(const Meta& meta) noexcept {
  return F == Family::v4 ? meta.l4_offset : meta.fragment_header + sizeof(base::Ipv6FragmentHdr);
}

template <Family F>
DatagramKey key_of(const Packet& packet) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const auto* ip = at<IpHdr<F>>(bytes, packet.meta.l3_offset);
  if constexpr (F == Family::v4) {
    return {ip->src, ip->dst, ip->id.host(), ip->protocol};
  } else {
    return {ip->src, ip->dst, at<base::Ipv6FragmentHdr>(bytes, packet.meta.fragment_header)->id.host(), {}};
  }
}

/// What a first fragment tells.
template <Family F>
FragmentTag tag_of(const Packet& packet) noexcept {
  const Meta& meta = packet.meta;
  const std::span<const std::byte> bytes = packet.bytes;
  FragmentTag tag;
  tag.proto = meta.proto;
  if (!meta.has_l4 || (meta.proto != IpProto::tcp && meta.proto != IpProto::udp)) return tag;
  tag.ports = *at<L4Ports>(bytes, meta.l4_offset);
  if (meta.proto == IpProto::tcp) {
    const auto* tcp = at<base::TcpHdr>(bytes, meta.l4_offset);
    const auto headers =
        static_cast<std::uint32_t>(meta.l4_offset - payload_offset<F>(meta) + tcp->header_length());
    tag.ack = tcp->ack.host();
    tag.has_ack = tcp->flags.ack();
    tag.origin = tcp->seq.host() + (tcp->flags.syn() ? 1U : 0U) + (tcp->flags.fin() ? 1U : 0U) - headers;
  }
  return tag;
}

}  // namespace

template <Family F>
FragmentPlace place_of(const Packet& packet) noexcept {
  const Meta& meta = packet.meta;
  const std::span<const std::byte> bytes = packet.bytes;
  const auto length = static_cast<std::uint32_t>(meta.l3_offset + meta.l3_length - payload_offset<F>(meta));
  if constexpr (F == Family::v4) {
    const auto* ip = at<base::Ipv4Hdr>(bytes, meta.l3_offset);
    return {static_cast<std::uint32_t>(ip->fragment_offset()), length, ip->more_fragments()};
  } else {
    const auto* header = at<base::Ipv6FragmentHdr>(bytes, meta.fragment_header);
    return {static_cast<std::uint32_t>(header->fragment_offset()), length, header->more_fragments()};
  }
}

template <Family F>
std::uint64_t datagram_hash(const Packet& packet, const WorkerState& worker) noexcept {
  const auto* ip = at<IpHdr<F>>(std::span<const std::byte>(packet.bytes), packet.meta.l3_offset);
  const DatagramKey key = key_of<F>(packet);
  const FlowKey<F> hashed{ip->src, ip->dst, base::Be16{static_cast<std::uint16_t>(key.id >> 16)},
                          base::Be16{static_cast<std::uint16_t>(key.id)}, key.proto};
  if constexpr (F == Family::v4) {
    return worker.flows_v4.hash(hashed);
  } else {
    return worker.flows_v6.hash(hashed);
  }
}

template <Family F>
void gather(Packet& packet, const Snapshot& snapshot, WorkerState& worker, base::Tick now) noexcept {
  Meta& meta = packet.meta;
  if (!packet.tag.known) {
    std::optional<FragmentTag> first;
    if (meta.fragment == FragmentKind::first) first = tag_of<F>(packet);
    const Fragments::Found found = worker.fragments.add(key_of<F>(packet), meta.hash, place_of<F>(packet),
                                                        first, worker.datagram_ids, now);
    packet.verdict = found.verdict;
    packet.reason = found.reason;
    meta.place = found.place;
    packet.tag = found.tag;
    if (!packet.pending()) return;
  }
  meta.proto = packet.tag.proto;
  classify_gathered<F>(packet, snapshot, worker);
}

void run_kept(Packet& packet, const Fragments::Due& due, const Snapshot& snapshot, WorkerState& worker,
              base::Tick now) noexcept {
  if (due.reason != DropReason::none) return packet.drop(due.reason);
  packet.tag = due.tag;
  process_burst({&packet, 1}, Origin::worker, snapshot, worker, now);
}

template FragmentPlace place_of<Family::v4>(const Packet&) noexcept;
template FragmentPlace place_of<Family::v6>(const Packet&) noexcept;
template std::uint64_t datagram_hash<Family::v4>(const Packet&, const WorkerState&) noexcept;
template std::uint64_t datagram_hash<Family::v6>(const Packet&, const WorkerState&) noexcept;
template void gather<Family::v4>(Packet&, const Snapshot&, WorkerState&, base::Tick) noexcept;
template void gather<Family::v6>(Packet&, const Snapshot&, WorkerState&, base::Tick) noexcept;

}  // namespace sluice::dp
