#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "dp/kernel/adjacency_table.h"
#include "dp/kernel/kernel_mirror.h"
#include "dp/kernel/kernel_tables.h"

namespace sluice::dp {

/// A port of ours by the kernel interface that stands for it (the NIC under AF_XDP, else the twin). By name,
/// so that an interface deleted and made anew is found again.
struct PortInterface {
  std::string interface;
  std::uint16_t port = kNoPort;
  friend bool operator==(const PortInterface&, const PortInterface&) = default;
};

/// Makes AdjacencyTables out of what the kernel knows, and has the kernel keep fresh the neighbours that are
/// in use.
///
/// Theory of operation. An adjacency is (interface, next-hop address, route MTU) and has an id for life.
/// There are three reasons to have one: a route names its gateway; a server is reached by it; a worker asked
/// for an on-link destination (want()). The last kind is bounded and goes when unused: reachable ones after
/// kIdleMs, others after kUnresolvedIdleMs. A freed id is `gone` in the table at once, moves the epoch, and
/// is given to another next hop after kIdGraceMs only.
///
/// Link addresses are the kernel's to find. It is asked (solicit) when an adjacency in use has none, or one
/// that is stale; at most once in kSolicitMs for each. In use are: those of servers, always; others that came
/// to be, were wanted by a worker, or touched by one, in the last kInUseMs. When the kernel forgets a
/// neighbour (ip neigh flush), the last address is used on for kHoldMs while it asks anew. It says `failed`
/// both when it asked in vain and when it was told to forget; the first takes it kProbingMs at least, so that
/// a failure sooner than that after an address was known is taken for the second. A failed adjacency is
/// refused, not queued, for kFailedMs after the kernel's last attempt.
///
/// Pure: no I/O, the clock is passed in. Thread: the control thread, save for use().
class NextHops {
 public:
  static constexpr std::int32_t kIdleMs = 300'000;
  static constexpr std::int32_t kUnresolvedIdleMs = 10'000;
  static constexpr std::int32_t kIdGraceMs = 60'000;
  static constexpr std::int32_t kInUseMs = 60'000;
  static constexpr std::int32_t kSolicitMs = 1'000;
  static constexpr std::int32_t kHoldMs = 10'000;
  static constexpr std::int32_t kProbingMs = 2'500;  ///< less than a kernel's three probes a second apart
  static constexpr std::int32_t kFailedMs = 5'000;
  static constexpr std::int32_t kEpochMs = 100;  ///< between moves of the epoch
  static constexpr std::int32_t kSweepMs = 1'000;
  static constexpr std::int32_t kMinStayMs =
      3'000;  ///< before one is driven out by others; a kernel's three probes
  static constexpr std::size_t kMaxUnresolved = 1'024;  ///< adjacencies wanted by workers and not reachable
  static constexpr std::size_t kReserved = 2'048;       ///< ids kept for gateways and servers
  static constexpr std::size_t kSolicitBatch = 256;     ///< from one update()

  /// `seed`: random, for the hash of neighbours.
  NextHops(std::size_t workers, std::uint64_t seed);

  void set_ports(std::vector<PortInterface> ports);
  /// Addresses whose next hops are to be known at all times.
  void set_servers(std::vector<base::IpAddress> servers);

  /// A worker needs the link address of a neighbour: answers needs_resolution, or an adjacency that is
  /// incomplete. Takes effect with the next update().
  void want(const NeighbourRequest& neighbour, base::Tick now);

  struct Update {
    bool changed = false;               ///< table() is another one
    std::vector<NeighbourKey> solicit;  ///< to be given to KernelMirror::solicit()
  };
  /// Brings the table up to date. To be called when the mirror reports changes, after set_…() and want(), and
  /// every 100 ms besides. Routes are compiled again only when they, the links or the ports changed.
  Update update(const KernelTables& kernel, const KernelChanges& changes, base::Tick now);

  /// Never null. Stays as it is until update() answers `changed`.
  [[nodiscard]] const std::shared_ptr<const AdjacencyTable>& table() const noexcept { return table_; }
  /// Where worker `index` notes what it uses. Lives as long as this object.
  [[nodiscard]] AdjacencyUse& use(std::size_t index) noexcept { return *use_[index]; }

  /// An adjacency for people.
  struct Report {
    AdjacencyId id = kNoAdjacency;
    NeighbourRequest next_hop;
    Adjacency value;
  };
  [[nodiscard]] std::vector<Report> report() const;
  /// Wants that were refused because the bounds were reached.
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

 private:
  /// How frames leave by an interface.
  struct Egress {
    std::uint16_t port = kNoPort;
    std::uint16_t mtu = 0;
    base::Mac mac;
    std::vector<VlanTag> tags;  // outermost first
  };
  struct Entry {
    bool live = false;
    NeighbourRequest who;
    bool by_route = false;
    bool by_server = false;
    base::Tick used;  // created, wanted, or touched by a worker
    std::optional<base::Tick> solicited;
    /// As last seen. From the start, so that a failure of old, which nobody saw happen, is not held against
    /// it.
    NeighbourState kernel = NeighbourState::failed;
    base::Mac mac;                     // the last one known; zero: none
    std::optional<base::Tick> lost;    // when the kernel forgot `mac`
    std::optional<base::Tick> failed;  // when the kernel last gave up
  };
  template <base::Family F>
  struct Compiled {
    std::vector<typename RouteTable<F>::Entry>
        entries;  // what the table was made of, to see whether that changed
    AdjacencyTable::Routing<F> routing;
  };

  std::optional<Egress> find_egress(const KernelTables& kernel, std::uint32_t ifindex) const;
  /// Null when no port of ours is below the interface, or a link on the way is down.
  const Egress* egress_of(const KernelTables& kernel, std::uint32_t ifindex);
  template <base::Family F>
  void compile_routes(const KernelTables& kernel, Compiled<F>& compiled, base::Tick now);
  RouteValue compile_hop(const KernelTables& kernel, const ChosenRoute& route, base::Tick now);
  void compile_all_routes(const KernelTables& kernel, base::Tick now);
  template <base::Family F>
  void pin(const base::IpAddress& server, const Compiled<F>& compiled, base::Tick now);
  void pin_servers(base::Tick now);
  template <base::Family F>
  void index_neighbours(Compiled<F>& compiled) const;

  /// kNoAdjacency when ids have run out.
  AdjacencyId obtain(const NeighbourRequest& who, base::Tick now, std::size_t limit = kMaxAdjacencies);
  void release(AdjacencyId id, base::Tick now);
  /// Keeps what workers want within bounds. False: nothing may go yet.
  bool make_room(base::Tick now);
  static bool pinned(const Entry& entry) noexcept { return entry.by_route || entry.by_server; }

  void note_use(base::Tick now);
  void age(base::Tick now);
  /// True when a value changed.
  bool refresh(const KernelTables& kernel, base::Tick now);
  static void follow_kernel(Entry& entry, const KernelTables& kernel, base::Tick now);
  [[nodiscard]] static Adjacency value_of(const Entry& entry, const Egress* egress, base::Tick now);
  std::vector<NeighbourKey> due_solicitations(base::Tick now);

  std::vector<std::unique_ptr<AdjacencyUse>> use_;
  std::uint64_t seed_;
  std::vector<PortInterface> ports_;
  std::vector<base::IpAddress> servers_;

  std::vector<Entry> entries_;  // by id
  std::vector<Adjacency> values_;
  std::map<NeighbourRequest, AdjacencyId> ids_;
  struct FreeId {
    AdjacencyId id;
    base::Tick since;
  };
  std::deque<FreeId> free_;                                          // oldest first
  std::unordered_map<std::uint32_t, std::optional<Egress>> egress_;  // by ifindex; rebuilt when links change

  Compiled<base::Family::v4> v4_;
  Compiled<base::Family::v6> v6_;
  std::uint32_t epoch_ = 0;
  base::Tick epoch_moved_;
  bool epoch_due_ = false;
  bool epoch_ever_moved_ = false;

  bool routes_dirty_ = true;
  bool servers_dirty_ = true;
  bool index_dirty_ = false;
  bool values_dirty_ = true;
  base::Tick swept_;
  AdjacencyId next_to_solicit_ = 0;
  std::uint64_t refused_ = 0;
  std::shared_ptr<const AdjacencyTable> table_ = std::make_shared<AdjacencyTable>();
};

}  // namespace sluice::dp
