#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "test/packet/world.h"

/// The words of rows about ICMP errors.
namespace sluice::test {

/// An ICMP error's type and code by family.
struct ErrorKind {
  const char* name;
  std::uint8_t type4, code4, type6, code6;
  std::uint32_t rest;
};
inline constexpr ErrorKind kPortUnreachable{"port unreachable", 3, 3, 1, 4, 0};
inline constexpr ErrorKind kHostUnreachable{"host unreachable", 3, 1, 1, 3, 0};
inline constexpr ErrorKind kTtlExceeded{"TTL exceeded", 11, 0, 3, 0, 0};
inline constexpr ErrorKind kTooBig{"too big", 3, 4, 2, 0, 1400};
inline constexpr ErrorKind kParameter{"parameter problem", 12, 0, 4, 1, 0};
inline constexpr ErrorKind kKinds[]{kPortUnreachable, kHostUnreachable, kTtlExceeded, kTooBig, kParameter};

template <Family F>
inline constexpr std::size_t kIp = F == Family::v4 ? 20 : 40;

/// An error of that kind, to be sent to port `port`; what it quotes is to be added.
template <Family F>
PacketBuilder error_of(const base::Address<F>& from, const base::Address<F>& to, base::Mac from_mac,
                       unsigned port, const ErrorKind& kind) {
  PacketBuilder packet = with_ip<F>(eth(from_mac, Balancer::port_mac(port)), from, to);
  if constexpr (F == Family::v4) {
    return packet.icmp(kind.type4, kind.code4, kind.rest);
  } else {
    return packet.icmp6(kind.type6, kind.code6, kind.rest);
  }
}

/// The first `n` bytes of an untagged frame from its IP header on.
inline Bytes quote_of(const Bytes& frame, std::size_t n = SIZE_MAX) {
  constexpr std::size_t kLink = 14;
  return {frame.begin() + kLink,
          frame.begin() + static_cast<std::ptrdiff_t>(kLink + std::min(frame.size() - kLink, n))};
}

/// An error about `frame`, which left the balancer, quoting its first `n` bytes from the IP header on.
template <Family F>
Bytes error_about(const base::Address<F>& from, const base::Address<F>& to, base::Mac from_mac, unsigned port,
                  const ErrorKind& kind, const Bytes& frame, std::size_t n) {
  return error_of<F>(from, to, from_mac, port, kind).raw(quote_of(frame, n)).bytes();
}

/// A client's query to dns() and the server's answer, with what became of them.
template <Family F>
struct UdpFlow {
  explicit UdpFlow(Balancer& b) {
    sent = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).payload(60).bytes();
    forwarded = b.send(sent);
    local = forwarded.seen().from();
    server = number_of_server<F>(forwarded.seen().dst);
    reply = from_server<F>(server, local.address.template as<F>())
                .udp(kServerPort, local.port)
                .payload(70)
                .bytes();
    replied = b.send(reply, {.worker = 0, .port = 1, .segment = 0});
  }
  Bytes sent, reply;
  Outcome forwarded, replied;
  base::Endpoint local;
  unsigned server = 0;
};

}  // namespace sluice::test
