#include "dp/client_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace sluice::dp {
namespace {

constexpr std::uint64_t kVersion = std::uint64_t{1} << 32;  ///< the step of a state's upper half
constexpr std::uint32_t kClaimed = UINT32_MAX;  ///< in the place of connections: a worker writes the slot

std::uint32_t connections_in(std::uint64_t state) noexcept {
  return static_cast<std::uint32_t>(state);
}

/// A token bucket (as dp/rate_limit.h, but of several workers whose clocks may be a little apart):
/// thousandths of tokens, so that a token a second is one a millisecond and all arithmetic is exact.
struct Tokens {
  static constexpr std::uint32_t kOne = 1'000;
  static constexpr std::uint32_t kFull = UINT32_MAX;  ///< whatever the limits are
  /// More than workers are ever apart: a time that lies further ahead is one of more than 24 days ago.
  static constexpr std::int32_t kApartMs = 60'000;

  std::uint32_t level = 0;
  base::Tick last;

  [[nodiscard]] static Tokens unpack(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32), {static_cast<std::uint32_t>(word)}};
  }
  [[nodiscard]] std::uint64_t pack() const noexcept { return std::uint64_t{level} << 32 | last.ms; }
  [[nodiscard]] static std::uint32_t capacity(const ClientLimits& limits) noexcept {
    return std::min(limits.burst, UINT32_MAX / kOne) * kOne;
  }
  [[nodiscard]] Tokens at(base::Tick now, const ClientLimits& limits) const noexcept {
    const std::uint32_t most = capacity(limits);
    const std::int32_t elapsed_ms = now - last;
    if (elapsed_ms < -kApartMs) return {most, now};
    if (elapsed_ms <= 0) return {std::min(level, most), last};
    const std::uint64_t refilled = level + static_cast<std::uint64_t>(elapsed_ms) * limits.rate;
    return {static_cast<std::uint32_t>(std::min<std::uint64_t>(refilled, most)), now};
  }
};

}  // namespace

/// What a worker sees of a client in the table.
struct ClientTable::Look {
  Slot* known = nullptr;  ///< the client's, the first one if there are several
  std::uint64_t known_state = 0;
  std::uint64_t connections = 0;  ///< of all its slots
  Slot* idle = nullptr;           ///< may be used anew; in the group that has more of them
  std::uint64_t idle_state = 0;
  bool claimed = false;  ///< a slot is being written: whose it is cannot be told
};

std::size_t ClientTable::capacity_for(std::uint32_t clients) noexcept {
  return std::bit_ceil(std::clamp<std::size_t>(clients, 2 * kGroup, kMaxClients));
}

base::Result<std::unique_ptr<ClientTable>> ClientTable::create(std::uint32_t clients, std::uint8_t prefix,
                                                               std::uint16_t id) {
  const std::size_t slots = capacity_for(clients);
  auto arena = Arena::map(slots * sizeof(Slot), "table of clients");
  if (!arena) return std::move(arena).error();
  return std::unique_ptr<ClientTable>(new ClientTable(std::move(*arena), slots, prefix, id));
}

ClientTable::ClientTable(Arena arena, std::size_t slots, std::uint8_t prefix, std::uint16_t id) noexcept
    : arena_(std::move(arena)), slots_(arena_.view<Slot>(0, slots)), prefix_(prefix), id_(id) {}

std::array<std::span<ClientTable::Slot>, 2> ClientTable::groups(std::uint64_t hash) const noexcept {
  const std::size_t last = slots_.size() / kGroup - 1;
  const std::size_t first = hash & last;
  std::size_t second = (hash >> 32) & last;
  if (second == first) second ^= 1;
  return {slots_.subspan(first * kGroup, kGroup), slots_.subspan(second * kGroup, kGroup)};
}

bool ClientTable::is_idle(const Slot& slot, const ClientLimits& limits, base::Tick now) noexcept {
  if (limits.rate == 0) return true;
  const Tokens tokens = Tokens::unpack(slot.tokens.load(std::memory_order_relaxed)).at(now, limits);
  return tokens.level == Tokens::capacity(limits);
}

bool ClientTable::has_token(const Slot& slot, const ClientLimits& limits, base::Tick now) noexcept {
  return Tokens::unpack(slot.tokens.load(std::memory_order_relaxed)).at(now, limits).level >= Tokens::kOne;
}

bool ClientTable::take_token(Slot& slot, const ClientLimits& limits, base::Tick now) noexcept {
  std::uint64_t word = slot.tokens.load(std::memory_order_relaxed);
  Tokens tokens;
  do {
    tokens = Tokens::unpack(word).at(now, limits);
    if (tokens.level < Tokens::kOne) return false;
    tokens.level -= Tokens::kOne;
  } while (!slot.tokens.compare_exchange_weak(word, tokens.pack(), std::memory_order_relaxed));
  return true;
}

void ClientTable::give_token_back(Slot& slot, const ClientLimits& limits, base::Tick now) noexcept {
  std::uint64_t word = slot.tokens.load(std::memory_order_relaxed);
  Tokens tokens;
  do {
    tokens = Tokens::unpack(word).at(now, limits);
    tokens.level = std::min(tokens.level, Tokens::capacity(limits) - Tokens::kOne) + Tokens::kOne;
  } while (!slot.tokens.compare_exchange_weak(word, tokens.pack(), std::memory_order_relaxed));
}

/// Makes an idle slot the client's, with one connection. False: it is not as it was.
bool ClientTable::claim(Slot& slot, std::uint64_t state, const ClientId& client, base::Tick now) noexcept {
  // From here on nobody else touches the slot: what it holds is no client.
  if (!slot.state.compare_exchange_strong(state, (state + kVersion) | kClaimed, std::memory_order_acq_rel,
                                          std::memory_order_relaxed)) {
    return false;
  }
  // Released each, so that who reads one of them finds that the state has changed.
  slot.high.store(client.high, std::memory_order_release);
  slot.low.store(client.low, std::memory_order_release);
  slot.tokens.store(Tokens{Tokens::kFull, now}.pack(), std::memory_order_release);
  slot.state.store(state + 2 * kVersion + 1, std::memory_order_release);
  return true;
}

ClientTable::Look ClientTable::look(const ClientId& client, const ClientLimits& limits,
                                    base::Tick now) const noexcept {
  Look seen;
  std::size_t most_idle = 0;
  for (const std::span<Slot> group : groups(client.hash)) {
    Slot* first = nullptr;
    std::uint64_t first_state = 0;
    std::size_t idle = 0;
    for (Slot& slot : group) {
      const std::uint64_t state = slot.state.load(std::memory_order_acquire);
      const std::uint32_t connections = connections_in(state);
      if (connections == kClaimed) {
        seen.claimed = true;
        continue;
      }
      if (state != 0 && slot.high.load(std::memory_order_acquire) == client.high &&
          slot.low.load(std::memory_order_acquire) == client.low) {
        seen.connections += connections;
        if (seen.known != nullptr) continue;
        seen.known = &slot;
        seen.known_state = state;
      } else if (connections == 0 && (state == 0 || is_idle(slot, limits, now))) {
        if (idle++ != 0) continue;
        first = &slot;
        first_state = state;
      }
    }
    if (idle <= most_idle) continue;
    most_idle = idle;
    seen.idle = first;
    seen.idle_state = first_state;
  }
  return seen;
}

std::pair<ClientEntry, ClientTable::Slot*> ClientTable::take_place(const ClientId& client,
                                                                   const ClientLimits& limits, bool judges,
                                                                   base::Tick now) noexcept {
  // Many times what the four stores of claim() take.
  constexpr unsigned kPatience = 100;
  for (unsigned looks = 0;;) {
    const Look seen = look(client, limits, now);
    if (seen.known == nullptr && seen.claimed && ++looks < kPatience) continue;
    // Whenever a compare-exchange fails, another worker has got further.
    if (seen.known == nullptr) {
      if (seen.idle == nullptr) return {ClientEntry::untracked, nullptr};
      if (claim(*seen.idle, seen.idle_state, client, now)) return {ClientEntry::counted, seen.idle};
      continue;
    }
    if (judges) {
      if (limits.maxconn != 0 && seen.connections >= limits.maxconn)
        return {ClientEntry::over_maxconn, nullptr};
      if (limits.rate != 0 && !has_token(*seen.known, limits, now)) return {ClientEntry::over_rate, nullptr};
    }
    std::uint64_t state = seen.known_state;
    if (seen.known->state.compare_exchange_strong(state, state + kVersion + 1, std::memory_order_acq_rel,
                                                  std::memory_order_relaxed)) {
      return {ClientEntry::counted, seen.known};
    }
  }
}

ClientEntry ClientTable::enter(const ClientId& client, const ClientLimits& limits, base::Tick now) noexcept {
  const auto [entry, slot] = take_place(client, limits, true, now);
  if (entry != ClientEntry::counted || limits.rate == 0) return entry;
  // With a place in it the slot stays the client's; but of a client with two, others may give back this one.
  if (take_token(*slot, limits, now)) return ClientEntry::counted;
  leave(client);
  return ClientEntry::over_rate;
}

bool ClientTable::reenter(const ClientId& client, const ClientLimits& limits, base::Tick now) noexcept {
  return take_place(client, limits, false, now).first == ClientEntry::counted;
}

void ClientTable::leave(const ClientId& client) noexcept {
  // Of a client with two slots another connection may come and go between the looks at them.
  constexpr unsigned kLooks = 64;
  for (unsigned looks = 0; looks < kLooks; ++looks) {
    for (const std::span<Slot> group : groups(client.hash)) {
      for (Slot& slot : group) {
        std::uint64_t state = slot.state.load(std::memory_order_acquire);
        while (connections_in(state) != 0 && connections_in(state) != kClaimed &&
               slot.high.load(std::memory_order_acquire) == client.high &&
               slot.low.load(std::memory_order_acquire) == client.low) {
          if (slot.state.compare_exchange_weak(state, state + kVersion - 1, std::memory_order_acq_rel,
                                               std::memory_order_acquire)) {
            return;
          }
        }
      }
    }
  }
  assert(false && "the connection was counted");
}

void ClientTable::withdraw(const ClientId& client, const ClientLimits& limits, base::Tick now) noexcept {
  if (limits.rate != 0) {
    if (Slot* slot = look(client, limits, now).known; slot != nullptr) give_token_back(*slot, limits, now);
  }
  leave(client);
}

ClientTable::Sight ClientTable::foresee(const ClientId& client, const ClientLimits& limits,
                                        base::Tick now) const noexcept {
  const Look seen = look(client, limits, now);
  Sight sight{.known = seen.known != nullptr, .connections = static_cast<std::uint32_t>(seen.connections)};
  if (!sight.known) {
    sight.entry = seen.idle != nullptr ? ClientEntry::counted : ClientEntry::untracked;
  } else if (limits.maxconn != 0 && seen.connections >= limits.maxconn) {
    sight.entry = ClientEntry::over_maxconn;
  } else if (limits.rate != 0 && !has_token(*seen.known, limits, now)) {
    sight.entry = ClientEntry::over_rate;
  }
  return sight;
}

std::uint64_t ClientTable::connections() const noexcept {
  std::uint64_t sum = 0;
  for (const Slot& slot : slots_) {
    const std::uint32_t connections = connections_in(slot.state.load(std::memory_order_acquire));
    if (connections != kClaimed) sum += connections;
  }
  return sum;
}

}  // namespace sluice::dp
