#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <fmt/format.h>

#include "vrrp/kernel/advert_socket.h"
#include "vrrp/kernel/macvlan.h"
#include "vrrp/kernel_side.h"

/// The part of the kernel side that sees what instances stand on (macvlan, sockets, source address), and what
/// is in their way.
namespace sluice::vrrp {
namespace {

using base::log::Level;

constexpr std::chrono::seconds kRetry{1};

bool same(const std::optional<config::VrrpTrouble>& a, const std::optional<config::VrrpTrouble>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || (a->tracker == b->tracker && a->reason == b->reason);
}

config::VrrpTrouble trouble(std::string tracker, std::string reason) {
  return {std::move(tracker), std::move(reason), 0};
}

}  // namespace

void KernelSide::settle_vmac(Instance& instance, Time now, std::optional<Time>& next) {
  const config::VrrpInstance& wanted = instance.work.config;
  const Interface* base_link = interfaces_->by_name(wanted.interface);
  if (base_link == nullptr || !base_link->up || instance.vmac_retry > now) {
    if (base_link != nullptr && instance.vmac_retry > now) sooner(next, instance.vmac_retry);
    return;
  }
  const std::uint32_t configured = instance.vmac_configured;
  const auto outcome = ensure_macvlan(*interfaces_, wanted, Interface(*base_link), instance.vmac_configured);
  const Interface* const macvlan = interfaces_->by_name(wanted.vmac_interface);
  if (macvlan != nullptr && macvlan->kind == "macvlan" && macvlan->mac == vmac_of(wanted))
    macvlans_.insert(wanted.vmac_interface);
  if (!outcome) {
    if (std::exchange(instance.vmac_failure, outcome.error().message) != outcome.error().message)
      log(Level::error, fmt::format("({}) {}", wanted.name, outcome.error().message));
    instance.vmac_retry = now + kRetry;
    sooner(next, instance.vmac_retry);
    return;
  }
  instance.vmac_failure.clear();
  if (*outcome) {
    log(Level::info, fmt::format("({}) made interface {} with {} on {}", wanted.name, wanted.vmac_interface,
                                 vmac_of(wanted).to_string(), wanted.interface));
  }
  if (instance.vmac_configured != configured && wanted.family == base::Family::v4 &&
      drops_what_comes_back_elsewhere(wanted.vmac_interface)) {
    log(Level::warn,
        fmt::format("({}) net.ipv4.conf.all.rp_filter is 1: the kernel drops packets to addresses of {}, "
                    "unless it has a route back by it; 2 lets them pass",
                    wanted.name, wanted.vmac_interface));
  }
}

void KernelSide::settle_listener(ListenerId id, Listener& listener, Time now, std::optional<Time>& next) {
  const Interface* interface = interfaces_->by_name(listener.spec.interface);
  const std::uint32_t index = interface == nullptr ? 0 : interface->index;
  if (listener.index == index && listener.failure.empty() && std::exchange(listener.rejoin, false)) {
    if (auto joined = rejoin_group(listener.fd.get(), *interface, listener.spec.family); !joined)
      fail(listener, joined.error(), now);
  }
  if (listener.index == index && listener.failure.empty()) return;
  if (index == 0) {
    listener.index = 0;
    listener.failure.clear();
    listener.fd.reset();
    to_speaker_.put(ListenerSocket{id, listener.spec.family, base::Fd()});
    return;
  }
  if (!listener.failure.empty() && listener.retry > now) {
    sooner(next, listener.retry);
    return;
  }
  listener.index = index;
  auto fd = open_listener(*interface, listener.spec.family);
  if (fd) listener.fd.reset(::fcntl(fd->get(), F_DUPFD_CLOEXEC, 0));
  if (!fd || !listener.fd) {
    fail(listener, fd ? base::system_error("adverts on " + interface->name, errno) : fd.error(), now);
    sooner(next, listener.retry);
    return;
  }
  listener.failure.clear();
  listener.rejoin = false;
  to_speaker_.put(ListenerSocket{id, listener.spec.family, *std::move(fd)});
}

void KernelSide::fail(Listener& listener, const base::Error& error, Time now) {
  listener.retry = now + kRetry;
  if (std::exchange(listener.failure, error.message) != error.message) log(Level::error, error.message);
}

std::optional<config::VrrpTrouble> KernelSide::find_trouble(const Instance& instance, Time now) const {
  const config::VrrpInstance& wanted = instance.work.config;
  std::vector<std::string> names{wanted.interface};
  if (wanted.use_vmac) names.push_back(wanted.vmac_interface);
  for (const std::string& name : names) {
    if (name == wanted.vmac_interface && !instance.vmac_failure.empty())
      return trouble("interface", instance.vmac_failure);
    const Interface* interface = interfaces_->by_name(name);
    if (interface == nullptr) {
      return trouble("interface", fmt::format("interface {} does not exist", name));
    }
    if (!interface->up) return trouble("interface", fmt::format("interface {} is down", name));
    if (!interface->running) return trouble("link", fmt::format("interface {} has no link", name));
  }
  for (const auto* list : {&wanted.addresses, &wanted.addresses_excluded}) {
    for (const config::VrrpAddress& address : *list) {
      const Interface* interface = interfaces_->by_name(address.interface);
      if (interface != nullptr && interface->up && interface->running) continue;
      const std::string of =
          fmt::format("interface {} of {} ", address.interface, address.prefix.to_string());
      if (interface == nullptr) return trouble("interface", of + "does not exist");
      if (!interface->up) return trouble("interface", of + "is down");
      return trouble("link", of + "has no link");
    }
  }
  if (auto refused = keeper_->refused(instance.work.id, now)) return trouble("address", *std::move(refused));
  const auto listener = listeners_.find(instance.work.listener);
  if (listener != listeners_.end() && !listener->second.failure.empty())
    return trouble("socket", listener->second.failure);
  if (choose_source(instance, *interfaces_->by_name(wanted.interface))) return std::nullopt;
  if (wanted.source)
    return trouble("address", fmt::format("source address {} is not there", wanted.source->to_string()));
  return trouble("address", fmt::format("interface {} has no {} address to send from", wanted.interface,
                                        wanted.family == base::Family::v4 ? "IPv4" : "link-local IPv6"));
}

/// The configured one, if the host has it; else the one in use, as long as it is there; else the interface's
/// first of the family (IPv6: link-local, RFC 9568 §5.1.2.1) that does not come and go with an instance: a
/// virtual one only if the instance is its owner, and the host has it anyway.
std::optional<base::IpAddress> KernelSide::choose_source(const Instance& instance,
                                                         const Interface& interface) const {
  const config::VrrpInstance& wanted = instance.work.config;
  if (wanted.source) return interfaces_->has(*wanted.source) ? wanted.source : std::nullopt;
  const auto& addresses = interfaces_->addresses(interface.index);
  const auto own = [&](const base::IpAddress& address) {
    const auto same = [&](const config::VrrpAddress& a) { return a.prefix.address == address; };
    return wanted.priority == kPriorityOwner && keeper_->given_by_others(interface.index, address) &&
           (std::ranges::any_of(wanted.addresses, same) ||
            std::ranges::any_of(wanted.addresses_excluded, same));
  };
  const auto fit = [&](const base::IpAddress& address, const InterfaceAddress& details) {
    if (address.family() != wanted.family || !details.usable()) return false;
    if (keeper_->knows(address) && !own(address)) return false;
    return address.is_v4() || address.v6().is_link_local();
  };
  if (instance.source) {
    const auto current = addresses.find(*instance.source);
    if (current != addresses.end() && fit(current->first, current->second)) return instance.source;
  }
  const std::pair<const base::IpAddress, InterfaceAddress>* best = nullptr;
  for (const auto& entry : addresses) {
    if (!fit(entry.first, entry.second)) continue;
    const auto rank = [](const auto& e) { return std::pair(e.second.second_choice(), e.second.order); };
    if (best == nullptr || rank(entry) < rank(*best)) best = &entry;
  }
  if (best == nullptr) return std::nullopt;
  return best->first;
}

void KernelSide::judge(Instance& instance, Time now, std::optional<Time>& next) {
  const config::VrrpInstance& wanted = instance.work.config;
  auto found = find_trouble(instance, now);
  Footing footing;
  footing.id = instance.work.id;
  if (!found) {
    // Copies: events may change the mirror meanwhile.
    const Interface base_link = *interfaces_->by_name(wanted.interface);
    const Interface out =
        wanted.use_vmac && !wanted.vmac_xmit_base ? *interfaces_->by_name(wanted.vmac_interface) : base_link;
    const auto source = choose_source(instance, base_link);
    if (instance.sender_index != out.index || instance.source != source) {
      if (instance.sender_retry > now) {
        sooner(next, instance.sender_retry);
        found = instance.trouble;
      } else if (auto fd = open_sender(out, *source)) {
        instance.sender_index = out.index;
        instance.source = source;
        footing.new_sender = true;
        footing.sender = *std::move(fd);
        footing.source = *source;
        footing.index = out.index;
      } else {
        found = trouble("socket", fd.error().message);
        instance.sender_retry = now + kRetry;
        sooner(next, instance.sender_retry);
      }
    }
  }
  const bool changed = !same(found, instance.trouble);
  if (instance.told && !changed && !footing.new_sender) return;
  // main first, so that it knows the reason of what the speaker will say.
  if (changed || !instance.told) to_main_.put(KernelTrouble{instance.work.id, found});
  footing.faulty = found.has_value();
  if (found) {
    instance.link_was_away |= found->tracker == "link" || found->tracker == "interface";
  } else {
    footing.link_came_up = std::exchange(instance.link_was_away, false);
  }
  instance.trouble = std::move(found);
  instance.told = true;
  to_speaker_.put(std::move(footing));
}

}  // namespace sluice::vrrp
