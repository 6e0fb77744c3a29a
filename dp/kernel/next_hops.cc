#include "dp/kernel/next_hops.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

namespace sluice::dp {
namespace {

using base::Family;
using base::IpAddress;
using base::Tick;

std::uint16_t clamp_mtu(std::uint32_t mtu) noexcept {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, std::numeric_limits<std::uint16_t>::max()));
}

/// Appends wire structs to a link header.
class HeaderWriter {
 public:
  explicit HeaderWriter(Adjacency& adjacency) noexcept : adjacency_(adjacency) {}
  template <typename T>
  void put(const T& value) noexcept {
    std::memcpy(adjacency_.header.data() + adjacency_.header_length, &value, sizeof(value));
    adjacency_.header_length = static_cast<std::uint8_t>(adjacency_.header_length + sizeof(value));
  }
  void put_type(base::EtherType type) noexcept { put(base::Be16(static_cast<std::uint16_t>(type))); }

 private:
  Adjacency& adjacency_;
};

}  // namespace

NextHops::NextHops(std::size_t workers, std::uint64_t seed) : seed_(seed) {
  for (std::size_t i = 0; i < workers; ++i) use_.push_back(std::make_unique<AdjacencyUse>());
}

void NextHops::set_ports(std::vector<PortInterface> ports) {
  if (ports == ports_) return;
  ports_ = std::move(ports);
  egress_.clear();
  routes_dirty_ = values_dirty_ = true;
}

void NextHops::set_servers(std::vector<IpAddress> servers) {
  std::ranges::sort(servers);
  servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
  if (servers == servers_) return;
  servers_ = std::move(servers);
  servers_dirty_ = true;
}

void NextHops::want(const NeighbourRequest& neighbour, Tick now) {
  if (const auto known = ids_.find(neighbour); known != ids_.end()) {
    entries_[known->second].used = now;
  } else if (!make_room(now) || obtain(neighbour, now, kMaxAdjacencies - kReserved) == kNoAdjacency) {
    ++refused_;
  }
}

NextHops::Update NextHops::update(const KernelTables& kernel, const KernelChanges& changes, Tick now) {
  if (changes.links) egress_.clear();
  routes_dirty_ |= changes.routes || changes.links;
  values_dirty_ |= changes.neighbours || changes.links;
  const bool epoch_may_move = !epoch_ever_moved_ || now - epoch_moved_ >= kEpochMs;

  if (routes_dirty_ && epoch_may_move) {
    compile_all_routes(kernel, now);
    routes_dirty_ = false;
    servers_dirty_ = true;
  }
  if (std::exchange(servers_dirty_, false)) pin_servers(now);
  if (now - swept_ >= kSweepMs) {
    swept_ = now;
    note_use(now);
    age(now);
    values_dirty_ = true;  // some of them depend on the time
  }

  Update update;
  if (std::exchange(values_dirty_, false)) update.changed |= refresh(kernel, now);
  if (std::exchange(index_dirty_, false)) {
    index_neighbours(v4_);
    index_neighbours(v6_);
    update.changed = true;
  }
  if (epoch_due_ && epoch_may_move) {
    epoch_due_ = false;
    epoch_ever_moved_ = true;
    epoch_moved_ = now;
    ++epoch_;
    update.changed = true;
  }
  if (update.changed) {
    table_ = std::make_shared<const AdjacencyTable>(values_, v4_.routing, v6_.routing, epoch_);
  }
  update.solicit = due_solicitations(now);
  return update;
}

std::optional<NextHops::Egress> NextHops::find_egress(const KernelTables& kernel,
                                                      std::uint32_t ifindex) const {
  const Link* link = kernel.link(ifindex);
  if (link == nullptr) return std::nullopt;
  Egress egress{kNoPort, clamp_mtu(link->mtu), link->mac, {}};
  while (link != nullptr && link->up) {
    const auto port = std::ranges::find(ports_, link->name, &PortInterface::interface);
    if (port != ports_.end()) {
      egress.port = port->port;
      std::ranges::reverse(egress.tags);
      return egress;
    }
    if (!link->vlan || egress.tags.size() == 2) return std::nullopt;
    egress.tags.push_back(*link->vlan);
    link = kernel.link(link->parent);
  }
  return std::nullopt;
}

const NextHops::Egress* NextHops::egress_of(const KernelTables& kernel, std::uint32_t ifindex) {
  const auto [at, fresh] = egress_.try_emplace(ifindex);
  if (fresh) at->second = find_egress(kernel, ifindex);
  return at->second ? &*at->second : nullptr;
}

RouteValue NextHops::compile_hop(const KernelTables& kernel, const ChosenRoute& route, Tick now) {
  const std::uint32_t ifindex = route.hop.ifindex;
  const Egress* egress = egress_of(kernel, ifindex);
  if (egress == nullptr) return {ifindex, kNoAdjacency, 0, RouteKind::foreign};
  const std::uint16_t mtu = clamp_mtu(route.mtu);
  if (!route.hop.gateway) return {ifindex, kNoAdjacency, mtu, RouteKind::on_link};
  const AdjacencyId id = obtain({ifindex, mtu, *route.hop.gateway}, now);
  if (id == kNoAdjacency) {
    ++refused_;
    return {ifindex, kNoAdjacency, 0, RouteKind::unreachable};
  }
  entries_[id].by_route = true;
  return {0, id, 0, RouteKind::via};
}

template <Family F>
void NextHops::compile_routes(const KernelTables& kernel, Compiled<F>& compiled, Tick now) {
  std::vector<typename RouteTable<F>::Entry> entries;
  for (const ChosenRoute& route : kernel.chosen_routes(F)) {
    RouteValue value;
    switch (route.type) {
      case RouteType::unicast: value = compile_hop(kernel, route, now); break;
      case RouteType::local: value.kind = RouteKind::local; break;
      case RouteType::blackhole: value.kind = RouteKind::blackhole; break;
      case RouteType::unreachable: value.kind = RouteKind::unreachable; break;
    }
    entries.push_back({route.destination.address.template as<F>(), route.destination.length, value});
  }
  if (entries == compiled.entries) return;
  compiled.routing.routes = std::make_shared<const RouteTable<F>>(entries);
  compiled.entries = std::move(entries);
  epoch_due_ = true;
}

void NextHops::compile_all_routes(const KernelTables& kernel, Tick now) {
  for (Entry& entry : entries_) entry.by_route = false;
  compile_routes(kernel, v4_, now);
  compile_routes(kernel, v6_, now);
}

template <Family F>
void NextHops::pin(const IpAddress& server, const Compiled<F>& compiled, Tick now) {
  const auto destination = server.as<F>();
  const RouteValue* route = compiled.routing.routes->lookup(destination);
  if (route == nullptr) return;
  AdjacencyId id = kNoAdjacency;
  if (route->kind == RouteKind::via) id = route->adjacency;
  if (route->kind == RouteKind::on_link) {
    id = obtain({route->ifindex, route->mtu, server}, now);
    if (id == kNoAdjacency) ++refused_;
  }
  if (id != kNoAdjacency) entries_[id].by_server = true;
}

void NextHops::pin_servers(Tick now) {
  for (Entry& entry : entries_) entry.by_server = false;
  for (const IpAddress& server : servers_) {
    if (server.is_v4()) {
      pin(server, v4_, now);
    } else {
      pin(server, v6_, now);
    }
  }
}

template <Family F>
void NextHops::index_neighbours(Compiled<F>& compiled) const {
  std::vector<typename NeighbourIndex<F>::Entry> entries;
  for (const auto& [who, id] : ids_) {
    if (who.address.family() == F)
      entries.push_back({who.ifindex, who.mtu, id, who.address.template as<F>()});
  }
  compiled.routing.neighbours = std::make_shared<const NeighbourIndex<F>>(entries, seed_);
}

AdjacencyId NextHops::obtain(const NeighbourRequest& who, Tick now, std::size_t limit) {
  if (const auto known = ids_.find(who); known != ids_.end()) return known->second;
  std::size_t id = entries_.size();
  if (!free_.empty() && now - free_.front().since >= kIdGraceMs) {
    id = free_.front().id;
    free_.pop_front();
    entries_[id] = {};
  } else if (id < limit) {
    entries_.emplace_back();
    values_.emplace_back();
  } else {
    return kNoAdjacency;
  }
  Entry& entry = entries_[id];
  entry.live = true;
  entry.who = who;
  entry.used = now;
  ids_.emplace(who, static_cast<AdjacencyId>(id));
  index_dirty_ = values_dirty_ = true;
  return static_cast<AdjacencyId>(id);
}

void NextHops::release(AdjacencyId id, Tick now) {
  for (const auto& use : use_) use->forget(id);
  ids_.erase(entries_[id].who);
  entries_[id] = {};
  free_.push_back({id, now});
  index_dirty_ = values_dirty_ = epoch_due_ = true;
}

bool NextHops::make_room(Tick now) {
  if (ids_.size() < kMaxUnresolved) return true;
  // Of each kind the one unused for longest. A flood of invented sources may drive out its own kind only.
  const auto longest_unused = [&](auto&& of_kind) {
    std::pair<std::size_t, AdjacencyId> count_and_oldest{0, kNoAdjacency};
    for (AdjacencyId id = 0; id < entries_.size(); ++id) {
      const Entry& entry = entries_[id];
      if (!entry.live || pinned(entry) || !of_kind(values_[id])) continue;
      ++count_and_oldest.first;
      AdjacencyId& oldest = count_and_oldest.second;
      if (oldest == kNoAdjacency || entry.used - entries_[oldest].used < 0) oldest = id;
    }
    return count_and_oldest;
  };
  const auto drive_out = [&](AdjacencyId id) {
    if (id == kNoAdjacency || now - entries_[id].used < kMinStayMs) return false;
    release(id, now);
    return true;
  };
  const auto is_reachable = [](const Adjacency& value) { return value.state == AdjacencyState::reachable; };
  const auto [unresolved, oldest] = longest_unused(std::not_fn(is_reachable));
  if (unresolved >= kMaxUnresolved) return drive_out(oldest);
  if (ids_.size() >= kMaxAdjacencies - kReserved) return drive_out(longest_unused(is_reachable).second);
  return true;
}

void NextHops::note_use(Tick now) {
  for (const auto& [who, id] : ids_) {
    for (const auto& use : use_) {
      Tick when;
      if (!use->last(id, when)) continue;
      if (now - when > kIdleMs) use->forget(id);  // before Tick wraps
      if (when - entries_[id].used > 0) entries_[id].used = when;
    }
  }
}

void NextHops::age(Tick now) {
  std::vector<AdjacencyId> idle;
  for (const auto& [who, id] : ids_) {
    Entry& entry = entries_[id];
    const std::int32_t unused = now - entry.used;
    if (entry.solicited && now - *entry.solicited > kIdleMs) entry.solicited.reset();
    if (pinned(entry)) {
      if (unused > kIdleMs) entry.used = now + static_cast<std::uint32_t>(-kIdleMs);  // before Tick wraps
      continue;
    }
    const bool reachable = values_[id].state == AdjacencyState::reachable;
    if (unused > (reachable ? kIdleMs : kUnresolvedIdleMs)) idle.push_back(id);
  }
  for (const AdjacencyId id : idle) release(id, now);
}

void NextHops::follow_kernel(Entry& entry, const KernelTables& kernel, Tick now) {
  const Neighbour* neighbour = kernel.neighbour({entry.who.ifindex, entry.who.address});
  const NeighbourState state = neighbour == nullptr ? NeighbourState::none : neighbour->state;
  const NeighbourState before = std::exchange(entry.kernel, state);
  switch (state) {
    case NeighbourState::usable:
    case NeighbourState::stale:
      entry.mac = neighbour->mac;
      entry.lost.reset();
      entry.failed.reset();
      return;
    case NeighbourState::failed:
      if (!entry.mac.is_zero()) {
        if (!entry.lost) entry.lost = now;
        if (now - *entry.lost < kProbingMs) break;
      }
      if (before != NeighbourState::failed || !entry.mac.is_zero()) entry.failed = now;
      entry.mac = {};
      entry.lost.reset();
      break;
    case NeighbourState::none:
    case NeighbourState::incomplete:
      if (!entry.mac.is_zero() && !entry.lost) entry.lost = now;
      break;
  }
  if (entry.lost && now - *entry.lost >= kHoldMs) {
    entry.mac = {};
    entry.lost.reset();
  }
  if (entry.failed && now - *entry.failed >= kFailedMs) entry.failed.reset();
}

Adjacency NextHops::value_of(const Entry& entry, const Egress* egress, Tick now) {
  Adjacency value;
  value.ifindex = entry.who.ifindex;
  if (!entry.live || egress == nullptr) return value;
  value.port = egress->port;
  value.mtu = entry.who.mtu == 0 ? egress->mtu : std::min(entry.who.mtu, egress->mtu);
  if (entry.mac.is_zero()) {
    const bool refused = entry.failed && now - *entry.failed < kFailedMs;
    value.state = refused ? AdjacencyState::failed : AdjacencyState::incomplete;
    return value;
  }
  value.state = AdjacencyState::reachable;
  HeaderWriter header(value);
  header.put(entry.mac);
  header.put(egress->mac);
  for (const VlanTag& tag : egress->tags) {
    header.put_type(tag.protocol);
    header.put(base::Be16(tag.id));
  }
  header.put_type(entry.who.address.is_v4() ? base::EtherType::ipv4 : base::EtherType::ipv6);
  return value;
}

bool NextHops::refresh(const KernelTables& kernel, Tick now) {
  bool changed = false;
  for (AdjacencyId id = 0; id < entries_.size(); ++id) {
    Entry& entry = entries_[id];
    const Egress* egress = nullptr;
    if (entry.live) {
      egress = egress_of(kernel, entry.who.ifindex);
      follow_kernel(entry, kernel, now);
      if (egress == nullptr) entry.mac = {};  // what it was before the link went may not hold after
    }
    const Adjacency value = value_of(entry, egress, now);
    if (value == values_[id]) continue;
    values_[id] = value;
    changed = true;
  }
  return changed;
}

std::vector<NeighbourKey> NextHops::due_solicitations(Tick now) {
  std::vector<NeighbourKey> due;
  const std::size_t count = entries_.size();
  for (std::size_t n = 0; n < count && due.size() < kSolicitBatch; ++n) {
    // From where the last batch ended, so that a full batch starves nobody.
    const std::size_t id = (next_to_solicit_ + 1) % count;
    next_to_solicit_ = static_cast<AdjacencyId>(id);
    Entry& entry = entries_[id];
    if (!entry.live || values_[id].state == AdjacencyState::gone) continue;
    if (entry.kernel == NeighbourState::usable || entry.kernel == NeighbourState::incomplete) continue;
    if (!entry.by_server && now - entry.used > kInUseMs) continue;
    if (entry.solicited && now - *entry.solicited < kSolicitMs) continue;
    entry.solicited = now;
    due.push_back({entry.who.ifindex, entry.who.address});
  }
  return due;
}

std::vector<NextHops::Report> NextHops::report() const {
  std::vector<Report> reports;
  reports.reserve(ids_.size());
  for (const auto& [who, id] : ids_) reports.push_back({id, who, values_[id]});
  return reports;
}

}  // namespace sluice::dp
