#pragma once

#include <cstdint>
#include <ostream>

#include "test/packet/world.h"

/// The words that rows about limits by client are written in.
namespace sluice::test {

inline constexpr std::uint16_t kClientPort = 40'000;

inline Balancer::Options with_workers(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  return options;
}

/// The clients' network, or a part of it: those whose numbers share the first bits.
template <Family F>
base::Prefix clients_net(unsigned bits_of_number = 0, unsigned n = 0) {
  constexpr std::uint8_t kNet = F == Family::v4 ? 16 : 48, kWidth = F == Family::v4 ? 32 : 128;
  const auto length = static_cast<std::uint8_t>(bits_of_number == 0 ? kNet : kWidth - 16 + bits_of_number);
  return base::Prefix{Net<F>::client(n), length}.network();
}

template <Family F>
config::ForwardingService limited(const config::Clients& clients, unsigned servers = 2) {
  auto service = web<F>(servers);
  service.clients = clients;
  return service;
}

template <Family F>
PacketBuilder syn_of(unsigned client, std::uint16_t port = kClientPort) {
  return from_client<F>(Net<F>::client(client), Net<F>::vip()).tcp(port, kPort, SYN).seq(1'000);
}
/// Another connection of a client, at the worker that its port names.
template <Family F>
Outcome knock(Balancer& b, unsigned client, std::uint16_t port) {
  return b.send(syn_of<F>(client, port), {.worker = port % b.workers(), .port = 0, .segment = 0});
}

/// Of all workers.
struct Counted {
  std::uint64_t denied = 0, over_rate = 0, over_maxconn = 0, untracked = 0;
  friend bool operator==(const Counted&, const Counted&) = default;
};
inline std::ostream& operator<<(std::ostream& out, const Counted& c) {
  return out << c.denied << " denied, " << c.over_rate << " over rate, " << c.over_maxconn
             << " over maxconn, " << c.untracked << " untracked";
}
inline Counted counted(Balancer& b, std::uint16_t service = 0) {
  Counted sum;
  for (unsigned w = 0; w < b.workers(); ++w) {
    const dp::ClientLimitCounters& c = b.worker(w).clients[service];
    sum.denied += c.denied.get();
    sum.over_rate += c.over_rate.get();
    sum.over_maxconn += c.over_maxconn.get();
    sum.untracked += c.untracked.get();
  }
  return sum;
}

}  // namespace sluice::test
