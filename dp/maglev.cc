#include "dp/maglev.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>

namespace sluice::dp {
namespace {

// Fixed for ever: hosts of different versions must agree on every table.
constexpr std::uint64_t kOffsetSeed = 0x736c'7569'6365'0001;
constexpr std::uint64_t kSkipSeed = 0x736c'7569'6365'0002;

/// FNV-1a with a seed, and a finaliser that spreads its weak low bits (the one of splitmix64). Bytewise,
/// hence the same on every machine.
std::uint64_t hash_identity(std::string_view text, std::uint64_t seed) noexcept {
  std::uint64_t h = 0xcbf2'9ce4'8422'2325 ^ seed;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x0000'0100'0000'01b3;
  h = (h ^ (h >> 30)) * 0xbf58'476d'1ce4'e5b9;
  h = (h ^ (h >> 27)) * 0x94d0'49bb'1331'11eb;
  return h ^ (h >> 31);
}

/// A backend that takes turns. A hundred of them and the bitmap of slots stay in L1.
struct Player {
  std::uint32_t position;  ///< next slot of its permutation
  std::uint32_t skip;      ///< distance between two slots of it, 1..slots-1
  std::uint32_t weight;
  std::uint64_t credit;  ///< in weights; a turn costs the largest weight
  std::uint16_t index;
};

/// The backends with a weight, in the order of their turns.
std::vector<Player> players_of(std::span<const MaglevBackend> backends, std::uint32_t slots,
                               std::uint32_t turn_price) {
  struct Entrant {
    std::uint64_t offset_hash;
    std::uint16_t index;
  };
  std::vector<Entrant> entrants;
  entrants.reserve(backends.size());
  for (std::size_t i = 0; i < backends.size(); ++i) {
    if (backends[i].weight == 0) continue;
    entrants.push_back({hash_identity(backends[i].identity, kOffsetSeed), static_cast<std::uint16_t>(i)});
  }
  // Turns are taken in the order of the hashes, so that moving a server about in a configuration moves no
  // key.
  std::ranges::sort(entrants, [&](const Entrant& a, const Entrant& b) {
    if (a.offset_hash != b.offset_hash) return a.offset_hash < b.offset_hash;
    return backends[a.index].identity < backends[b.index].identity;
  });

  // Each starts somewhere on its way to the first turn: many light backends beside a heavy one would else
  // take theirs all in the same round, and the table might end just before it.
  std::vector<Player> players;
  players.reserve(entrants.size());
  for (const Entrant& e : entrants) {
    const MaglevBackend& backend = backends[e.index];
    const std::uint64_t skip_hash = hash_identity(backend.identity, kSkipSeed);
    players.push_back({.position = static_cast<std::uint32_t>(e.offset_hash % slots),
                       .skip = slots == 2 ? 1 : static_cast<std::uint32_t>(skip_hash % (slots - 1)) + 1,
                       .weight = backend.weight,
                       .credit = ((skip_hash >> 32) * turn_price) >> 32,
                       .index = e.index});
  }
  return players;
}

/// 1/a modulo the prime p, by the extended Euclidean algorithm. Pre: 0 < a < p.
std::uint32_t inverse_modulo(std::uint32_t a, std::uint32_t p) noexcept {
  std::int64_t r0 = p, r1 = a, t0 = 0, t1 = 1;
  while (r1 != 0) {
    const std::int64_t q = r0 / r1;
    r0 = std::exchange(r1, r0 - q * r1);
    t0 = std::exchange(t1, t0 - q * t1);
  }
  return static_cast<std::uint32_t>(t0 < 0 ? t0 + p : t0);
}

/// The slots not yet taken. While many are free a player finds its next by walking its permutation over the
/// bitmap. A walk is slots/free steps long, so that the last few hundred slots would cost as much as all
/// before them: from `free * free <= slots` on, the free slots are listed and asked for the one that comes
/// first in the permutation. Both ways find the same slot.
class FreeSlots {
 public:
  explicit FreeSlots(std::uint32_t slots) : taken_((slots + 63) / 64), slots_(slots), free_(slots) {}

  [[nodiscard]] std::uint32_t count() const noexcept { return free_; }

  /// Takes the first free slot of the player's permutation and moves the player past it. Pre: count() > 0.
  std::uint32_t take_next(Player& player) {
    const std::uint32_t slot = listed() ? nearest(player) : walk(player.position, player.skip);
    taken_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    --free_;
    player.position = step(slot, player.skip);
    return slot;
  }

 private:
  [[nodiscard]] bool listed() {
    if (!list_.empty()) return true;
    if (std::uint64_t{free_} * free_ > slots_) return false;
    list_.reserve(free_);
    for (std::uint32_t slot = 0; slot < slots_; ++slot) {
      if (!taken(slot)) list_.push_back(slot);
    }
    return true;
  }

  [[nodiscard]] bool taken(std::uint32_t slot) const noexcept {
    return ((taken_[slot / 64] >> (slot % 64)) & 1U) != 0;
  }

  [[nodiscard]] std::uint32_t step(std::uint32_t slot, std::uint32_t skip) const noexcept {
    const std::uint32_t next = slot + skip;
    return next >= slots_ ? next - slots_ : next;
  }

  [[nodiscard]] std::uint32_t walk(std::uint32_t slot, std::uint32_t skip) const noexcept {
    while (taken(slot)) slot = step(slot, skip);
    return slot;
  }

  /// Slot s is (s - position) / skip steps away, modulo the number of slots.
  std::uint32_t nearest(const Player& player) noexcept {
    const std::uint64_t inverse = inverse_modulo(player.skip, slots_);
    std::uint32_t best_steps = slots_;
    std::size_t best = 0;
    for (std::size_t i = 0; i < list_.size(); ++i) {
      const std::uint32_t ahead =
          list_[i] >= player.position ? list_[i] - player.position : list_[i] + (slots_ - player.position);
      const auto steps = static_cast<std::uint32_t>(ahead * inverse % slots_);
      if (steps < best_steps) {
        best_steps = steps;
        best = i;
      }
    }
    const std::uint32_t slot = list_[best];
    list_[best] = list_.back();
    list_.pop_back();
    return slot;
  }

  std::vector<std::uint64_t> taken_;
  std::vector<std::uint32_t> list_;
  std::uint32_t slots_;
  std::uint32_t free_;
};

bool is_prime(std::uint32_t n) noexcept {
  if (n < 2) return false;
  for (std::uint32_t d = 2; std::uint64_t{d} * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

}  // namespace

std::vector<std::uint16_t> build_maglev(std::span<const MaglevBackend> backends, std::uint32_t slots) {
  assert(is_prime(slots) && slots <= std::uint32_t{1} << 31);
  assert(backends.size() <= std::size_t{1} << 16);

  std::uint32_t turn_price = 0;
  for (const MaglevBackend& backend : backends) turn_price = std::max(turn_price, backend.weight);
  if (turn_price == 0) return {};

  std::vector<Player> players = players_of(backends, slots, turn_price);
  std::vector<std::uint16_t> table(slots);
  FreeSlots free_slots(slots);
  std::vector<std::uint32_t> turns(players.size());
  while (true) {
    // One round: everyone earns its weight, and whoever can pay takes one turn. The heaviest can each time.
    // Who takes one is found without a branch: with mixed weights each would be a coin toss for the branch
    // predictor.
    std::size_t count = 0;
    for (std::uint32_t i = 0; i < players.size(); ++i) {
      Player& player = players[i];
      player.credit += player.weight;
      const bool can_pay = player.credit >= turn_price;
      player.credit -= can_pay ? turn_price : 0;
      turns[count] = i;
      count += can_pay ? 1 : 0;
    }
    for (const std::uint32_t i : std::span(turns).first(count)) {
      table[free_slots.take_next(players[i])] = players[i].index;
      if (free_slots.count() == 0) return table;
    }
  }
}

}  // namespace sluice::dp
