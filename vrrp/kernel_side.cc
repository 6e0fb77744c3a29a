#include "vrrp/kernel_side.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sys/epoll.h>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "vrrp/kernel/macvlan.h"

namespace sluice::vrrp {
namespace {

using base::log::Level;

/// Rounds of settle() in which others may change things under our hands; then the loop has its turn.
constexpr int kRounds = 8;
/// The index of an interface that is gone.
constexpr std::uint32_t kDead = 0xffffffff;
/// Bursts by which a settled master repeats itself are no closer than this, and the log tells of one in
/// kTellPause: a master with a lower priority that does not hear us orders one with each of its adverts.
constexpr std::chrono::seconds kRepeatPause{1};
constexpr std::chrono::seconds kTellPause{10};
/// Lines for the log that wait for main; what comes on top of them is but counted.
constexpr std::size_t kMostLines = 1'024;
/// What waits for a full box is tried again after this time.
constexpr std::chrono::milliseconds kFlush{1};

}  // namespace

KernelSide::KernelSide(std::unique_ptr<base::EventLoop> loop, Boxes boxes) noexcept
    : loop_(std::move(loop)), boxes_(boxes), to_speaker_(boxes.to_speaker), to_main_(boxes.to_main) {}

KernelSide::~KernelSide() = default;

base::Result<std::unique_ptr<KernelSide>> KernelSide::create(Boxes boxes) {
  auto loop = base::EventLoop::create();
  if (!loop) return std::move(loop).error();
  std::unique_ptr<KernelSide> self(new KernelSide(*std::move(loop), boxes));
  auto* const raw = self.get();
  auto interfaces =
      Interfaces::start(*raw->loop_, [raw](const InterfaceEvent& event) { raw->on_event(event); });
  if (!interfaces) return std::move(interfaces).error();
  raw->interfaces_ = *std::move(interfaces);
  auto frames = FrameSocket::open();
  if (!frames) return std::move(frames).error();
  raw->keeper_.emplace(*raw->interfaces_,
                       [raw](Level level, std::string line) { raw->log(level, std::move(line)); });
  raw->announcer_.emplace(
      *raw->interfaces_, *std::move(frames),
      [raw](InstanceId id, const base::IpAddress& address, const Interface& interface, int error) {
        const auto found = raw->instances_.find(id);
        if (found == raw->instances_.end()) return;
        Instance& instance = found->second;
        const bool told = error == std::exchange(instance.announce_error[interface.name], error);
        ++(error == 0 ? instance.announcements : instance.announce_errors);
        if (error != 0 && !told) {
          raw->log(Level::warn, fmt::format("({}) announcing {} on {}: {}", instance.work.config.name,
                                            address.to_string(), interface.name, std::strerror(error)));
        }
      });
  auto watched =
      raw->loop_->add(boxes.from_main.wake().fd(), EPOLLIN, [raw](std::uint32_t) { raw->take_from_main(); });
  if (watched) {
    watched = raw->loop_->add(boxes.orders.fd(), EPOLLIN, [raw](std::uint32_t) {
      raw->boxes_.orders.clear();
      raw->settle();
    });
  }
  if (!watched) return std::move(watched).error();
  return self;
}

void KernelSide::run() {
  loop_->run();
}

void KernelSide::take_from_main() {
  boxes_.from_main.wake().clear();
  while (auto message = boxes_.from_main.take()) {
    std::visit([this](auto& m) { on(m); }, *message);
  }
}

void KernelSide::on(KernelWork& message) {
  const Time now = std::chrono::steady_clock::now();
  std::set<InstanceId> kept;
  for (KernelInstance& work : message.instances) {
    kept.insert(work.id);
    const auto [at, fresh] = instances_.try_emplace(work.id);
    Instance& instance = at->second;
    if (fresh) {
      instance.seen = work.orders->view();
      // Its peers wait so long for our adverts. What is new by a reload has nothing of an earlier process.
      const Duration patience = work.config.down_timer_adverts * work.config.advert_int;
      instance.left_over_until = now + (has_worked_ ? Duration::zero() : patience);
    }
    // Another source address, or another destination, means another socket.
    if (!fresh && (instance.work.config.source != work.config.source ||
                   instance.work.config.vmac_xmit_base != work.config.vmac_xmit_base)) {
      instance.sender_index = 0;
    }
    instance.work = std::move(work);
    instance.vmac_configured = 0;  // its addresses may be of other families
    tell_keeper(instance);
  }
  std::erase_if(instances_, [&](const auto& entry) {
    if (kept.contains(entry.first)) return false;
    keeper_->forget(entry.first);
    return true;
  });
  for (auto at = listeners_.begin(); at != listeners_.end();) {
    if (message.listeners.contains(at->first)) {
      ++at;
      continue;
    }
    to_speaker_.put(ListenerSocket{at->first, at->second.spec.family, base::Fd()});
    at = listeners_.erase(at);
  }
  for (auto& [id, spec] : message.listeners) listeners_[id].spec = std::move(spec);
  std::erase_if(tracked_, [&](const auto& entry) { return !message.tracked.contains(entry.first); });
  for (const std::string& name : message.tracked) tracked_.try_emplace(name);
  has_worked_ = true;
  remove_unwanted_macvlans();
  settle();
}

/// Also because the kernel lets no two macvlans of one MAC address be up on an interface.
void KernelSide::remove_unwanted_macvlans() {
  std::erase_if(macvlans_, [this](const std::string& name) {
    const bool wanted = std::ranges::any_of(instances_, [&](const auto& entry) {
      const config::VrrpInstance& instance = entry.second.work.config;
      return instance.use_vmac && instance.vmac_interface == name;
    });
    if (wanted) return false;
    if (const Interface* macvlan = interfaces_->by_name(name)) (void)interfaces_->remove_link(*macvlan);
    return true;
  });
}

void KernelSide::on(FillKernelStatus&) {
  KernelStatus status;
  for (const auto& [id, instance] : instances_) {
    KernelInstanceStatus& out = status.instances[id];
    if (instance.source) out.source = instance.source->to_string();
    for (const auto* list : {&instance.work.config.addresses, &instance.work.config.addresses_excluded}) {
      for (const config::VrrpAddress& address : *list) out.addresses.push_back(address.to_string());
    }
    if (instance.holds) out.missing = keeper_->missing(id);
    out.repaired = keeper_->repaired(id);
    out.announcements = instance.announcements;
    out.announce_errors = instance.announce_errors;
  }
  to_main_.put(std::move(status));
}

void KernelSide::on(Finish&) {
  finishing_ = true;
  settle();
}

bool KernelSide::of_interest(const std::string& interface) const {
  if (tracked_.contains(interface)) return true;
  return std::ranges::any_of(instances_, [&](const auto& entry) {
    const config::VrrpInstance& wanted = entry.second.work.config;
    const auto on_it = [&](const config::VrrpAddress& a) { return a.interface == interface; };
    return wanted.interface == interface || (wanted.use_vmac && wanted.vmac_interface == interface) ||
           std::ranges::any_of(wanted.addresses, on_it) ||
           std::ranges::any_of(wanted.addresses_excluded, on_it);
  });
}

bool KernelSide::places_on(const Instance& instance, const std::string& interface) {
  const config::VrrpInstance& wanted = instance.work.config;
  return std::ranges::any_of(
      std::array{&wanted.addresses, &wanted.addresses_excluded}, [&](const auto* list) {
        return std::ranges::any_of(placed_addresses(wanted, *list),
                                   [&](const auto& address) { return address.interface == interface; });
      });
}

void KernelSide::on_event(const InterfaceEvent& event) {
  using Kind = InterfaceEvent::Kind;
  changed_ = true;
  const std::string& name = event.interface.name;
  if (event.kind == Kind::address_removed) keeper_->lost(name, event.address.address);
  if (event.kind == Kind::changed && event.interface.usable()) {
    const bool back = !event.before.usable();
    // With the link, whoever is at its other end may have changed; with a small MTU, IPv6 and its groups go.
    if (back || event.interface.mtu != event.before.mtu) {
      for (auto& [id, listener] : listeners_) listener.rejoin |= listener.index == event.interface.index;
    }
    for (auto& [id, instance] : instances_) {
      instance.new_mac |= event.interface.mac != event.before.mac && places_on(instance, name);
    }
  }
  if (event.kind == Kind::deleted) {
    // Another interface may get the same number; the old one's sockets are dead all the same.
    for (auto& [id, listener] : listeners_) {
      if (listener.index == event.interface.index) listener.index = kDead;
    }
    for (auto& [id, instance] : instances_) {
      if (instance.sender_index == event.interface.index) instance.sender_index = kDead;
    }
  }
  // After this event, and all that came with it.
  loop_->cancel(timer_);
  timer_ = loop_->after(std::chrono::milliseconds::zero(), [this] { settle(); });
  if (!of_interest(name)) return;
  const bool usable = event.interface.usable();
  switch (event.kind) {
    case Kind::added: log(Level::info, fmt::format("Interface {} added", name)); break;
    case Kind::deleted: log(Level::info, fmt::format("Interface {} deleted", name)); break;
    case Kind::changed:
      if (usable != event.before.usable())
        log(Level::info, fmt::format("Netlink reports {} {}", name, usable ? "up" : "down"));
      break;
    case Kind::address_added:
    case Kind::address_removed: {
      const std::string address = event.address.address.to_string();
      const bool added = event.kind == Kind::address_added;
      if (!keeper_->knows(event.address.address)) {
        log(Level::info, fmt::format("{} address {} {} interface {}", added ? "Assigned" : "Deassigned",
                                     address, added ? "for" : "from", name));
      } else if (!added) {
        log(Level::info, fmt::format("Netlink reflector reports IP {} removed from {}", address, name));
      }
      break;
    }
  }
}

void KernelSide::settle() {
  loop_->cancel(timer_);
  std::optional<Time> next;
  for (int round = 0; round < kRounds; ++round) {
    changed_ = false;
    next.reset();
    settle_once(std::chrono::steady_clock::now(), next);
    if (!changed_) break;
  }
  const Time now = std::chrono::steady_clock::now();
  if (changed_) sooner(next, now);
  if (finishing_ && keeper_->settled()) {
    finishing_ = false;
    instances_.clear();  // nothing is wanted any more, whatever the kernel will say of what goes now
    listeners_.clear();
    for (const std::string& name : std::exchange(macvlans_, {})) {
      if (const Interface* macvlan = interfaces_->by_name(name)) (void)interfaces_->remove_link(*macvlan);
    }
    to_main_.put(KernelDone{});
  }
  const bool to_speaker = to_speaker_.flush();
  const bool to_main = to_main_.flush();
  if (!to_speaker || !to_main) sooner(next, now + kFlush);
  wake_at(next);
}

void KernelSide::wake_at(std::optional<Time> next) {
  loop_->cancel(timer_);
  timer_ = base::EventLoop::TimerId::none;
  if (!next) return;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - std::chrono::steady_clock::now());
  timer_ = loop_->after(std::max(wait, std::chrono::milliseconds::zero()), [this] { settle(); });
}

void KernelSide::tell_keeper(const Instance& instance) {
  const config::VrrpInstance& wanted = instance.work.config;
  std::vector<config::VrrpAddress> addresses = wanted.addresses;
  addresses.insert(addresses.end(), wanted.addresses_excluded.begin(), wanted.addresses_excluded.end());
  keeper_->set(instance.work.id, wanted.name, placed_addresses(wanted, std::move(addresses)),
               wanted.priority == kPriorityOwner);
}

/// The interface on whose network `address` is, by the host's own addresses, else by those that the instance
/// brings along (a gateway that moves, on a segment without any other). Empty: nobody knows.
std::string KernelSide::network_of(const config::VrrpInstance& wanted, const base::IpAddress& address) const {
  const Interface* const found = interfaces_->on_network_of(
      address, [this](const base::IpAddress& own) { return !keeper_->knows(own); });
  if (found != nullptr)
    return wanted.use_vmac && found->name == wanted.interface ? wanted.vmac_interface : found->name;
  const config::VrrpAddress* best = nullptr;
  for (const auto* list : {&wanted.addresses, &wanted.addresses_excluded}) {
    for (const config::VrrpAddress& other : *list) {
      if (other.implied || !other.prefix.contains(address)) continue;
      if (best == nullptr || other.prefix.length > best->prefix.length) best = &other;
    }
  }
  return best == nullptr ? std::string() : best->interface;
}

/// Servers answer a local address on the network that it is of: with two arms, not the VIP's.
void KernelSide::place_implied(Instance& instance) {
  config::VrrpInstance& wanted = instance.work.config;
  bool moved = false;
  for (config::VrrpAddress& address : wanted.addresses_excluded) {
    if (!address.implied) continue;
    const std::string place = network_of(wanted, address.prefix.address);
    if (!place.empty()) moved |= std::exchange(address.interface, place) != place;
  }
  if (moved) tell_keeper(instance);
}

void KernelSide::settle_once(Time now, std::optional<Time>& next) {
  for (auto& [id, instance] : instances_) place_implied(instance);
  read_orders(now, next);
  for (auto& [id, instance] : instances_) {
    if (instance.work.config.use_vmac) settle_vmac(instance, now, next);
    keeper_->withhold(id, find_trouble(instance, now).has_value());
  }
  for (const AddressKeeper::Added& added : keeper_->settle(now, next)) {
    const auto found = instances_.find(added.instance);
    if (found == instances_.end()) continue;
    announce(found->second, added.address, added.index, found->second.work.config.announce.repeat);
  }
  announcer_->step(now, next);
  for (auto& [id, listener] : listeners_) settle_listener(id, listener, now, next);
  for (auto& [id, instance] : instances_) judge(instance, now, next);
  tell_tracked();
}

void KernelSide::read_orders(Time now, std::optional<Time>& next) {
  for (auto& [id, instance] : instances_) {
    const Orders::View view = instance.work.orders->view();
    const Orders::View seen = std::exchange(instance.seen, view);
    if (!view.decided) {
      // Whoever judges takes too long: by now another router may have the addresses.
      if (instance.left_over_until <= now) {
        keeper_->hold(id, false);
      } else {
        sooner(next, instance.left_over_until);
      }
      continue;
    }
    keeper_->hold(id, view.hold);
    const bool new_mac = std::exchange(instance.new_mac, false);
    if (std::exchange(instance.holds, view.hold) != view.hold) {
      log_order(instance,
                fmt::format("({}) {} VIPs.", instance.work.config.name, view.hold ? "setting" : "removing"));
    }
    if (!view.hold) continue;
    const config::VrrpAnnounce& how = instance.work.config.announce;
    std::uint16_t repeat = 0;
    if (view.refresh != seen.refresh) repeat = std::max(repeat, how.refresh_repeat);
    if (view.lower_priority != seen.lower_priority)
      repeat = std::max(repeat, how.lower_prio_repeat.value_or(how.repeat));
    if (view.full != seen.full || new_mac) {
      burst(instance, std::max(repeat, how.repeat));
    } else if (repeat != 0 && instance.repeat_not_before > now) {
      instance.seen = seen;  // it stays ordered
      sooner(next, instance.repeat_not_before);
    } else if (repeat != 0) {
      repeat_burst(instance, repeat, now);
    }
  }
}

void KernelSide::repeat_burst(Instance& instance, std::uint16_t repeat, Time now) {
  instance.repeat_not_before = now + kRepeatPause;
  ++instance.repeats;
  const bool tell = instance.repeat_told == Time{} || now - instance.repeat_told >= kTellPause;
  if (tell) instance.repeat_told = now;
  burst(instance, repeat, tell ? std::exchange(instance.repeats, 0) : 0);
}

/// All that is there; what is yet to be added is announced when it is. `told`: for so many bursts the log
/// tells of this one.
void KernelSide::burst(Instance& instance, std::uint16_t repeat, std::uint64_t told) {
  const config::VrrpInstance& wanted = instance.work.config;
  for (const auto* list : {&wanted.addresses, &wanted.addresses_excluded}) {
    for (const config::VrrpAddress& address : placed_addresses(wanted, *list)) {
      const Interface* interface = interfaces_->by_name(address.interface);
      if (interface == nullptr || !interfaces_->has(interface->index, address.prefix.address)) continue;
      announce(instance, address.prefix.address, interface->index, repeat, told);
    }
  }
}

void KernelSide::announce(Instance& instance, const base::IpAddress& address, std::uint32_t index,
                          std::uint16_t repeat, std::uint64_t told) {
  const config::VrrpInstance& wanted = instance.work.config;
  if (told != 0) {
    const Interface* interface = interfaces_->by_index(index);
    log_order(instance,
              fmt::format("({}) Sending/queueing {} on {} for {}{}", wanted.name,
                          address.is_v4() ? "gratuitous ARPs" : "unsolicited Neighbour Adverts",
                          interface != nullptr ? interface->name : "?", address.to_string(),
                          told > 1 ? fmt::format(" ({} bursts since the last such line)", told) : ""));
  }
  announcer_->announce({instance.work.id, address, index, repeat, wanted.announce.interval});
}

void KernelSide::tell_tracked() {
  for (auto& [name, told] : tracked_) {
    const Interface* interface = interfaces_->by_name(name);
    TrackedInterface state{.name = name, .exists = interface != nullptr};
    if (interface != nullptr) {
      state.up = interface->up;
      state.running = interface->running;
    }
    if (told && told->exists == state.exists && told->up == state.up && told->running == state.running)
      continue;
    told = state;
    to_main_.put(std::move(state));
  }
}

void KernelSide::log(Level level, std::string line) {
  log(KernelLine{level, std::move(line)});
}

void KernelSide::log_order(const Instance& instance, std::string line) {
  log(KernelLine{Level::info, std::move(line), KernelLine::Order{instance.work.id, instance.holds}});
}

void KernelSide::log(KernelLine line) {
  if (to_main_.waiting() >= kMostLines) {
    ++lines_lost_;
    return;
  }
  if (const std::uint64_t lost = std::exchange(lines_lost_, 0); lost != 0)
    to_main_.put(KernelLine{Level::warn, fmt::format("{} lines of the kernel side were lost", lost)});
  to_main_.put(std::move(line));
}

}  // namespace sluice::vrrp
