#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "test/fuzz/choices.h"
#include "test/packet/world.h"

namespace sluice::test {

/// Bytes that hurt parsers.
inline std::byte nasty(Choices& choices) {
  constexpr std::uint8_t kBytes[]{0,    1,    4,    5,    6,    8,    0x11, 0x2b, 0x2c, 0x3a, 0x3c,
                                  0x40, 0x45, 0x60, 0x7f, 0x80, 0x81, 0x86, 0x88, 0xa8, 0xdd, 0xff};
  return choices.one_in(2) ? std::byte{kBytes[choices.below(sizeof(kBytes))]} : std::byte(choices.below(256));
}

/// Of a service beside that on kPort.
inline constexpr std::uint16_t kOtherPort = 81;

/// A network of few clients, few servers and their flows, all of whose members talk nonsense at times.
template <Family F>
class Crowd {
 public:
  Crowd(Balancer& b, Choices& choices) : b_(b), choices_(choices) {}

  Bytes any_frame() {
    if (choices_.one_in(5)) return fragment();
    if (!cookies_.empty() && choices_.one_in(4)) return returned();
    switch (choices_.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: return of_client().bytes();
      case 4:
      case 5:
      case 6:
      case 7: return of_server();
      case 8: return error_about_something();
      default: return mutated(sent_.empty() ? of_client().bytes() : sent_[choices_.below(size())]);
    }
  }
  void note(const Outcome& outcome) {
    if (outcome.reflected() && outcome.reason == DropReason::syn_cookie_sent) {
      const Seen answer = outcome.seen();
      if (answer.dst.family() == F) cookies_.push_back(answer);
      if (cookies_.size() > 4) cookies_.pop_front();
    }
    if (!outcome.forwarded()) return;
    sent_.push_back(outcome.out);
    if (sent_.size() > 32) sent_.pop_front();
  }

 private:
  std::uint32_t size() const { return static_cast<std::uint32_t>(sent_.size()); }
  Flags flags() {
    constexpr Flags kLikely[]{SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK};
    return choices_.one_in(10) ? Flags{static_cast<std::uint8_t>(choices_.below(256))}
                               : kLikely[choices_.below(7)];
  }
  std::uint32_t number(std::uint32_t near) {
    switch (choices_.below(4)) {
      case 0: return near;
      case 1: return near + choices_.below(3) - 1;
      case 2: return near + choices_.below(5'000) - 2'500;
      default: return static_cast<std::uint32_t>(choices_.next());
    }
  }
  PacketBuilder dressed(PacketBuilder p) {
    for (unsigned n = choices_.one_in(4) ? 2 : 1; n > 0; --n) {
      switch (choices_.below(24)) {
        case 1: p.ttl(static_cast<std::uint8_t>(choices_.below(4))); break;
        case 2: p.tos(static_cast<std::uint8_t>(choices_.next())); break;
        case 3: p.padding(choices_.below(20)); break;
        case 4: p.vlan(7); break;
        case 5: p.total_length(static_cast<std::uint16_t>(choices_.below(200))); break;
        case 6: p.version(static_cast<std::uint8_t>(choices_.below(16))); break;
        case 7:
        case 8:
        case 9:
        case 10: extend(p); break;
        default: break;
      }
    }
    return p;
  }
  /// By options or extension headers, and what else only one family has.
  void extend(PacketBuilder& p) {
    if constexpr (F == Family::v4) {
      constexpr std::array kLooseRoute{std::byte{131}, std::byte{7}, std::byte{4}, std::byte{10},
                                       std::byte{9},   std::byte{},  std::byte{1}, std::byte{}};
      switch (choices_.below(5)) {
        case 0: p.options(4 * (1 + choices_.below(10))); break;
        case 1: p.df(); break;
        case 2: p.options(kLooseRoute); break;
        case 3: p.ihl(static_cast<std::uint8_t>(choices_.below(16))); break;
        default: p.bad_checksum(); break;
      }
    } else {
      switch (choices_.below(5)) {
        case 0: p.dest_opts(8 * (1 + choices_.below(3))); break;
        case 1: p.hop_by_hop(8); break;
        case 2: p.fragment(0, false, 1); break;
        case 3: p.routing(8, static_cast<std::uint8_t>(choices_.below(2))); break;
        default:
          for (std::uint32_t n = choices_.below(12); n > 0; --n) p.dest_opts(8);
          break;
      }
    }
  }
  void tcp_options(PacketBuilder& p) {
    constexpr std::array<std::byte, 18> kSignature{std::byte{19}, std::byte{18}};  // TCP-MD5
    for (unsigned n = choices_.below(3); n > 0; --n) {
      switch (choices_.below(16)) {
        case 0:
        case 1:
        case 2: p.mss(static_cast<std::uint16_t>(choices_.one_in(2) ? choices_.next() : 1'460)); break;
        case 3:
        case 4:
        case 5: p.window_scale(static_cast<std::uint8_t>(choices_.below(16))); break;
        case 6:
        case 7:
        case 8: p.timestamps(static_cast<std::uint32_t>(choices_.next()), 0); break;
        case 9:
        case 10: p.sack_permitted(); break;
        case 11: p.tcp_options(kSignature); break;
        case 12: p.data_offset(static_cast<std::uint8_t>(choices_.below(16))); break;
        default: p.sack_blocks({{number(0), number(0)}}); break;
      }
    }
  }
  struct Known {
    const dp::Flow<F>* flow = nullptr;
    const dp::FlowDetail* detail = nullptr;
  };
  /// One of those that there are, seldom a record that is none; null: there are no records.
  Known any_flow() {
    const auto& table = b_.worker(choices_.below(b_.workers())).template flows<F>();
    if (table.used_records() == 0) return {};
    std::uint32_t record = choices_.below(table.used_records());
    if (!choices_.one_in(8)) {  // the next that is in use, if any
      for (std::uint32_t n = 0; n < table.used_records() && table.flow(record).state == FlowState::unused;
           ++n)
        record = (record + 1) % table.used_records();
    }
    return {&table.flow(record), &table.detail(record)};
  }
  /// Mostly beyond the gateway; or a server, or another host on the servers' network.
  base::Address<F> any_client() {
    const unsigned n = choices_.below(24);
    if (n == 22) return Net<F>::server(choices_.below(2));
    return n == 23 ? Net<F>::stranger() : Net<F>::client(n % 4);
  }
  PacketBuilder of_client() {
    const dp::Flow<F>* flow = choices_.one_in(2) ? any_flow().flow : nullptr;
    if (flow != nullptr && flow->state != FlowState::unused) return of_client_of(*flow);
    PacketBuilder p = dressed(from_client<F>(any_client(), Net<F>::vip()));
    const auto port = static_cast<std::uint16_t>(1'000 + choices_.below(4));
    const std::size_t length = choices_.one_in(40) ? 1'600 : choices_.below(100);
    if (choices_.one_in(3)) return datagram(p, port, kPort, length);
    p.tcp(port, choices_.one_in(3) ? kOtherPort : kPort, flags()).seq(number(7'000)).ack(number(9'000));
    tcp_options(p);
    return p.payload(length);
  }
  /// The next of a connection, or nearly.
  PacketBuilder of_client_of(const dp::Flow<F>& flow) {
    PacketBuilder p = dressed(from_client<F>(flow.client, flow.vip));
    if (flow.proto == base::IpProto::udp) {
      return datagram(p, flow.client_port.host(), flow.vip_port.host(), choices_.below(200));
    }
    p.tcp(flow.client_port.host(), flow.vip_port.host(), flags())
        .seq(number(flow.end[0]))
        .ack(number(flow.end[1]));
    tcp_options(p);
    return p.payload(choices_.below(200));
  }
  /// A client's ACK that brings a SYN cookie back, or nearly.
  Bytes returned() {
    const Seen& answer = cookies_[choices_.below(static_cast<std::uint32_t>(cookies_.size()))];
    PacketBuilder p = dressed(from_client<F>(answer.dst.template as<F>(), answer.src.template as<F>()))
                          .tcp(answer.dport, answer.sport, choices_.one_in(8) ? flags() : ACK)
                          .window(static_cast<std::uint16_t>(choices_.next()));
    const bool exact = !choices_.one_in(4);
    p.seq(exact ? answer.ack : number(answer.ack)).ack(exact ? answer.seq + 1 : number(answer.seq + 1));
    return p.payload(choices_.one_in(4) ? choices_.below(100) : 0).bytes();
  }
  PacketBuilder datagram(PacketBuilder p, std::uint16_t from, std::uint16_t to, std::size_t length) {
    p.udp(from, to);
    if (choices_.one_in(8)) p.no_udp_checksum();
    return p.payload(length);
  }
  Bytes of_server() {
    const Known known = any_flow();
    if (known.flow == nullptr) return of_client().bytes();
    const dp::Flow<F>& flow = *known.flow;
    const unsigned n = number_of_server<F>(flow.server);
    PacketBuilder p = dressed(from_server<F>(n % Balancer::kServers, flow.local));
    if (flow.proto == base::IpProto::udp) {
      return datagram(p, flow.server_port.host(), flow.local_port.host(), choices_.below(200)).bytes();
    }
    const bool proper = choices_.one_in(2);  // what a server would say, with the numbers that it has
    const bool first = proper && flow.state == FlowState::syn_sent;
    p.tcp(flow.server_port.host(), flow.local_port.host(), first ? SYN | ACK : flags());
    if (proper) {
      const bool translates = (flow.flags & dp::Flow<F>::kTranslatesSequence) != 0;
      const bool spliced = (flow.flags & dp::Flow<F>::kSpliced) != 0;
      p.seq(first ? number(9'000) : flow.end[1] - (spliced ? known.detail->server_shift : 0))
          .ack(flow.end[0] + (translates ? known.detail->sequence_delta : 0));
    } else {
      p.seq(number(9'000)).ack(number(flow.end[0]));
    }
    tcp_options(p);
    return p.payload(first ? 0 : choices_.below(200)).bytes();
  }
  /// One of those that are still on their way, in any order; some twice, some never, some of the same
  /// datagram cut otherwise.
  Bytes fragment() {
    constexpr std::size_t kHead = F == Family::v4 ? 34 : 54;
    while (on_their_way_.empty()) {
      const Bytes whole = choices_.one_in(2) ? of_client().bytes() : of_server();
      const bool is_ip = whole.size() > kHead + 24 && whole[12] == std::byte(F == Family::v4 ? 0x08 : 0x86);
      // Only what fragments() takes: no fragment header, and a packet that is there as a whole.
      if (!is_ip || whole[20] == std::byte{44} || !check(whole).empty()) return whole;
      const std::size_t mtu = (F == Family::v4 ? 60 + 8 : 40 + 96) + choices_.below(200);
      for (Bytes& piece : fragments(whole, mtu, choices_.below(6))) on_their_way_.push_back(std::move(piece));
    }
    const std::size_t at = choices_.below(static_cast<std::uint32_t>(on_their_way_.size()));
    Bytes piece = on_their_way_[at];
    if (!choices_.one_in(20)) on_their_way_.erase(on_their_way_.begin() + static_cast<std::ptrdiff_t>(at));
    if (choices_.one_in(50)) on_their_way_.clear();
    return choices_.one_in(30) ? mutated(piece) : piece;
  }
  Bytes error_about_something() {
    if (sent_.empty()) return of_client().bytes();
    const Bytes& about = sent_[choices_.below(size())];
    const Seen seen = see(about);
    if (seen.src.family() != F || seen.protocol == 1 || seen.protocol == 58) return of_client().bytes();
    const std::size_t most = about.size() - 14;
    const std::size_t n = choices_.one_in(3) ? choices_.below(static_cast<std::uint32_t>(most)) : most;
    const Bytes quote(about.begin() + 14, about.begin() + 14 + static_cast<std::ptrdiff_t>(n));
    const auto to = seen.src.template as<F>();
    PacketBuilder p = choices_.one_in(2) ? from_client<F>(Net<F>::router(), to)
                                         : from_client<F>(seen.dst.template as<F>(), to);
    p = dressed(p);
    if constexpr (F == Family::v4) {
      constexpr std::uint8_t kTypes[]{3, 4, 5, 11, 12, 8};
      p.icmp(kTypes[choices_.below(6)], static_cast<std::uint8_t>(choices_.below(6)), choices_.below(2'000));
    } else {
      p.icmp6(static_cast<std::uint8_t>(1 + choices_.below(5)), static_cast<std::uint8_t>(choices_.below(6)),
              choices_.below(2'000));
    }
    return p.raw(quote).bytes();
  }
  Bytes mutated(Bytes frame) {
    const std::uint32_t changes = 1 + choices_.below(4);
    for (std::uint32_t i = 0; i < changes && !frame.empty(); ++i) {
      const std::uint32_t at =
          choices_.below(std::min<std::uint32_t>(static_cast<std::uint32_t>(frame.size()), 120));
      switch (choices_.below(4)) {
        case 0: frame[at] ^= std::byte(1U << choices_.below(8)); break;
        case 1: frame[at] = nasty(choices_); break;
        case 2: frame.resize(at); break;
        default: frame.insert(frame.begin() + at, nasty(choices_)); break;
      }
    }
    return frame;
  }

  Balancer& b_;
  Choices& choices_;
  std::deque<Bytes> sent_;
  std::deque<Seen> cookies_;
  std::vector<Bytes> on_their_way_;
};

}  // namespace sluice::test
