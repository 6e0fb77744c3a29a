#include "dp/choose_server.h"

namespace sluice::dp {
namespace {

using base::Family;

/// Not secret: hosts must agree. Digits of the fractional part of pi.
constexpr FlowHash::Seed kSharedSeed{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
                                     0x082efa98ec4e6c89};

template <Family F>
std::uint64_t affinity_hash(FlowKey<F> key, const Service& service) noexcept {
  const config::HashKey on =
      service.balance == config::Balance::source ? config::HashKey::source : service.hash_key;
  switch (on) {
    case config::HashKey::five_tuple: break;
    case config::HashKey::source_port:
      key.dst = {};
      key.dst_port = {};
      key.proto = {};
      break;
    case config::HashKey::source:
      key.dst = {};
      key.src_port = key.dst_port = {};
      key.proto = {};
      break;
  }
  return FlowHash(kSharedSeed)(key);
}

std::uint64_t connections(const WorkerState& worker, std::uint16_t server) noexcept {
  std::uint64_t sum = 0;
  for (const WorkerState* peer : worker.peers) {
    const ServerCounters& c = peer->servers[server];
    // Closed is read before new: other workers go on counting, and the difference must not be negative.
    const std::uint64_t closed = c.connections_closed.get();
    sum += c.connections_new.get() - closed;
  }
  return sum;
}

/// Position in `order` of the server with the fewest connections for its weight; equals take turns.
std::size_t least_loaded(const Choices& choices, std::size_t start, const WorkerState& worker) noexcept {
  const std::size_t n = choices.order.size();
  std::size_t best = start % n;
  std::uint64_t best_load = connections(worker, choices.order[best]) + 1;
  for (std::size_t i = 1; i < n; ++i) {
    const std::size_t at = (start + i) % n;
    const std::uint64_t load = connections(worker, choices.order[at]) + 1;
    if (load * choices.weights[best] < best_load * choices.weights[at]) {
      best = at;
      best_load = load;
    }
  }
  return best;
}

/// Two choices: the less loaded of two drawn by weight (Mitzenmacher 2001).
std::size_t better_of_two(const Choices& choices, WorkerState& worker) noexcept {
  const auto draw = [&] {
    return static_cast<std::size_t>(std::uint64_t{worker.random_number()} * choices.order.size() >> 32);
  };
  const std::size_t a = draw();
  const std::size_t b = draw();
  const std::uint64_t load_a = connections(worker, choices.order[a]) + 1;
  const std::uint64_t load_b = connections(worker, choices.order[b]) + 1;
  return load_b * choices.weights[a] < load_a * choices.weights[b] ? b : a;
}

}  // namespace

template <Family F>
std::uint16_t choose_server(const Service& service, std::uint16_t service_slot, const FlowKey<F>& key,
                            WorkerState& worker) noexcept {
  if (service.choices == nullptr || service.choices->order.empty()) return kNoIndex;
  const Choices& choices = *service.choices;
  const std::size_t n = choices.order.size();
  std::uint32_t& cursor = worker.cursors[service_slot];
  switch (service.balance) {
    case config::Balance::roundrobin: return choices.order[cursor++ % n];
    case config::Balance::source:
    case config::Balance::hash: return choices.order[(affinity_hash(key, service) >> 32) * n >> 32];
    case config::Balance::leastconn: return choices.order[least_loaded(choices, cursor++, worker)];
    case config::Balance::random: return choices.order[better_of_two(choices, worker)];
    case config::Balance::first: return choices.order[0];
  }
  return kNoIndex;
}

template std::uint16_t choose_server(const Service&, std::uint16_t, const FlowKey<Family::v4>&,
                                     WorkerState&) noexcept;
template std::uint16_t choose_server(const Service&, std::uint16_t, const FlowKey<Family::v6>&,
                                     WorkerState&) noexcept;

}  // namespace sluice::dp
