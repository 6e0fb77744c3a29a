#include "test/packet/translation.h"

#include <algorithm>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "test/packet/seen.h"
#include "test/packet_match.h"
#include "test/packet_view.h"

namespace sluice::test {
namespace {

using base::Family;

constexpr unsigned kTcp = 6, kUdp = 17;

/// The IP packet of a frame, and where its L4 header is.
struct Packet {
  explicit Packet(const Bytes& frame) {
    const EthView link = read_eth(View(frame));
    const IpView ip = read_ip(link.payload, link.type == 0x86dd, false);
    const auto all = link.payload.bytes();
    l4 = static_cast<std::size_t>(ip.l4.bytes().data() - all.data());
    bytes.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(l4 + ip.l4.size()));
    v6 = ip.v6;
    protocol = ip.protocol;
    first = ip.fragment && ip.offset == 0;
    later = ip.offset != 0;
    more = ip.more;
  }
  [[nodiscard]] unsigned u16(std::size_t at) const { return View(bytes).u16(at); }
  void put16(std::size_t at, unsigned value) {
    bytes.at(at) = std::byte(value >> 8 & 0xff);
    bytes.at(at + 1) = std::byte(value & 0xff);
  }
  void put32(std::size_t at, std::uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
  }
  void put(std::size_t at, const base::IpAddress& address) {
    const auto write = [&](const auto& plain) {
      std::copy_n(reinterpret_cast<const std::byte*>(&plain), sizeof(plain),
                  bytes.begin() + static_cast<std::ptrdiff_t>(at));
    };
    address.is_v4() ? write(address.v4()) : write(address.v6());
  }
  [[nodiscard]] std::size_t source() const { return v6 ? 8 : 12; }
  [[nodiscard]] std::size_t destination() const { return v6 ? 24 : 16; }
  [[nodiscard]] std::size_t checksum() const { return l4 + (protocol == kTcp ? 16 : 6); }
  /// All that the L4 checksum covers and that is here, itself included (RFC 1071); 0xffff and 0 are one.
  [[nodiscard]] std::uint64_t sum() const {
    const View addresses = View(bytes).first(v6 ? 40 : 20).from(source());
    const View rest = View(bytes).from(l4);
    std::uint64_t sum = 0;
    for (const View& view : {addresses, rest}) {
      for (std::size_t at = 0; at < view.size(); at += 2) sum += view.u16(at);
    }
    return sum % 0xffff;
  }

  Bytes bytes;
  std::size_t l4 = 0;
  unsigned protocol = 0;
  bool v6 = false, first = false, later = false, more = false;
};

/// IPv4 fragments in order, put together.
Packet joined(const std::vector<Bytes>& pieces) {
  Packet whole(pieces.front());
  for (std::size_t n = 1; n < pieces.size(); ++n) {
    const Packet piece(pieces[n]);
    EXPECT_EQ((piece.u16(6) & 0x1fffU) * 8, (whole.u16(6) & 0x1fffU) * 8 + whole.bytes.size() - whole.l4);
    EXPECT_EQ(piece.u16(4), whole.u16(4)) << "identification";
    whole.bytes.insert(whole.bytes.end(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(piece.l4),
                       piece.bytes.end());
    whole.more = piece.more;
  }
  whole.put16(2, static_cast<unsigned>(whole.bytes.size()));
  whole.put16(6, (whole.u16(6) & 0xdfffU) | (whole.more ? 0x2000U : 0));
  return whole;
}

/// What a flow's record says of a packet.
struct Expected {
  base::Endpoint from, to;
  std::uint32_t seq_shift = 0, ack_shift = 0;
  bool spliced = false;
};

template <Family F>
Expected expected(const dp::Flow<F>& flow, const dp::FlowDetail& detail, bool to_server) {
  const bool spliced = (flow.flags & dp::Flow<F>::kSpliced) != 0;
  const bool translates = (flow.flags & dp::Flow<F>::kTranslatesSequence) != 0;
  const std::uint32_t client = translates ? detail.sequence_delta : 0;
  const std::uint32_t server = spliced ? detail.server_shift : 0;
  if (to_server) {
    return {{flow.local, flow.local_port.host()},
            {flow.server, flow.server_port.host()},
            client,
            0 - server,
            spliced};
  }
  return {
      {flow.vip, flow.vip_port.host()}, {flow.client, flow.client_port.host()}, server, 0 - client, spliced};
}

/// Of a packet from `from` to `to`. `got`: what left, of a fragment without ports: one of several flows may
/// be its. Nothing: there is no flow.
template <Family F>
std::optional<Expected> find(const dp::FlowTable<F>& flows, unsigned protocol, const base::Endpoint& from,
                             const base::Endpoint& to, const Seen* got = nullptr) {
  const auto is = [&](const base::Endpoint& a, const base::Address<F>& address, base::Be16 port) {
    return a.address == base::IpAddress(address) && (got != nullptr || a.port == port.host());
  };
  for (std::uint32_t n = 0; n < flows.used_records(); ++n) {
    const dp::Flow<F>& flow = flows.flow(n);
    if (flow.state == dp::FlowState::unused) continue;
    // Over IPv6 a later fragment need not tell the protocol (RFC 8200 §4.5).
    if (got == nullptr && static_cast<unsigned>(flow.proto) != protocol) continue;
    for (const bool to_server : {true, false}) {
      const bool match = to_server
                             ? is(from, flow.client, flow.client_port) && is(to, flow.vip, flow.vip_port)
                             : is(from, flow.server, flow.server_port) && is(to, flow.local, flow.local_port);
      if (!match) continue;
      const Expected found = expected(flow, flows.detail(n), to_server);
      if (got == nullptr || (got->src == found.from.address && got->dst == found.to.address)) return found;
    }
  }
  return std::nullopt;
}

std::optional<Expected> find(const dp::WorkerState& owner, unsigned protocol, const base::Endpoint& from,
                             const base::Endpoint& to, const Seen* got = nullptr) {
  return from.address.is_v4() ? find(owner.flows_v4, protocol, from, to, got)
                              : find(owner.flows_v6, protocol, from, to, got);
}

/// To the side that sent what is quoted, as it sent that.
void expect_error(const Seen& in, const Seen& out, const dp::WorkerState& owner) {
  const Seen about = quoted(in), told = quoted(out);
  EXPECT_EQ(out.dst, told.src) << "an error goes to the sender of what it is about";
  EXPECT_EQ(told.protocol, about.protocol);
  // It went the other way: turned round, it is a packet that the flow would translate.
  const auto back = find(owner, about.protocol, about.to(), about.from());
  if (!back) return;  // a quote without ports
  EXPECT_EQ(told.from(), back->to);
  EXPECT_EQ(told.to(), back->from);
  EXPECT_TRUE(out.src == in.src || out.src == back->from.address) << "a router, or the other end";
}

/// The segments of a connection that SYN cookies put in the place of others: a SYN in that of the ACK that
/// brought the cookie, an ACK in that of the server's SYN-ACK.
bool took_its_place(const Seen& in, const Seen& out) {
  const auto bits = [](const Seen& seen) { return seen.flags.bits & (SYN | ACK | RST).bits; };
  return in.protocol == kTcp &&
         ((bits(in) == ACK.bits && out.flags == SYN) || (bits(in) == (SYN | ACK).bits && out.flags == ACK));
}

/// Nothing that a translation may change, and be it for a reason, is left in it.
void blank(Packet& packet, const Seen& seen, bool options, bool window) {
  if (!packet.v6) {
    packet.put16(4, 0);   // identification
    packet.put16(10, 0);  // checksum
  }
  if (packet.later || (packet.protocol != kTcp && packet.protocol != kUdp)) return;
  packet.put16(packet.checksum(), 0);
  if (packet.protocol != kTcp) return;
  if (window) packet.put16(packet.l4 + 14, 0);
  const std::size_t begin = packet.l4 + 20;
  if (options)
    std::fill_n(packet.bytes.begin() + static_cast<std::ptrdiff_t>(begin), seen.options.size(), std::byte{});
}

void expect_fields(Packet in, Packet out, const Seen& was, const Seen& is,
                   const std::optional<Expected>& flow) {
  const bool tcp = in.protocol == kTcp && !in.later, udp = in.protocol == kUdp && !in.later;
  if (udp) {
    EXPECT_EQ(was.checksum == 0, is.checksum == 0) << "no checksum stays none (RFC 768)";
  }
  if (in.first && (tcp || (udp && was.checksum != 0))) {
    EXPECT_EQ(out.sum(), in.sum()) << "the whole datagram's checksum";
  }
  in.bytes[in.v6 ? 7 : 8] = std::byte(was.ttl - 1);
  // Without a record as what left has it.
  in.put(in.source(), flow ? flow->from.address : is.src);
  in.put(in.destination(), flow ? flow->to.address : is.dst);
  if (tcp || udp) {
    in.put16(in.l4, flow ? flow->from.port : is.sport);
    in.put16(in.l4 + 2, flow ? flow->to.port : is.dport);
  }
  if (tcp) {
    const bool acks = (was.flags.bits & ACK.bits) != 0;
    // Where the SYN that is made of a cookie has an acknowledgement, it bears that.
    const bool cookie = flow && flow->spliced && (was.flags.bits & (SYN | ACK).bits) == SYN.bits;
    in.put32(in.l4 + 4, flow ? was.seq + flow->seq_shift : is.seq);
    in.put32(in.l4 + 8, !flow ? is.ack : cookie ? 0 : acks ? was.ack + flow->ack_shift : was.ack);
    if (flow && (was.flags.bits & SYN.bits) == 0) {
      auto edges = was.sack_edges();
      for (std::uint32_t& edge : edges) edge += flow->ack_shift;
      EXPECT_EQ(is.sack_edges(), edges);
    }
  }
  const bool options = !flow || flow->ack_shift != 0 || (was.flags.bits & SYN.bits) != 0;
  const bool window = !flow || flow->spliced;
  blank(in, was, options, window);
  blank(out, was, options, window);
  if (out.bytes != in.bytes) {
    EXPECT_EQ(hex_dump(out.bytes), hex_dump(in.bytes))
        << "all else stays as it was (what may change blanked)";
  }
}

}  // namespace

void expect_translated(const Bytes& in, const std::vector<Bytes>& out, const dp::WorkerState* owner) {
  const Seen was = see(in), is = see(out.front());
  EXPECT_EQ(is.ttl, was.ttl - 1);
  EXPECT_EQ(is.tos, was.tos);
  EXPECT_EQ(is.protocol, was.protocol);
  if (was.protocol == 1 || was.protocol == 58) {
    if (owner != nullptr) expect_error(was, is, *owner);
    return;
  }
  const Packet before(in);
  std::optional<Expected> flow;
  if (owner != nullptr) {
    flow = find(*owner, was.protocol, was.from(), was.to(), before.later ? &is : nullptr);
    EXPECT_TRUE(flow) << "forwarded without a flow, or not as it says: " << describe(in) << " to "
                      << describe(out.front());
  }
  if (!took_its_place(was, is)) {
    expect_fields(before, out.size() == 1 ? Packet(out.front()) : joined(out), was, is, flow);
  } else if (flow) {
    EXPECT_EQ(is.from(), flow->from);
    EXPECT_EQ(is.to(), flow->to);
  }
}

}  // namespace sluice::test
