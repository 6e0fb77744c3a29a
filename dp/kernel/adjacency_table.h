#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/headers.h"
#include "dp/kernel/kernel_tables.h"
#include "dp/kernel/route_table.h"

/// What workers read to find out how a packet leaves. Built by NextHops (control thread), immutable.
///
/// Theory of operation: a destination is looked up in the RouteTable of its family. The route names the
/// adjacency of its gateway, or says that destinations are on-link: then the pair (interface, destination) is
/// looked up in the NeighbourIndex. A miss there is answered with needs_resolution: the worker posts a
/// NeighbourRequest to the control thread and queues the packet; a later table has the adjacency. Flows keep
/// the AdjacencyId together with the table's epoch(), and need no further look-up while the epoch stands.
namespace sluice::dp {

inline constexpr std::uint16_t kNoPort = 0xffff;
/// Two tags at most (802.1ad around 802.1Q).
inline constexpr std::size_t kMaxLinkHeader = 22;
/// Ids are below this.
inline constexpr std::size_t kMaxAdjacencies = 16'384;

enum class AdjacencyState : std::uint8_t {
  gone,        ///< no longer, or not yet, a neighbour: look the destination up again
  incomplete,  ///< link address asked for: queue within bounds
  reachable,   ///< header is valid
  failed,      ///< asked for in vain: refuse; asked for again from time to time
};

/// A next hop, ready to be written before a packet.
struct alignas(32) Adjacency {
  /// Destination, source, tags if any, EtherType of the next hop's family. Valid when reachable.
  std::array<std::byte, kMaxLinkHeader> header{};
  std::uint8_t header_length = 0;  ///< 14, 18 or 22
  AdjacencyState state = AdjacencyState::gone;
  std::uint16_t port = kNoPort;  ///< egress port
  std::uint16_t mtu = 0;         ///< of the link, or of the route where smaller; without the link header
  std::uint32_t ifindex = 0;

  /// Writes the link header for a packet of `type` at `to`. Pre: to.size() >= header_length; reachable.
  void write(std::span<std::byte> to, base::EtherType type) const noexcept {
    std::memcpy(to.data(), header.data(), header_length);
    const base::Be16 wire(
        static_cast<std::uint16_t>(type));  // differs from the header's: IPv4 via an IPv6 gateway
    std::memcpy(to.data() + header_length - sizeof(wire), &wire, sizeof(wire));
  }
  friend bool operator==(const Adjacency&, const Adjacency&) noexcept = default;
};
static_assert(sizeof(Adjacency) == 32 && std::is_trivially_copyable_v<Adjacency>);

/// A next hop by what it is, not by number.
struct NeighbourRequest {
  std::uint32_t ifindex = 0;
  std::uint16_t mtu =
      0;  ///< of the route; 0: the link's. Part of the identity, so that adjacencies need no route
  base::IpAddress address;
  friend constexpr auto operator<=>(const NeighbourRequest&, const NeighbourRequest&) noexcept = default;
};
static_assert(std::is_trivially_copyable_v<NeighbourRequest>, "travels through a ring");

/// (interface, address) → adjacency, one hash table per family. Immutable.
template <base::Family F>
class NeighbourIndex {
 public:
  struct Entry {
    std::uint32_t ifindex = 0;
    std::uint16_t mtu = 0;
    AdjacencyId id = kNoAdjacency;
    base::Address<F> address;
  };

  NeighbourIndex() : slots_(2) {}
  /// Pre: no two entries alike but for the id. `seed` decides on the order within, so that nobody outside can
  /// make addresses collide.
  NeighbourIndex(std::span<const Entry> entries, std::uint64_t seed)
      : slots_(std::bit_ceil(entries.size() * 2 + 2)), seed_(seed) {
    for (const Entry& entry : entries) slots_[find_slot(entry.ifindex, entry.mtu, entry.address)] = entry;
  }

  /// kNoAdjacency when unknown.
  [[nodiscard]] AdjacencyId find(std::uint32_t ifindex, std::uint16_t mtu,
                                 const base::Address<F>& address) const noexcept {
    return slots_[find_slot(ifindex, mtu, address)].id;
  }

 private:
  /// The slot that holds the key, or the free one where it would be. Ends: at most half the slots are taken.
  [[nodiscard]] std::size_t find_slot(std::uint32_t ifindex, std::uint16_t mtu,
                                      const base::Address<F>& address) const noexcept {
    const std::size_t last = slots_.size() - 1;
    std::uint64_t hash = seed_ ^ (std::uint64_t{ifindex} << 16 | mtu);
    const auto bits = AddressBits<F>::of(address);
    if constexpr (F == base::Family::v4) {
      hash = mix(hash ^ (std::uint64_t{bits.word} << 32));
    } else {
      hash = mix(mix(hash ^ bits.high) ^ bits.low);
    }
    for (std::size_t at = hash & last;; at = (at + 1) & last) {
      const Entry& entry = slots_[at];
      if (entry.id == kNoAdjacency) return at;
      if (entry.address == address && entry.ifindex == ifindex && entry.mtu == mtu) return at;
    }
  }
  /// Every bit of the result depends on every bit of `value` (the finaliser of MurmurHash3's 64-bit form,
  /// keyed).
  [[nodiscard]] std::uint64_t mix(std::uint64_t value) const noexcept {
    value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdULL;
    value = (value ^ (value >> 33) ^ seed_) * 0xc4ceb9fe1a85ec53ULL;
    return value ^ (value >> 33);
  }

  std::vector<Entry> slots_;
  std::uint64_t seed_ = 0;
};

enum class ResolutionKind : std::uint8_t {
  adjacency,         ///< `id`
  needs_resolution,  ///< on-link and not known yet: post request(), queue the packet
  no_route,
  local,        ///< the kernel's: hand it the packet
  blackhole,    ///< drop in silence
  unreachable,  ///< refuse
  foreign,      ///< leaves by an interface that is no port of ours
};

/// Answer to "how does a packet to this destination leave".
struct Resolution {
  ResolutionKind kind = ResolutionKind::no_route;
  AdjacencyId id = kNoAdjacency;  ///< with adjacency
  std::uint16_t mtu = 0;          ///< with needs_resolution
  std::uint32_t ifindex = 0;      ///< with needs_resolution

  /// What to post to the control thread. Pre: needs_resolution for this `destination`.
  [[nodiscard]] NeighbourRequest request(const base::IpAddress& destination) const noexcept {
    return {ifindex, mtu, destination};
  }
  friend constexpr bool operator==(const Resolution&, const Resolution&) noexcept = default;
};

/// Routes and neighbours of both families. Parts that did not change are shared with the table before.
class AdjacencyTable {
 public:
  template <base::Family F>
  struct Routing {
    std::shared_ptr<const RouteTable<F>> routes = std::make_shared<RouteTable<F>>();
    std::shared_ptr<const NeighbourIndex<F>> neighbours = std::make_shared<NeighbourIndex<F>>();
  };

  AdjacencyTable() = default;
  AdjacencyTable(std::vector<Adjacency> adjacencies, Routing<base::Family::v4> v4,
                 Routing<base::Family::v6> v6, std::uint32_t epoch)
      : adjacencies_(std::move(adjacencies)), v4_(std::move(v4)), v6_(std::move(v6)), epoch_(epoch) {}

  /// Thread: any. Cost: the probes of RouteTable::lookup(), and one more for on-link destinations.
  template <base::Family F>
  [[nodiscard]] Resolution resolve(const base::Address<F>& destination) const noexcept {
    const Routing<F>& routing = this->routing<F>();
    const RouteValue* route = routing.routes->lookup(destination);
    if (route == nullptr) return {};
    switch (route->kind) {
      case RouteKind::via: return {ResolutionKind::adjacency, route->adjacency, 0, 0};
      case RouteKind::on_link: {
        const AdjacencyId id = routing.neighbours->find(route->ifindex, route->mtu, destination);
        if (id != kNoAdjacency) return {ResolutionKind::adjacency, id, 0, 0};
        return {ResolutionKind::needs_resolution, kNoAdjacency, route->mtu, route->ifindex};
      }
      case RouteKind::local: return {ResolutionKind::local, kNoAdjacency, 0, 0};
      case RouteKind::blackhole: return {ResolutionKind::blackhole, kNoAdjacency, 0, 0};
      case RouteKind::unreachable: return {ResolutionKind::unreachable, kNoAdjacency, 0, 0};
      case RouteKind::foreign: return {ResolutionKind::foreign, kNoAdjacency, 0, 0};
    }
    return {};
  }

  /// The adjacency of an id that this or an earlier table gave; one in state gone when the id means nothing
  /// any more.
  [[nodiscard]] const Adjacency& adjacency(AdjacencyId id) const noexcept {
    return id < adjacencies_.size() ? adjacencies_[id] : kGone;
  }

  /// resolve() and adjacency() in one: null unless there is an adjacency (in whatever state).
  template <base::Family F>
  [[nodiscard]] const Adjacency* find(const base::Address<F>& destination) const noexcept {
    const Resolution resolution = resolve<F>(destination);
    return resolution.kind == ResolutionKind::adjacency ? &adjacency(resolution.id) : nullptr;
  }

  /// Moves whenever an answer of resolve() that named an adjacency may have become another, at most ten times
  /// a second: its low 16 bits, kept beside an id, do not come round within 1.8 hours.
  [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] std::span<const Adjacency> adjacencies() const noexcept { return adjacencies_; }
  template <base::Family F>
  [[nodiscard]] const Routing<F>& routing() const noexcept {
    if constexpr (F == base::Family::v4) {
      return v4_;
    } else {
      return v6_;
    }
  }

 private:
  static constexpr Adjacency kGone{};
  std::vector<Adjacency> adjacencies_;  // by id
  Routing<base::Family::v4> v4_;
  Routing<base::Family::v6> v6_;
  std::uint32_t epoch_ = 0;
};

/// When one worker last sent by each adjacency. Written by that worker alone, read by the control thread.
class AdjacencyUse {
 public:
  /// Thread: the worker. Pre: id < kMaxAdjacencies.
  void touch(AdjacencyId id, base::Tick now) noexcept {
    last_[id].store(now.ms | 1U, std::memory_order_relaxed);  // odd, for 0 says "never"
  }
  /// Thread: the control thread. The time of the last touch; false when there was none since forget().
  [[nodiscard]] bool last(AdjacencyId id, base::Tick& when) const noexcept {
    when = {last_[id].load(std::memory_order_relaxed)};
    return when.ms != 0;
  }
  /// Thread: the control thread. A touch at the same moment may be lost.
  void forget(AdjacencyId id) noexcept { last_[id].store(0, std::memory_order_relaxed); }

 private:
  std::array<std::atomic<std::uint32_t>, kMaxAdjacencies> last_{};
};

}  // namespace sluice::dp
