#include "dp/answer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checksum.h"
#include "dp/ip_header.h"

namespace sluice::dp {
namespace {

using base::at;
using base::Family;
using base::IpProto;

constexpr std::uint8_t kHopLimit = 64;

/// Writes the IP header of an answer in front of `payload` bytes at `l3_offset`. `dscp`: in its place in the
/// traffic class, the two bits of ECN zero.
template <Family F>
void write_ip(Packet& packet, const base::Address<F>& src, const base::Address<F>& dst, std::uint8_t dscp,
              IpProto proto, std::size_t payload, WorkerState& worker) noexcept {
  auto* ip = at<IpHdr<F>>(packet.bytes, packet.meta.l3_offset);
  *ip = {};
  ip->src = src;
  ip->dst = dst;
  if constexpr (F == Family::v4) {
    ip->version_ihl = 0x45;
    ip->tos = dscp;
    ip->total_length = base::Be16{static_cast<std::uint16_t>(sizeof(*ip) + payload)};
    ip->id = worker.datagram_ids.whole();
    ip->ttl = kHopLimit;
    ip->protocol = proto;
    ip->checksum = base::ipv4_checksum(std::as_bytes(std::span(ip, 1)));
  } else {
    ip->version_class_flow = base::Be32{0x6000'0000U | std::uint32_t{dscp} << 20};
    ip->payload_length = base::Be16{static_cast<std::uint16_t>(payload)};
    ip->next_header = proto;
    ip->hop_limit = kHopLimit;
  }
}

void cut(Packet& packet, std::size_t frame_length) noexcept {
  packet.bytes = packet.bytes.first(frame_length);
  packet.frame_length = static_cast<std::uint32_t>(frame_length);
}

template <Family F>
void make_reset(Packet& packet, DropReason reason, WorkerState& worker) noexcept {
  const Meta& meta = packet.meta;
  const auto ip = *at<IpHdr<F>>(packet.bytes, meta.l3_offset);
  const auto in = *at<base::TcpHdr>(packet.bytes, meta.l4_offset);
  base::TcpHdr out{};
  out.src = in.dst;
  out.dst = in.src;
  out.off_rsvd = 5 << 4;
  if (in.flags.ack()) {
    out.seq = in.ack;
    out.flags.bits = base::TcpFlags::kRst;
  } else {
    const auto length = static_cast<std::uint32_t>(meta.l4_length - in.header_length()) +
                        (in.flags.syn() ? 1U : 0U) + (in.flags.fin() ? 1U : 0U);
    // Who has had his SYN answered by a cookie believes no RST without its number.
    if (meta.spliced) out.seq = in.ack;
    out.ack = base::Be32{in.seq.host() + length};
    out.flags.bits = base::TcpFlags::kRst | base::TcpFlags::kAck;
  }
  // The answer is never longer than the segment: fixed headers without options.
  const std::size_t l4 = meta.l3_offset + sizeof(ip);
  *at<base::TcpHdr>(packet.bytes, l4) = out;
  write_ip<F>(packet, ip.dst, ip.src, 0, IpProto::tcp, sizeof(out), worker);
  at<base::TcpHdr>(packet.bytes, l4)->checksum = base::l4_checksum(
      ip.dst, ip.src, IpProto::tcp, std::span<const std::byte>(packet.bytes).subspan(l4, sizeof(out)));
  cut(packet, l4 + sizeof(out));
  turn_round(packet, reason);
}

struct IcmpTypeCode {
  std::uint8_t type, code;
};

template <Family F>
constexpr IcmpTypeCode type_code(IcmpAnswer what) noexcept {
  constexpr bool v4 = F == Family::v4;
  switch (what) {
    case IcmpAnswer::time_exceeded: return {v4 ? base::icmp::kTimeExceeded : base::icmpv6::kTimeExceeded, 0};
    case IcmpAnswer::too_big:
      if (v4) return {base::icmp::kUnreachable, base::icmp::kCodeFragNeeded};
      return {base::icmpv6::kPacketTooBig, 0};
    case IcmpAnswer::port_unreachable:
      if (v4) return {base::icmp::kUnreachable, base::icmp::kCodePortUnreachable};
      return {base::icmpv6::kUnreachable, base::icmpv6::kCodePortUnreachable};
    case IcmpAnswer::host_unreachable:
      if (v4) return {base::icmp::kUnreachable, base::icmp::kCodeHostUnreachable};
      return {base::icmpv6::kUnreachable, base::icmpv6::kCodeAddressUnreachable};
    case IcmpAnswer::prohibited:
      if (v4) return {base::icmp::kUnreachable, base::icmp::kCodeProhibited};
      return {base::icmpv6::kUnreachable, base::icmpv6::kCodeProhibited};
  }
  return {};
}

/// An address of our own for an error about a packet: what it was sent to, or where that is the client's own
/// (mode dnat) the virtual IP.
template <Family F>
base::Address<F> own_address(const Packet& packet, const base::Address<F>& destination,
                             const WorkerState& worker) noexcept {
  if (packet.meta.direction == Direction::to_server || packet.meta.flow == kNoFlow) return destination;
  const Flow<F>& flow = worker.flows<F>().flow(packet.meta.flow);
  return destination == flow.client ? flow.vip : destination;
}

/// False when the frame has no room for the headers.
template <Family F>
bool make_icmp(Packet& packet, IcmpAnswer what, std::uint16_t mtu, WorkerState& worker) noexcept {
  constexpr std::size_t kHeaders = sizeof(IpHdr<F>) + sizeof(base::IcmpHdr);
  // RFC 1812 §4.3.2.3: as much as fits 576 bytes; RFC 4443 §2.4 (c): 1280.
  constexpr std::size_t kQuoteMax = (F == Family::v4 ? 576 : 1280) - kHeaders;
  const std::size_t l3 = packet.meta.l3_offset;
  const auto ip = *at<IpHdr<F>>(packet.bytes, l3);
  const std::size_t quote =
      std::min({kQuoteMax, packet.bytes.size() - l3, static_cast<std::size_t>(packet.meta.l3_length)});
  if (!packet.grow_front(kHeaders)) return false;
  std::memmove(packet.bytes.data(), packet.bytes.data() + kHeaders, l3);
  const std::size_t l4 = l3 + sizeof(IpHdr<F>);
  const auto own = own_address<F>(packet, ip.dst, worker);
  // RFC 5508 §7.7. No answer is ECN-capable (RFC 3168 §5).
  std::uint8_t traffic_class = 0;
  if constexpr (F == Family::v4) {
    traffic_class = ip.tos;
  } else {
    traffic_class = ip.traffic_class();
  }
  constexpr std::uint8_t kDscp = 0xfc;
  write_ip<F>(packet, own, ip.src, traffic_class & kDscp, kIcmpProto<F>, sizeof(base::IcmpHdr) + quote,
              worker);
  auto* icmp = at<base::IcmpHdr>(packet.bytes, l4);
  const auto [type, code] = type_code<F>(what);
  *icmp = {.type = type, .code = code, .checksum = {}, .rest = base::Be32{mtu}};
  const auto message = std::span<const std::byte>(packet.bytes).subspan(l4, sizeof(base::IcmpHdr) + quote);
  if constexpr (F == Family::v4) {
    icmp->checksum = base::Be16::from_raw(static_cast<std::uint16_t>(~base::fold(base::sum_bytes(message))));
  } else {
    icmp->checksum = base::l4_checksum(own, ip.src, IpProto::icmpv6, message);
  }
  cut(packet, l4 + message.size());
  turn_round(packet, DropReason::icmp_sent);
  return true;
}

}  // namespace

void turn_round(Packet& packet, DropReason reason) noexcept {
  auto* eth = at<base::EthHdr>(packet.bytes, 0);
  std::swap(eth->dst, eth->src);
  packet.verdict = Verdict::reflect;
  packet.reason = reason;
}

void answer_with_reset(Packet& packet, DropReason reason, WorkerState& worker, base::Tick now) noexcept {
  if (!worker.resets.take(now)) return packet.drop(DropReason::reset_limited);
  with_family(packet.meta.family, [&]<Family F>() { make_reset<F>(packet, reason, worker); });
}

void answer_with_icmp(Packet& packet, IcmpAnswer what, std::uint16_t mtu, DropReason otherwise,
                      WorkerState& worker, base::Tick now) noexcept {
  if (packet.meta.family == Family::v4 && packet.meta.fragment == FragmentKind::later) {
    return packet.drop(otherwise);
  }
  if (!worker.icmp_errors.take(now)) return packet.drop(otherwise);
  const bool made =
      with_family(packet.meta.family, [&]<Family F>() { return make_icmp<F>(packet, what, mtu, worker); });
  if (!made) packet.drop(otherwise);
}

void refuse(Packet& packet, DropReason reason, WorkerState& worker, base::Tick now,
            IcmpAnswer error) noexcept {
  if (packet.meta.proto == IpProto::tcp) {
    answer_with_reset(packet, reason, worker, now);
    return;
  }
  answer_with_icmp(packet, error, 0, reason, worker, now);
  if (packet.verdict == Verdict::reflect) packet.reason = reason;
}

}  // namespace sluice::dp
