#include "tools/replay/packet_line.h"

#include <array>
#include <string_view>
#include <utility>

#include "dp/gather.h"
#include "dp/ip_header.h"
#include "tools/replay/parsed_frame.h"

namespace sluice::replay {
namespace {

using base::Family;
using base::IpProto;

std::string name_of(IpProto protocol) {
  switch (protocol) {
    case IpProto::tcp: return "tcp";
    case IpProto::udp: return "udp";
    case IpProto::icmp: return "icmp";
    case IpProto::icmpv6: return "icmpv6";
    default: return std::to_string(static_cast<unsigned>(protocol));
  }
}

std::string flags_of(base::TcpFlags flags) {
  using F = base::TcpFlags;
  constexpr std::array<std::pair<std::uint8_t, std::string_view>, 8> kNames{{{F::kSyn, "SYN"},
                                                                             {F::kFin, "FIN"},
                                                                             {F::kRst, "RST"},
                                                                             {F::kPsh, "PSH"},
                                                                             {F::kAck, "ACK"},
                                                                             {F::kUrg, "URG"},
                                                                             {F::kEce, "ECE"},
                                                                             {F::kCwr, "CWR"}}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((flags.bits & bit) == 0) continue;
    if (!text.empty()) text += '|';
    text += name;
  }
  return text;
}

template <Family F>
std::string fragment_of(const ParsedFrame& parsed) {
  const dp::FragmentPlace place = dp::place_of<F>(parsed.packet);
  std::uint32_t id = 0;
  if constexpr (F == Family::v4) {
    id = parsed.at<base::Ipv4Hdr>(parsed.meta().l3_offset)->id.host();
  } else {
    id = parsed.at<base::Ipv6FragmentHdr>(parsed.meta().fragment_header)->id.host();
  }
  return std::to_string(place.offset) + "+" + std::to_string(place.length) + (place.more ? "" : " last") +
         " id " + std::to_string(id);
}

}  // namespace

PacketLine packet_line(std::span<const std::byte> frame, std::size_t wire_length) {
  const ParsedFrame parsed(frame, wire_length);
  const dp::Meta& meta = parsed.meta();
  PacketLine line;
  if (!meta.is_ip) return line;
  dp::with_family(meta.family, [&]<Family F>() {
    const auto* ip = parsed.at<dp::IpHdr<F>>(meta.l3_offset);
    if (ip == nullptr) return;
    line.protocol = name_of(meta.proto);
    const base::IpAddress source(ip->src), destination(ip->dst);
    line.source = source.to_string();
    line.destination = destination.to_string();
    if (meta.fragment != dp::FragmentKind::whole && meta.problem == dp::DropReason::none)
      line.fragment = fragment_of<F>(parsed);
    const bool has_ports = meta.proto == IpProto::tcp || meta.proto == IpProto::udp;
    if (!has_ports || !meta.has_l4) return;
    const auto* ports = parsed.at<dp::L4Ports>(meta.l4_offset);
    line.source = base::Endpoint{source, ports->src.host()}.to_string();
    line.destination = base::Endpoint{destination, ports->dst.host()}.to_string();
    if (meta.proto == IpProto::tcp) line.flags = flags_of(meta.tcp_flags);
  });
  return line;
}

}  // namespace sluice::replay
