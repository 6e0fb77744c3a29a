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

/// What a choice goes by that is not in the tables.
struct Means {
  Load& load;
  std::uint32_t& cursor;
  std::uint64_t& random;
};

/// The choice of a packet: takes a place, and notes nothing.
struct Taking {
  static constexpr bool kTakes = true;
  void limited(ChoiceTrace::Limit) noexcept {}
  void began_at(std::size_t) noexcept {}
  void drew(std::uint16_t, std::uint16_t) noexcept {}
  void passed(std::uint16_t, PassedOver) noexcept {}
};

/// The choice that is but foreseen: takes nothing, and notes how it came about.
struct Foreseeing {
  static constexpr bool kTakes = false;
  ChoiceTrace& trace;
  void limited(ChoiceTrace::Limit limit) noexcept { trace.limit = limit; }
  void began_at(std::size_t start) noexcept { trace.start = start; }
  void drew(std::uint16_t first, std::uint16_t second) noexcept { trace.drawn = {first, second}; }
  void passed(std::uint16_t server, PassedOver why) noexcept { trace.passed[server] = why; }
};

template <typename How>
[[nodiscard]] bool get_place(Places& places, std::uint32_t limit) noexcept {
  return How::kTakes ? places.try_take(limit) : places.has_room(limit);
}

/// One choice among a service's servers, which ends with a place taken at one of them, or at none.
template <typename How>
class Selection {
 public:
  Selection(const ServiceTables& tables, std::uint16_t service, const Wish& wish, const Means& means,
            How& how) noexcept
      : tables_(tables), choices_(*tables.services[service].choices), wish_(wish), means_(means), how_(how) {}

  [[nodiscard]] std::uint16_t chosen() const noexcept { return chosen_; }

  bool take(std::uint16_t server) noexcept {
    if (!has_room(server)) return false;
    if (!get_place<How>(means_.load.servers[server].open, tables_.servers[server].maxconn)) return false;
    chosen_ = server;
    return true;
  }

  /// The next of the order that has room. An order may be long, and name a server with room only once.
  bool next_of_order() noexcept {
    constexpr std::size_t kBlindSteps = 16;
    const std::size_t n = choices_.order.size();
    how_.began_at(means_.cursor % n);
    for (std::size_t step = 0; step < n; ++step) {
      if (step == kBlindSteps && !any_takes()) return false;
      if (!take_unless_avoided(at(means_.cursor + step))) continue;
      means_.cursor += static_cast<std::uint32_t>(step) + 1;
      return true;
    }
    return false;
  }

  /// `start`, or the first other one behind it that has room.
  bool from(std::size_t start) noexcept {
    constexpr std::size_t kBlindSteps = 16;
    const std::size_t n = choices_.order.size();
    how_.began_at(start);
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
    const std::size_t start = means_.cursor++;
    how_.began_at(start % n);
    for (std::size_t attempt = 0; attempt < n; ++attempt) {
      std::size_t best = n;
      std::uint64_t best_load = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t at = (start + i) % n;
        if (!eligible(choices_.order[at])) continue;
        how_.passed(choices_.order[at], PassedOver::no_less_loaded);
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
      return static_cast<std::size_t>(std::uint64_t{next_random(means_.random)} * choices_.order.size() >>
                                      32);
    };
    std::size_t first = draw();
    std::size_t second = draw();
    const std::uint64_t load_first = load_of(choices_.order[first]);
    const std::uint64_t load_second = load_of(choices_.order[second]);
    how_.drew(choices_.order[first], choices_.order[second]);
    if (load_second * choices_.weights[first] < load_first * choices_.weights[second])
      std::swap(first, second);
    how_.passed(choices_.order[second], PassedOver::no_less_loaded);
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
  [[nodiscard]] bool has_room(std::uint16_t server) noexcept {
    const ServerLoad& load = means_.load.servers[server];
    if (!load.open.has_room(tables_.servers[server].maxconn)) {
      how_.passed(server, PassedOver::full);
      return false;
    }
    if (wish_.has_waited || load.waiting.taken() == 0) return true;
    how_.passed(server, PassedOver::waited_for);
    return false;
  }
  [[nodiscard]] bool eligible(std::uint16_t server) noexcept {
    return server != wish_.avoid && has_room(server);
  }
  [[nodiscard]] bool any_takes() noexcept {
    return std::any_of(choices_.servers.begin(), choices_.servers.end(),
                       [this](std::uint16_t server) { return eligible(server); });
  }
  bool take_unless_avoided(std::uint16_t server) noexcept { return server != wish_.avoid && take(server); }
  [[nodiscard]] std::uint64_t load_of(std::uint16_t server) const noexcept {
    return std::uint64_t{means_.load.servers[server].open.taken()} + 1;
  }

  const ServiceTables& tables_;
  const Choices& choices_;
  const Wish& wish_;
  const Means& means_;
  How& how_;
  std::uint16_t chosen_ = kNoIndex;
};

/// Pre: a place in service and instance is taken.
template <typename How, Family F>
Choice choose(const ServiceTables& tables, std::uint16_t service_slot, const FlowKey<F>& key,
              const Wish& wish, const Means& means, How& how) noexcept {
  const Service& service = tables.services[service_slot];
  const Choices& choices = *service.choices;
  Selection<How> selection(tables, service_slot, wish, means, how);
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
      how.began_at(start);
      if (wish.may_wait && home != wish.avoid && !selection.take(home)) {
        const std::uint32_t maxqueue = tables.servers[home].maxqueue;
        if (means.load.servers[home].waiting.has_room(maxqueue)) return {Choice::Kind::full, home};
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

template <typename How, Family F>
Choice choose_within_limits(const ServiceTables& tables, std::uint16_t service_slot, const FlowKey<F>& key,
                            const Wish& wish, const Means& means, How how) noexcept {
  using Limit = ChoiceTrace::Limit;
  const Service& service = tables.services[service_slot];
  if (service.choices == nullptr || service.choices->order.empty()) return {};
  Load& load = means.load;
  ServiceLoad& of_service = load.services[service_slot];
  if (!wish.has_waited && of_service.waiting.taken() != 0) {
    how.limited(Limit::queue);
    return {Choice::Kind::full, wish.only};
  }
  if (!get_place<How>(load.open, tables.maxconn)) {
    how.limited(Limit::instance);
    return {Choice::Kind::full, wish.only};
  }
  if (!get_place<How>(of_service.open, service.maxconn)) {
    if (How::kTakes) load.open.give_back();
    how.limited(Limit::service);
    return {Choice::Kind::full, wish.only};
  }
  const Choice choice = choose(tables, service_slot, key, wish, means, how);
  if (How::kTakes && choice.kind != Choice::Kind::chosen) {
    of_service.open.give_back();
    load.open.give_back();
  }
  return choice;
}

}  // namespace

template <Family F>
Choice choose_server(const ServiceTables& tables, std::uint16_t service, const FlowKey<F>& key,
                     const Wish& wish, WorkerState& worker) noexcept {
  const Means means{*worker.load, worker.cursors[service], worker.random};
  return choose_within_limits(tables, service, key, wish, means, Taking{});
}

template <Family F>
Choice foresee_server(const ServiceTables& tables, std::uint16_t service, const FlowKey<F>& key,
                      const Wish& wish, const WorkerState& worker, ChoiceTrace& trace) noexcept {
  std::uint32_t cursor = worker.cursors[service];
  std::uint64_t random = worker.random;
  return choose_within_limits(tables, service, key, wish, {*worker.load, cursor, random}, Foreseeing{trace});
}

template Choice choose_server(const ServiceTables&, std::uint16_t, const FlowKey<Family::v4>&, const Wish&,
                              WorkerState&) noexcept;
template Choice choose_server(const ServiceTables&, std::uint16_t, const FlowKey<Family::v6>&, const Wish&,
                              WorkerState&) noexcept;
template Choice foresee_server(const ServiceTables&, std::uint16_t, const FlowKey<Family::v4>&, const Wish&,
                               const WorkerState&, ChoiceTrace&) noexcept;
template Choice foresee_server(const ServiceTables&, std::uint16_t, const FlowKey<Family::v6>&, const Wish&,
                               const WorkerState&, ChoiceTrace&) noexcept;

}  // namespace sluice::dp
