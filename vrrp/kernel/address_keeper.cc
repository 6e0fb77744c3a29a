#include "vrrp/kernel/address_keeper.h"

#include <algorithm>

#include <fmt/format.h>

namespace sluice::vrrp {
namespace {

constexpr std::chrono::seconds kPause{1};
/// Failed attempts in a row until the address counts as refused, and for how long.
constexpr unsigned kMostRefusals = 3;
constexpr std::chrono::seconds kRefusedFirst{5};
constexpr std::chrono::seconds kRefusedMost{300};

}  // namespace

void AddressKeeper::set(InstanceId instance, const std::string& name,
                        const std::vector<config::VrrpAddress>& addresses, bool owner) {
  holders_[instance].name = name;
  for (auto& [key, place] : places_) place.listed.erase(instance);
  for (const config::VrrpAddress& address : addresses) {
    Place& place = places_[{address.interface, address.prefix.address}];
    if (place.prefix_length != 0 && place.prefix_length != address.prefix.length) {
      place.outdated_length = place.prefix_length;
      place.refusals = 0;
    }
    place.prefix_length = address.prefix.length;
    place.listed.insert(instance);
    place.owned = owner;
  }
}

void AddressKeeper::forget(InstanceId instance) {
  for (auto& [key, place] : places_) place.listed.erase(instance);
  holders_.erase(instance);
}

void AddressKeeper::hold(InstanceId instance, bool held) {
  Holder& holder = holders_[instance];
  holder.decided = true;
  holder.held = held;
}

void AddressKeeper::lost(const std::string& interface, const base::IpAddress& address) {
  const auto found = places_.find({interface, address});
  if (found == places_.end() || found->second.leaving || !holder_of(found->second)) return;
  found->second.lost = true;
}

std::optional<InstanceId> AddressKeeper::holder_of(const Place& place) const {
  for (const InstanceId id : place.listed) {
    const auto holder = holders_.find(id);
    if (holder != holders_.end() && holder->second.held) return id;
  }
  return std::nullopt;
}

/// Someone may yet want it: at the start a left-over address stays until the speaker has judged, within
/// limits.
bool AddressKeeper::undecided(const Place& place) const {
  return std::ranges::any_of(place.listed, [&](InstanceId id) {
    const auto holder = holders_.find(id);
    return holder != holders_.end() && !holder->second.decided;
  });
}

void AddressKeeper::fail(Place& place, const base::Error& error) {
  if (place.failure == error.message) return;
  place.failure = error.message;
  log_(base::log::Level::error, error.message + "; it is tried again each second");
}

void AddressKeeper::refuse(Place& place, const base::Error& error, Time now) {
  place.not_before = now + kPause;
  fail(place, error);
  if (++place.refusals < kMostRefusals) return;
  place.refused_for = std::clamp(2 * place.refused_for, kRefusedFirst, kRefusedMost);
  place.refused_until = now + place.refused_for;
}

bool AddressKeeper::given_by_others(std::uint32_t index, const base::IpAddress& address) const {
  const auto& addresses = interfaces_.addresses(index);
  const auto there = addresses.find(address);
  return there != addresses.end() && there->second.lifetime > lifetime_;
}

/// It was the host's before it was made an owner of it.
bool AddressKeeper::is_hosts_own(const Interface& interface, const Key& key, const Place& place) const {
  return place.owned && given_by_others(interface.index, key.second);
}

/// An interface that has been renamed does not keep the address, unless it is to have it under its new name,
/// too.
void AddressKeeper::leave_renamed(const Key& key, Place& place) {
  const Interface* const was = place.index == 0 ? nullptr : interfaces_.by_index(place.index);
  if (was == nullptr || was->name == key.first || !interfaces_.has(was->index, key.second)) return;
  const auto other = places_.find({was->name, key.second});
  if (other != places_.end() && !other->second.listed.empty()) return;
  if (is_hosts_own(*was, key, place)) return;
  const Interface interface = *was;
  if (const auto removed = interfaces_.remove_address(interface, key.second); !removed)
    fail(place, removed.error());
  interfaces_.drain();
  place.index = 0;
}

/// It is there with the length of its network that a reload has changed. Any other length is none of ours: an
/// owner's address may be the host's own.
bool AddressKeeper::outdated(const Key& key, const Place& place) const {
  if (!place.outdated_length || place.outdated_length == place.prefix_length) return false;
  const Interface* const found = interfaces_.by_name(key.first);
  if (found == nullptr) return false;
  const auto& addresses = interfaces_.addresses(found->index);
  const auto there = addresses.find(key.second);
  return there != addresses.end() && there->second.prefix_length == place.outdated_length;
}

void AddressKeeper::remove_unwanted(Time now, std::optional<Time>& next) {
  for (auto at = places_.begin(); at != places_.end();) {
    auto& [key, place] = *at;
    leave_renamed(key, place);
    const Interface* const found = interfaces_.by_name(key.first);
    const bool there =
        found != nullptr && interfaces_.has(found->index, key.second) && !is_hosts_own(*found, key, place);
    const bool held = holder_of(place).has_value();
    if ((held && !outdated(key, place)) || (!held && undecided(place))) {
      ++at;
    } else if (!there) {
      place.lost = false;
      at = place.listed.empty() ? places_.erase(at) : std::next(at);
    } else if (place.remove_not_before > now) {
      sooner(next, place.remove_not_before);
      ++at;
    } else {
      const Interface interface = *found;  // events may change the mirror meanwhile
      place.leaving = true;
      const auto removed = interfaces_.remove_address(interface, key.second);
      interfaces_.drain();
      place.leaving = false;
      if (removed) {
        place.failure.clear();
      } else {
        fail(place, removed.error());
      }
      if (interfaces_.has(interface.index, key.second)) {
        place.remove_not_before = now + kPause;
        sooner(next, place.remove_not_before);
      }
      ++at;
    }
  }
}

void AddressKeeper::renew(const Key& key, Place& place, Time now, std::optional<Time>& next) {
  if (given_by_others(place.index, key.second)) return;
  if (place.renew_at <= now) {
    const Interface interface = *interfaces_.by_index(place.index);  // events may change the mirror meanwhile
    const std::uint8_t length = interfaces_.addresses(place.index).at(key.second).prefix_length;
    const auto done = interfaces_.add_address(interface, {key.second, length}, lifetime_);
    if (done) {
      place.failure.clear();
    } else {
      fail(place, done.error());
    }
    place.renew_at = now + (done ? renewal_ : kPause);
  }
  sooner(next, place.renew_at);
}

std::vector<AddressKeeper::Added> AddressKeeper::settle(Time now, std::optional<Time>& next) {
  remove_unwanted(now, next);
  std::vector<Added> added;
  for (auto& [key, place] : places_) {
    const auto holder = holder_of(place);
    const Interface* const found = interfaces_.by_name(key.first);
    if (found == nullptr) place.refusals = 0;  // another one, under its name, may take it
    if (place.refusals >= kMostRefusals && place.refused_until > now) sooner(next, place.refused_until);
    if (!holder || found == nullptr || holders_[*holder].withheld) continue;
    if (!found->up) {  // the kernel itself takes IPv6 addresses away from it; its holder will hear of it
      place.lost = false;
      continue;
    }
    if (interfaces_.has(found->index, key.second)) {
      place.lost = false;  // whoever took it away has put it back
      place.index = found->index;
      renew(key, place, now, next);
      continue;
    }
    if (place.not_before > now) {
      sooner(next, place.not_before);
      continue;
    }
    const Interface interface = *found;
    const bool repair = std::exchange(place.lost, false);
    const auto done = interfaces_.add_address(interface, {key.second, place.prefix_length}, lifetime_);
    if (!done) {
      place.lost = repair;
      refuse(place, done.error(), now);
      sooner(next, place.not_before);
      continue;
    }
    place.failure.clear();
    place.refusals = 0;
    place.refused_for = {};
    place.index = interface.index;
    place.outdated_length.reset();
    place.renew_at = now + renewal_;
    sooner(next, place.renew_at);
    if (repair) {
      place.not_before = now + kPause;
      Holder& who = holders_[*holder];
      ++who.repaired;
      log_(base::log::Level::warn,
           fmt::format("({}) {}/{} was taken away from {} by someone else; it is put back", who.name,
                       key.second.to_string(), place.prefix_length, key.first));
    }
    added.push_back({*holder, key.second, interface.index, repair});
  }
  if (!added.empty()) interfaces_.drain();
  return added;
}

bool AddressKeeper::knows(const base::IpAddress& address) const noexcept {
  return std::ranges::any_of(places_, [&](const auto& entry) { return entry.first.second == address; });
}

std::optional<std::string> AddressKeeper::refused(InstanceId instance, Time now) const {
  for (const auto& [key, place] : places_) {
    if (place.refusals >= kMostRefusals && place.refused_until > now && place.listed.contains(instance))
      return place.failure;
  }
  return std::nullopt;
}

std::vector<std::string> AddressKeeper::missing(InstanceId instance) const {
  std::vector<std::string> out;
  for (const auto& [key, place] : places_) {
    if (!place.listed.contains(instance)) continue;
    const Interface* const found = interfaces_.by_name(key.first);
    if (found != nullptr && interfaces_.has(found->index, key.second)) continue;
    out.push_back(fmt::format("{}/{} dev {}", key.second.to_string(), place.prefix_length, key.first));
  }
  return out;
}

std::uint64_t AddressKeeper::repaired(InstanceId instance) const {
  const auto holder = holders_.find(instance);
  return holder == holders_.end() ? 0 : holder->second.repaired;
}

bool AddressKeeper::settled() const {
  return std::ranges::none_of(places_, [&](const auto& entry) {
    const auto& [key, place] = entry;
    if (holder_of(place)) return false;
    const Interface* const found = interfaces_.by_name(key.first);
    return found != nullptr && interfaces_.has(found->index, key.second) && !is_hosts_own(*found, key, place);
  });
}

}  // namespace sluice::vrrp
