#pragma once

#include <cstdint>

#include "test/packet/world.h"

/// The words that rows about SYN cookies are written in.
namespace sluice::test {

inline constexpr std::uint16_t kClientPort = 40'000;
inline constexpr std::uint32_t kIsn = 1'000, kServerIsn = 5'000'000;

template <Family F>
config::ForwardingService cookied(unsigned servers = 3) {
  auto service = web<F>(servers);
  service.syn_cookies = config::SynCookies::always;
  return service;
}

/// A client of its own numbers, and the server that it is joined to. Data, windows and numbers are compared
/// as each end sees them.
template <Family F>
class Halves {
 public:
  explicit Halves(Balancer& balancer, unsigned client = 0) : b(balancer), address(Net<F>::client(client)) {}

  [[nodiscard]] PacketBuilder from_the_client(Flags flags) const {
    PacketBuilder p = from_client<F>(address, Net<F>::vip()).tcp(kClientPort, kPort, flags).seq(next);
    if ((flags.bits & ACK.bits) != 0) p.ack(cookie + 1);
    return p;
  }
  [[nodiscard]] PacketBuilder syn() const {
    return from_the_client(SYN).mss(1'400).window_scale(5).sack_permitted().timestamps(77, 0);
  }
  [[nodiscard]] PacketBuilder from_the_server(Flags flags) const {
    PacketBuilder p = from_server<F>(number_of_server<F>(server.address), local.address.template as<F>());
    return p.tcp(server.port, local.port, flags).ack(kIsn + 1 + shift);
  }

  /// The SYN and its answer.
  Seen knock(const PacketBuilder& packet) {
    next = see(packet.bytes()).seq;
    const Outcome o = b.send(packet);
    EXPECT_TRUE(o.reflected() && o.reason == DropReason::syn_cookie_sent) << o;
    ++next;
    if (!o.reflected()) return {};
    cookie = o.seen().seq;
    return o.seen();
  }
  /// The ACK, of which the server's SYN is made.
  Outcome come_back(std::uint16_t window = 1'000) { return b.send(from_the_client(ACK).window(window)); }
  Outcome begin() {
    (void)knock(syn());
    return reach(come_back());
  }
  Outcome reach(const Outcome& o) {
    EXPECT_TRUE(o.forwarded()) << o;
    if (!o.forwarded()) return o;
    shift = o.seen().seq - kIsn;
    local = o.seen().from();
    server = o.seen().to();
    return o;
  }
  [[nodiscard]] PacketBuilder syn_ack() const {
    return from_the_server(SYN | ACK).seq(kServerIsn).mss(1'460).window_scale(3).sack_permitted();
  }
  /// All of it.
  void open() {
    (void)begin();
    EXPECT_TRUE(b.send(syn_ack(), {.worker = 0, .port = 1, .segment = 0}).forwarded());
    EXPECT_EQ(b.take_own().size(), 1U);
    EXPECT_EQ(state(), FlowState::established);
  }
  Outcome server_sends(const PacketBuilder& packet) {
    return b.send(packet, {.worker = 0, .port = 1, .segment = 0});
  }
  [[nodiscard]] FlowState state() const {
    const auto* flow =
        b.flow<F>({address, Net<F>::vip(), base::Be16{kClientPort}, base::Be16{kPort}, base::IpProto::tcp});
    return flow == nullptr ? FlowState::unused : flow->state;
  }

  Balancer& b;
  base::Address<F> address;
  std::uint32_t next = kIsn, cookie = 0;
  std::uint32_t shift = 0;  ///< from the client's numbers to those that the server sees
  base::Endpoint local, server;
};

}  // namespace sluice::test
