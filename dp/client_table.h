#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "dp/flow/arena.h"

/// Theory of operation. How many connections a client has open, and how fast it begins new ones, concerns all
/// workers, since its connections are spread over them. So a service that limits this has one table of
/// clients, which all workers write, when a connection begins and when it ends; packets in between do not
/// come here. A client has a slot in one of two groups of eight that its hash names. A slot's word of state
/// holds the number of connections and a version that rises with each change; whoever changes it has seen the
/// slot whole, or its compare-exchange fails and it looks again.
///
/// A slot is used anew once its client has no connection and its tokens are full again: forgetting it then
/// changes nothing. Where both groups are full, a client goes without a slot: its connection is not limited,
/// and not counted. Who finds no slot of a client while another worker is writing one looks again, up to a
/// hundred times: it may be the same client. Should that worker stand still for longer, or another slot
/// become free or taken meanwhile, so that each takes another, the client has two: its connections are then
/// the sum of both, and one more than its limit may have been let in.
namespace sluice::dp {

/// What one client may do; 0: no limit.
struct ClientLimits {
  std::uint32_t rate = 0;     ///< new connections in a second
  std::uint32_t burst = 0;    ///< tokens, of which a new connection takes one; with a rate
  std::uint32_t maxconn = 0;  ///< connections at one time
};

/// What tells a client from others: its address, or the first bits of it. Those of a table are of one family.
struct ClientId {
  std::uint64_t high = 0, low = 0;
  std::uint64_t hash = 0;  ///< keyed, of the others
};

/// What becomes of a client's new connection.
enum class ClientEntry : std::uint8_t {
  counted,       ///< it has taken a place: leave() gives it back
  untracked,     ///< it has taken none: there is no room in the table
  over_rate,     ///< it is one too many in so short a time
  over_maxconn,  ///< it is one too many at one time
};

/// Thread: any number, all at once. No locks, no allocation after creation.
class ClientTable {
 public:
  static constexpr std::uint32_t kMaxClients = 1U << 24;

  /// Room for `clients`, 1 .. kMaxClients (capacity_for()). `prefix`: addresses that share so many first bits
  /// are one client. `id`: what tells it from tables that came before; not 0. Errors: exhausted.
  static base::Result<std::unique_ptr<ClientTable>> create(std::uint32_t clients, std::uint8_t prefix,
                                                           std::uint16_t id);
  /// Rounded up to a power of two of at least 16.
  [[nodiscard]] static std::size_t capacity_for(std::uint32_t clients) noexcept;

  [[nodiscard]] std::uint16_t id() const noexcept { return id_; }
  [[nodiscard]] std::uint8_t prefix() const noexcept { return prefix_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }

  /// A client begins a connection: takes a token and a place, or neither.
  [[nodiscard]] ClientEntry enter(const ClientId& client, const ClientLimits& limits,
                                  base::Tick now) noexcept;
  /// A connection goes on that was over: takes a place, whatever the limits, and no token. False: there is
  /// no room. `limits`: those of others in the table.
  [[nodiscard]] bool reenter(const ClientId& client, const ClientLimits& limits, base::Tick now) noexcept;
  /// A connection that was counted is over. Pre: enter() or reenter() has said so, and neither leave() nor
  /// withdraw() has been called for it.
  void leave(const ClientId& client) noexcept;
  /// As leave(), of a connection that came to nothing: its token goes back, too.
  void withdraw(const ClientId& client, const ClientLimits& limits, base::Tick now) noexcept;

  /// What enter() would say now; takes nothing.
  struct Sight {
    ClientEntry entry = ClientEntry::counted;
    bool known = false;             ///< the client has a slot
    std::uint32_t connections = 0;  ///< that it has
  };
  [[nodiscard]] Sight foresee(const ClientId& client, const ClientLimits& limits,
                              base::Tick now) const noexcept;

  /// Connections of all clients. Exact when nobody enters or leaves meanwhile; goes over the whole table.
  [[nodiscard]] std::uint64_t connections() const noexcept;

 private:
  static constexpr std::size_t kGroup = 8;  ///< slots
  /// Written by any worker.
  struct alignas(32) Slot {
    std::atomic<std::uint64_t> state;   ///< connections in the low half, version in the high; 0: never used
    std::atomic<std::uint64_t> tokens;  ///< as packed by Tokens
    std::atomic<std::uint64_t> high, low;  ///< ClientId
  };
  static_assert(sizeof(Slot) == 32);
  struct Look;

  ClientTable(Arena arena, std::size_t slots, std::uint8_t prefix, std::uint16_t id) noexcept;
  [[nodiscard]] std::array<std::span<Slot>, 2> groups(std::uint64_t hash) const noexcept;
  [[nodiscard]] Look look(const ClientId& client, const ClientLimits& limits, base::Tick now) const noexcept;
  /// A place for a client, and its slot. `judges`: within the limits alone.
  [[nodiscard]] std::pair<ClientEntry, Slot*> take_place(const ClientId& client, const ClientLimits& limits,
                                                         bool judges, base::Tick now) noexcept;
  [[nodiscard]] static bool is_idle(const Slot& slot, const ClientLimits& limits, base::Tick now) noexcept;
  [[nodiscard]] static bool has_token(const Slot& slot, const ClientLimits& limits, base::Tick now) noexcept;
  [[nodiscard]] static bool take_token(Slot& slot, const ClientLimits& limits, base::Tick now) noexcept;
  static void give_token_back(Slot& slot, const ClientLimits& limits, base::Tick now) noexcept;
  [[nodiscard]] static bool claim(Slot& slot, std::uint64_t state, const ClientId& client,
                                  base::Tick now) noexcept;

  Arena arena_;
  std::span<Slot> slots_;
  std::uint8_t prefix_;
  std::uint16_t id_;
};

}  // namespace sluice::dp
