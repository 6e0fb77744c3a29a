#include "dp/choose_server.h"

#include <algorithm>

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

bool has_room(const ServiceTables& tables, const Load& load, std::uint16_t server, bool has_waited) noexcept {
  const ServerLoad& l = load.servers[server];
  return l.open.has_room(tables.servers[server].maxconn) && (has_waited || l.waiting.taken() == 0);
}

/// One choice among a service's servers, which ends with a place taken at one of them, or at none.
class Selection {
 public:
  Selection(const ServiceTables& tables, std::uint16_t service, const Wish& wish,
            WorkerState& worker) noexcept
      : tables_(tables),
        service_(tables.services[service]),
        choices_(*service_.choices),
        wish_(wish),
        worker_(worker),
        cursor_(worker.cursors[service]) {}

  [[nodiscard]] std::uint16_t chosen() const noexcept { return chosen_; }

  bool take(std::uint16_t server) noexcept {
    if (!has_room(tables_, *worker_.load, server, wish_.has_waited)) return false;
    if (!worker_.load->servers[server].open.try_take(tables_.servers[server].maxconn)) return false;
    chosen_ = server;
    return true;
  }

  /// The next of the order that has room. An order may be long, and name a server with room only once.
  bool next_of_order() noexcept {
    constexpr std::size_t kBlindSteps = 16;
    const std::size_t n = choices_.order.size();
    for (std::size_t step = 0; step < n; ++step) {
      if (step == kBlindSteps && !any_takes()) return false;
      if (!take_unless_avoided(at(cursor_ + step))) continue;
      cursor_ += static_cast<std::uint32_t>(step) + 1;
      return true;
    }
    return false;
  }

  /// `start`, or the first other one behind it that has room.
  bool from(std::size_t start) noexcept {
    constexpr std::size_t kBlindSteps = 16;
    const std::size_t n = choices_.order.size();
    for (std::size_t step = 0; step < n; ++step) {
      if (step == kBlindSteps && !any_takes()) return false;
      if (take_unless_avoided(choices_.order[(start + step) % n])) return true;
    }
    return false;
  }

  /// The server with the fewest connections for its weight; equals take turns. Another worker may be quicker
  /// to take the place: then the next best.
  bool least_loaded() noexcept {
    const std::size_t n = choices_.order.size();
    const std::size_t start = cursor_++;
    for (std::size_t attempt = 0; attempt < n; ++attempt) {
      std::size_t best = n;
      std::uint64_t best_load = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t at = (start + i) % n;
        if (!eligible(choices_.order[at])) continue;
        const std::uint64_t load = load_of(choices_.order[at]);
        if (best != n && load * choices_.weights[best] >= best_load * choices_.weights[at]) continue;
        best = at;
        best_load = load;
      }
      if (best == n) return false;
      if (take(choices_.order[best])) return true;
    }
    return false;
  }

  /// Two choices: the less loaded of two drawn by weight (Mitzenmacher 2001); where neither has room, the
  /// next that has.
  bool better_of_two() noexcept {
    const auto draw = [&] {
      return static_cast<std::size_t>(std::uint64_t{worker_.random_number()} * choices_.order.size() >> 32);
    };
    std::size_t first = draw();
    std::size_t second = draw();
    const std::uint64_t load_first = load_of(choices_.order[first]);
    const std::uint64_t load_second = load_of(choices_.order[second]);
    if (load_second * choices_.weights[first] < load_first * choices_.weights[second])
      std::swap(first, second);
    return take_unless_avoided(choices_.order[first]) || take_unless_avoided(choices_.order[second]) ||
           from(second);
  }

  /// The avoided one, when all else is full.
  bool avoided() noexcept {
    return wish_.avoid != kNoIndex &&
           std::find(choices_.servers.begin(), choices_.servers.end(), wish_.avoid) !=
               choices_.servers.end() &&
           take(wish_.avoid);
  }

 private:
  [[nodiscard]] std::uint16_t at(std::size_t position) const noexcept {
    if (position < choices_.first_lap.size()) return choices_.first_lap[position];
    return choices_.order[position % choices_.order.size()];
  }
  [[nodiscard]] bool eligible(std::uint16_t server) const noexcept {
    return server != wish_.avoid && has_room(tables_, *worker_.load, server, wish_.has_waited);
  }
  [[nodiscard]] bool any_takes() const noexcept {
    return std::any_of(choices_.servers.begin(), choices_.servers.end(),
                       [this](std::uint16_t server) { return eligible(server); });
  }
  bool take_unless_avoided(std::uint16_t server) noexcept { return server != wish_.avoid && take(server); }
  [[nodiscard]] std::uint64_t load_of(std::uint16_t server) const noexcept {
    return std::uint64_t{worker_.load->servers[server].open.taken()} + 1;
  }

  const ServiceTables& tables_;
  const Service& service_;
  const Choices& choices_;
  const Wish& wish_;
  WorkerState& worker_;
  std::uint32_t& cursor_;
  std::uint16_t chosen_ = kNoIndex;
};

/// Pre: a place in service and instance is taken.
template <Family F>
Choice choose(const ServiceTables& tables, std::uint16_t service_slot, const FlowKey<F>& key,
              const Wish& wish, WorkerState& worker) noexcept {
  const Service& service = tables.services[service_slot];
  const Choices& choices = *service.choices;
  Selection selection(tables, service_slot, wish, worker);
  if (wish.only != kNoIndex) {
    if (selection.take(wish.only)) return {Choice::Kind::chosen, wish.only};
    return {Choice::Kind::full, wish.only};
  }
  bool taken = false;
  switch (service.balance) {
    case config::Balance::roundrobin: taken = selection.next_of_order(); break;
    case config::Balance::source:
    case config::Balance::hash: {
      const std::size_t start = (affinity_hash(key, service) >> 32) * choices.order.size() >> 32;
      const std::uint16_t home = choices.order[start];
      if (wish.may_wait && home != wish.avoid && !selection.take(home)) {
        const std::uint32_t maxqueue = tables.servers[home].maxqueue;
        if (worker.load->servers[home].waiting.has_room(maxqueue)) return {Choice::Kind::full, home};
      }
      taken = selection.chosen() != kNoIndex || selection.from(start);
      break;
    }
    case config::Balance::leastconn: taken = selection.least_loaded(); break;
    case config::Balance::random: taken = selection.better_of_two(); break;
    case config::Balance::first: taken = selection.from(0); break;
  }
  if (taken || selection.avoided()) return {Choice::Kind::chosen, selection.chosen()};
  return {Choice::Kind::full, kNoIndex};
}

}  // namespace

template <Family F>
Choice choose_server(const ServiceTables& tables, std::uint16_t service_slot, const FlowKey<F>& key,
                     const Wish& wish, WorkerState& worker) noexcept {
  const Service& service = tables.services[service_slot];
  if (service.choices == nullptr || service.choices->order.empty()) return {};
  Load& load = *worker.load;
  ServiceLoad& of_service = load.services[service_slot];
  if (!wish.has_waited && of_service.waiting.taken() != 0) return {Choice::Kind::full, wish.only};
  if (!load.open.try_take(tables.maxconn)) return {Choice::Kind::full, wish.only};
  if (!of_service.open.try_take(service.maxconn)) {
    load.open.give_back();
    return {Choice::Kind::full, wish.only};
  }
  const Choice choice = choose(tables, service_slot, key, wish, worker);
  if (choice.kind != Choice::Kind::chosen) {
    of_service.open.give_back();
    load.open.give_back();
  }
  return choice;
}

template Choice choose_server(const ServiceTables&, std::uint16_t, const FlowKey<Family::v4>&, const Wish&,
                              WorkerState&) noexcept;
template Choice choose_server(const ServiceTables&, std::uint16_t, const FlowKey<Family::v6>&, const Wish&,
                              WorkerState&) noexcept;

}  // namespace sluice::dp
