#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "test/packet/balancer.h"
#include "test/packet_match.h"

/// The words that rows are written in: services, packets of a family, connections with both ends' numbering.
namespace sluice::test {

using base::Family;
using dp::Direction;
using dp::DropReason;
using dp::FlowClass;
using dp::FlowState;
using dp::Verdict;

/// A parameter of typed tests: TYPED_TEST_SUITE(X, Families).
struct OverIpv4 {
  static constexpr Family kFamily = Family::v4;
};
struct OverIpv6 {
  static constexpr Family kFamily = Family::v6;
};
using Families = testing::Types<OverIpv4, OverIpv6>;

inline constexpr std::uint16_t kPort = 80;          // of services
inline constexpr std::uint16_t kServerPort = 8080;  // of servers
inline constexpr config::PortRange kSourcePorts{20'000, 20'999};

template <Family F>
config::ForwardingServer server(unsigned n, std::uint32_t weight = 1) {
  return {"s" + std::to_string(n), {Net<F>::server(n), kServerPort}, weight};
}

/// A TCP service "web" at vip(0) port 80 with `servers` servers, sources on the VIP itself.
template <Family F>
config::ForwardingService web(unsigned servers = 3) {
  config::ForwardingService s;
  s.name = "web";
  s.vip = {Net<F>::vip(), kPort};
  s.local_addresses = {Net<F>::vip()};
  s.source_ports = kSourcePorts;
  s.retries = 0;  // rows about retries ask for them
  // Rows of IPv6 have a limit by client, which is never reached: at the end of each no place of a client may
  // be lost, whatever became of its connection. Those of IPv4 have none, as most services.
  if constexpr (F == Family::v6) {
    s.clients.maxconn = 1'000'000;
    s.clients.table = 4'096;
  }
  for (unsigned n = 0; n < servers; ++n) s.servers.push_back(server<F>(n));
  return s;
}

/// The same for UDP, named "dns".
template <Family F>
config::ForwardingService dns(unsigned servers = 3) {
  config::ForwardingService s = web<F>(servers);
  s.name = "dns";
  s.protocol = config::Protocol::udp;
  return s;
}

template <Family F>
PacketBuilder with_ip(PacketBuilder packet, const base::Address<F>& src, const base::Address<F>& dst) {
  if constexpr (F == Family::v4) {
    return packet.ip4(src, dst);
  } else {
    return packet.ip6(src, dst);
  }
}

/// A frame of a client: by the gateway, to port 0.
template <Family F>
PacketBuilder from_client(const base::Address<F>& src, const base::Address<F>& dst) {
  return with_ip<F>(eth(Balancer::kGatewayMac, Balancer::port_mac(0)), src, dst);
}

/// A frame of a server, to port 1.
template <Family F>
PacketBuilder from_server(unsigned n, const base::Address<F>& dst) {
  return with_ip<F>(eth(Balancer::server_mac(n), Balancer::port_mac(1)), Net<F>::server(n), dst);
}

template <Family F>
[[nodiscard]] unsigned number_of_server(const base::IpAddress& address) {
  for (unsigned n = 0; n < Balancer::kServers; ++n) {
    if (address == base::IpAddress(Net<F>::server(n))) return n;
  }
  return Balancer::kServers;
}

/// A TCP connection through the balancer, seen from both ends: each keeps its own numbering, the server as
/// the SYN reached it. Each step verifies that the packet arrives at the other end as what was sent, only
/// from and to the other addresses, ports and numbers.
template <Family F>
class Connection {
 public:
  static constexpr std::uint32_t kClientIsn = 1'000, kServerIsn = 5'000'000;

  Connection(Balancer& balancer, unsigned client, std::uint16_t port, std::uint32_t isn = kClientIsn)
      : next_(isn), balancer_(&balancer), address_(Net<F>::client(client)), port_(port) {}
  Connection(Balancer& balancer, const base::Address<F>& client, std::uint16_t port)
      : next_(kClientIsn), balancer_(&balancer), address_(client), port_(port) {}

  /// Where packets come in; servers' packets at worker `reply_worker`.
  Connection& at_worker(unsigned worker, unsigned reply_worker) {
    worker_ = worker;
    reply_worker_ = reply_worker;
    return *this;
  }
  Connection& to(const base::Address<F>& vip, std::uint16_t port) {
    vip_ = vip;
    vip_port_ = port;
    return *this;
  }

  /// The packet that the client would send now; send() it, or change it first.
  [[nodiscard]] PacketBuilder client_packet(Flags flags, std::size_t length = 0) const {
    PacketBuilder p = from_client<F>(address_, vip_);
    p.tcp(port_, vip_port_, flags).seq(next_).payload(length);
    if ((flags.bits & ACK.bits) != 0) p.ack(peer_next_);
    return p;
  }
  [[nodiscard]] PacketBuilder server_packet(Flags flags, std::size_t length = 0) const {
    PacketBuilder p = from_server<F>(server_, local_.address.template as<F>());
    p.tcp(server_port_, local_.port, flags).seq(peer_next_).payload(length);
    if ((flags.bits & ACK.bits) != 0) p.ack(next_ + shift_);
    return p;
  }

  /// The client sends its next segment; it is taken as sent even when it gets lost.
  Outcome client(Flags flags, std::size_t length = 0) {
    const PacketBuilder packet = client_packet(flags, length);
    next_ += advance(flags, length);
    return send_client(packet);
  }
  Outcome server(Flags flags, std::size_t length = 0) {
    const PacketBuilder packet = server_packet(flags, length);
    peer_next_ += advance(flags, length);
    return send_server(packet);
  }

  Outcome send_client(const PacketBuilder& packet) {
    const Bytes frame = packet.bytes();
    const Outcome outcome = balancer_->send(frame, {.worker = worker_, .port = 0, .segment = 0});
    if (!outcome.forwarded()) return outcome;
    const Seen sent = see(frame), got = outcome.seen();
    if ((sent.flags.bits & (SYN | ACK).bits) == SYN.bits) reached(got, sent.seq);
    EXPECT_EQ(got.from(), local_);
    EXPECT_EQ(got.to(), (base::Endpoint{Net<F>::server(server_), server_port_}));
    EXPECT_EQ(got.src_mac, Balancer::port_mac(1));
    EXPECT_EQ(got.dst_mac, Balancer::server_mac(server_));
    EXPECT_EQ(got.seq, sent.seq + shift_);
    EXPECT_EQ(got.ack, sent.ack);
    expect_rest(sent, got);
    return outcome;
  }
  Outcome send_server(const PacketBuilder& packet) {
    const Bytes frame = packet.bytes();
    const Outcome outcome = balancer_->send(frame, {.worker = reply_worker_, .port = 1, .segment = 0});
    if (!outcome.forwarded()) return outcome;
    const Seen sent = see(frame), got = outcome.seen();
    EXPECT_EQ(got.from(), (base::Endpoint{vip_, vip_port_}));
    EXPECT_EQ(got.to(), (base::Endpoint{address_, port_}));
    EXPECT_EQ(got.seq, sent.seq);
    if ((sent.flags.bits & ACK.bits) != 0) {
      EXPECT_EQ(got.ack, sent.ack - shift_);
    }
    expect_rest(sent, got);
    return outcome;
  }

  /// The SYN that this connection sent with number `isn` has reached a server, later than it was sent.
  void reached(const Seen& syn, std::uint32_t isn) {
    local_ = syn.from();
    server_ = number_of_server<F>(syn.dst);
    server_port_ = syn.dport;
    shift_ = syn.seq - isn;
  }
  /// The rest of the handshake.
  void finish_handshake() {
    answer_syn();
    EXPECT_TRUE(client(ACK).forwarded());
    EXPECT_EQ(state(), FlowState::established);
  }
  /// The handshake.
  Connection& open() {
    EXPECT_TRUE(client(SYN).forwarded());
    finish_handshake();
    return *this;
  }
  Outcome answer_syn(std::uint32_t isn = kServerIsn) {
    peer_next_ = isn;
    const Outcome outcome = server(SYN | ACK);
    EXPECT_TRUE(outcome.forwarded()) << outcome;
    return outcome;
  }
  /// Both close, the client first.
  void close() {
    EXPECT_TRUE(client(FIN | ACK).forwarded());
    EXPECT_TRUE(server(FIN | ACK).forwarded());
    EXPECT_TRUE(client(ACK).forwarded());
    EXPECT_EQ(state(), FlowState::time_wait);
  }
  void close_by_server() {
    EXPECT_TRUE(server(FIN | ACK).forwarded());
    EXPECT_TRUE(client(FIN | ACK).forwarded());
    EXPECT_TRUE(server(ACK).forwarded());
    EXPECT_EQ(state(), FlowState::time_wait);
  }

  [[nodiscard]] dp::FlowKey<F> key() const {
    return {address_, vip_, base::Be16{port_}, base::Be16{vip_port_}, base::IpProto::tcp};
  }
  [[nodiscard]] const dp::Flow<F>* flow() const { return balancer_->flow<F>(key()); }
  /// unused: there is no flow.
  [[nodiscard]] FlowState state() const {
    const auto* f = flow();
    return f == nullptr ? FlowState::unused : f->state;
  }
  [[nodiscard]] unsigned server_number() const { return server_; }
  [[nodiscard]] const base::Endpoint& local() const { return local_; }
  [[nodiscard]] const base::Address<F>& address() const { return address_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// What the balancer adds to the client's numbers.
  [[nodiscard]] std::uint32_t shift() const { return shift_; }
  std::uint32_t next_ = 0, peer_next_ = 0;  ///< next sequence number of the client, of the server

 private:
  static std::uint32_t advance(Flags flags, std::size_t length) {
    return static_cast<std::uint32_t>(length) + ((flags.bits & SYN.bits) != 0 ? 1U : 0U) +
           ((flags.bits & FIN.bits) != 0 ? 1U : 0U);
  }
  static void expect_rest(const Seen& sent, const Seen& got) {
    EXPECT_EQ(got.flags, sent.flags);
    EXPECT_EQ(got.payload, sent.payload);
    EXPECT_EQ(got.ttl, sent.ttl - 1);
    EXPECT_EQ(got.ip_length, sent.ip_length);
  }

  Balancer* balancer_;
  base::Address<F> address_;
  std::uint16_t port_;
  base::Address<F> vip_ = Net<F>::vip();
  std::uint16_t vip_port_ = kPort;
  unsigned worker_ = 0, reply_worker_ = 0;
  unsigned server_ = 0;
  std::uint16_t server_port_ = 0;
  base::Endpoint local_;
  std::uint32_t shift_ = 0;
};

}  // namespace sluice::test
