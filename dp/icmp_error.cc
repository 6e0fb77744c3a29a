#include "dp/icmp_error.h"

#include "base/checksum.h"
#include "dp/ip_header.h"
#include "dp/source_route.h"

namespace sluice::dp {
namespace {

using base::at;
using base::ChecksumDelta;
using base::Family;
using base::IpProto;

/// Sets a field inside the ICMP message and accounts for it in the message's checksum.
template <typename T>
void change(T& field, const T& to, ChecksumDelta& message) noexcept {
  message.replace(field, to);
  field = to;
}

/// The two ends of what was quoted, as the receiver of the error knows them.
template <Family F>
struct Quoted {
  base::Address<F> src, dst;
  base::Be16 src_port, dst_port;
};

template <Family F>
ChecksumDelta rewrite_quoted(Packet& packet, const Quoted<F>& to, std::uint32_t seq_shift,
                             std::uint32_t ack_shift) noexcept {
  const Meta& meta = packet.meta;
  // Only what the message itself holds may be touched: behind it there is padding.
  const auto bytes =
      packet.bytes.first(std::min<std::size_t>(packet.bytes.size(), meta.l4_offset + meta.l4_length));
  ChecksumDelta message;
  auto* ip = at<IpHdr<F>>(bytes, meta.inner_l3_offset);
  ChecksumDelta addresses;
  addresses.replace(ip->src, to.src);
  addresses.replace(ip->dst, to.dst);
  message.add(addresses);
  ip->src = to.src;
  ip->dst = to.dst;
  if constexpr (F == Family::v4) change(ip->checksum, update_checksum(ip->checksum, addresses), message);

  auto* ports = at<L4Ports>(bytes, meta.inner_l4_offset);
  ChecksumDelta l4 = addresses;
  l4.replace(ports->src, to.src_port);
  l4.replace(ports->dst, to.dst_port);
  change(ports->src, to.src_port, message);
  change(ports->dst, to.dst_port, message);
  if (meta.inner_proto == IpProto::udp) {
    auto* udp = at<base::UdpHdr>(bytes, meta.inner_l4_offset);
    change(udp->checksum, update_udp_checksum(udp->checksum, l4), message);
    return message;
  }
  struct Sequence {
    base::Be16 src, dst;
    base::Be32 seq;
  };
  struct Acknowledgement {
    Sequence sequence;
    base::Be32 ack;
  };
  if (auto* tcp = at<Sequence>(bytes, meta.inner_l4_offset); tcp != nullptr && seq_shift != 0) {
    const base::Be32 seq{tcp->seq.host() + seq_shift};
    l4.replace(tcp->seq, seq);
    change(tcp->seq, seq, message);
  }
  if (auto* tcp = at<Acknowledgement>(bytes, meta.inner_l4_offset); tcp != nullptr && ack_shift != 0) {
    const base::Be32 ack{tcp->ack.host() + ack_shift};
    l4.replace(tcp->ack, ack);
    change(tcp->ack, ack, message);
  }
  if (auto* tcp = at<base::TcpHdr>(bytes, meta.inner_l4_offset); tcp != nullptr) {
    change(tcp->checksum, update_checksum(tcp->checksum, l4), message);
  }
  return message;
}

template <Family F>
bool mtu_is_sane(const base::IcmpHdr& icmp) noexcept {
  if constexpr (F == Family::v4) {
    if (icmp.type != base::icmp::kUnreachable || icmp.code != base::icmp::kCodeFragNeeded) return true;
    // The least that IPv4 allows: links of less than the 576 bytes that every host takes are rare, but there
    // are some, and without its error such a path would be a black hole. Whether to go so low, or to send
    // without DF from then on, as Linux does below 552 (net.ipv4.route.min_pmtu), is the receiver's choice.
    const std::uint32_t mtu = icmp.rest.host() & 0xffffU;
    return mtu == 0 || mtu >= 68;  // 0: a router older than RFC 1191
  } else {
    return icmp.type != base::icmpv6::kPacketTooBig || icmp.rest.host() >= 1280;
  }
}

/// Whether the checksum of the IPv4 header at `l3_offset` is right.
bool header_is_right(std::span<const std::byte> bytes, std::size_t l3_offset,
                     std::size_t l4_offset) noexcept {
  return base::fold(base::sum_bytes(bytes.subspan(l3_offset, l4_offset - l3_offset))) == 0xffff;
}

}  // namespace

template <Family F>
DropReason flaw_of_icmp_error(const Packet& packet) noexcept {
  const std::span<const std::byte> bytes = packet.bytes;
  const Meta& meta = packet.meta;
  // Every port's buffers hold its largest frame: only who cuts frames up on purpose has it in pieces.
  if (bytes.size() < std::size_t{meta.l4_offset} + meta.l4_length) return DropReason::icmp_malformed;
  if (is_source_routed<F>(bytes, meta.l3_offset, meta.l4_offset) ||
      is_source_routed<F>(bytes, meta.inner_l3_offset, meta.inner_l4_offset)) {
    return DropReason::source_routed;
  }
  std::uint64_t sum = 0;
  if constexpr (F == Family::v4) {
    if (!header_is_right(bytes, meta.l3_offset, meta.l4_offset) ||
        !header_is_right(bytes, meta.inner_l3_offset, meta.inner_l4_offset)) {
      return DropReason::icmp_bad_checksum;
    }
  } else {
    const auto* ip = at<base::Ipv6Hdr>(bytes, meta.l3_offset);
    sum = base::pseudo_header_sum(ip->src, ip->dst, IpProto::icmpv6, meta.l4_length);
  }
  sum = base::sum_bytes(bytes.subspan(meta.l4_offset, meta.l4_length), sum);
  return base::fold(sum) == 0xffff ? DropReason::none : DropReason::icmp_bad_checksum;
}

template <Family F>
bool translate_icmp_error(Packet& packet, const Flow<F>& flow, const FlowDetail& detail) noexcept {
  const Meta& meta = packet.meta;
  auto* ip = at<IpHdr<F>>(packet.bytes, meta.l3_offset);
  auto* icmp = at<base::IcmpHdr>(packet.bytes, meta.l4_offset);
  if (!mtu_is_sane<F>(*icmp)) return false;

  const bool to_client = meta.direction == Direction::to_client;
  const std::uint32_t shift = (flow.flags & Flow<F>::kTranslatesSequence) != 0 ? detail.sequence_delta : 0;
  const std::uint32_t server_shift = (flow.flags & Flow<F>::kSpliced) != 0 ? detail.server_shift : 0;
  ChecksumDelta message =
      to_client ? rewrite_quoted<F>(packet, {flow.client, flow.vip, flow.client_port, flow.vip_port},
                                    0 - shift, server_shift)
                : rewrite_quoted<F>(packet, {flow.server, flow.local, flow.server_port, flow.local_port},
                                    0 - server_shift, shift);

  const auto& end = to_client ? flow.server : flow.client;  // who may have sent the error itself
  const auto src = ip->src == end ? (to_client ? flow.vip : flow.local) : ip->src;
  const auto dst = to_client ? flow.client : flow.server;
  ChecksumDelta addresses;
  addresses.replace(ip->src, src);
  addresses.replace(ip->dst, dst);
  ip->src = src;
  ip->dst = dst;
  if constexpr (F == Family::v4) {
    ip->checksum = update_checksum(ip->checksum, addresses);
  } else {
    message.add(addresses);  // ICMPv6 covers a pseudo-header, RFC 4443 §2.3
  }
  icmp->checksum = update_checksum(icmp->checksum, message);
  return true;
}

template DropReason flaw_of_icmp_error<Family::v4>(const Packet&) noexcept;
template DropReason flaw_of_icmp_error<Family::v6>(const Packet&) noexcept;
template bool translate_icmp_error(Packet&, const Flow<Family::v4>&, const FlowDetail&) noexcept;
template bool translate_icmp_error(Packet&, const Flow<Family::v6>&, const FlowDetail&) noexcept;

}  // namespace sluice::dp
