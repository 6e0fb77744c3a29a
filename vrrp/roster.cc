#include "vrrp/roster.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/timerfd.h>
#include <utility>

#include "base/log.h"
#include "vrrp/kernel/macvlan.h"

namespace sluice::vrrp {
namespace {

bool same_router(const config::VrrpInstance& a, const config::VrrpInstance& b) {
  return a.name == b.name && a.interface == b.interface && a.virtual_router_id == b.virtual_router_id &&
         a.version == b.version && a.family == b.family && a.use_vmac == b.use_vmac &&
         a.vmac_interface == b.vmac_interface;
}

AuthData auth_of(const std::string& password) {
  AuthData data{};
  std::memcpy(data.data(), password.data(), std::min(password.size(), data.size()));
  return data;
}

std::vector<base::IpAddress> advertised(const config::VrrpInstance& instance) {
  std::vector<base::IpAddress> out;
  for (const config::VrrpAddress& address : instance.addresses) out.push_back(address.prefix.address);
  return out;
}

}  // namespace

Parameters parameters_of(const config::VrrpInstance& instance) {
  const config::VrrpAnnounce& announce = instance.announce;
  return {.version = static_cast<std::uint8_t>(instance.version),
          .priority = instance.priority,
          .start_as_master = instance.start == config::VrrpStart::master,
          .advert_int = instance.advert_int,
          .down_timer_adverts = instance.down_timer_adverts,
          .preempt = instance.preempt,
          .preempt_delay = instance.preempt_delay,
          .startup_delay = instance.startup_delay,
          .lower_prio_no_advert = instance.lower_prio_no_advert,
          .higher_prio_send_advert = instance.higher_prio_send_advert,
          .announce_delay = announce.delay,
          .announce_refresh = announce.refresh,
          .lower_prio_announce_delay = announce.lower_prio_delay.value_or(announce.delay),
          .in_group = !instance.sync_group.empty()};
}

std::unique_ptr<SpeakerSettings> Roster::settings_of(const config::VrrpInstance& instance) {
  auto settings = std::make_unique<SpeakerSettings>();
  settings->parameters = parameters_of(instance);
  settings->format = {.version = settings->parameters.version,
                      .family = instance.family,
                      .authenticated = !instance.auth_pass.empty(),
                      .auth = auth_of(instance.auth_pass)};
  settings->vrid = instance.virtual_router_id;
  settings->checksum = instance.v3_checksum_as_v2 ? ChecksumStyle::plain : ChecksumStyle::pseudo_header;
  settings->addresses = advertised(instance);
  settings->destinations = instance.unicast_peer;
  if (settings->destinations.empty()) settings->destinations.push_back(vrrp_group(instance.family));
  settings->accept =
      accept_rules(settings->parameters.version, std::chrono::duration_cast<Centis>(instance.advert_int),
                   advertised(instance), instance.unicast_peer, instance.check_unicast_src);
  settings->listener = listener_of(instance);
  settings->group = group_of(instance);
  return settings;
}

ListenerId Roster::listener_of(const config::VrrpInstance& instance) {
  const auto [at, fresh] = listeners_.try_emplace({instance.interface, instance.family});
  if (fresh) at->second = ListenerId{++last_listener_};
  return at->second;
}

std::optional<std::uint32_t> Roster::group_of(const config::VrrpInstance& instance) {
  if (instance.sync_group.empty()) return std::nullopt;
  return groups_.try_emplace(instance.sync_group, static_cast<std::uint32_t>(groups_.size())).first->second;
}

base::Result<Roster::Plan> Roster::replace(const std::vector<config::VrrpInstance>& wanted) {
  Plan plan;
  std::vector<std::unique_ptr<Member>> next;
  std::vector<Member*> kept;
  for (const config::VrrpInstance& instance : wanted) {
    const auto same = std::ranges::find_if(
        members_, [&](const auto& member) { return same_router(member->config, instance); });
    auto member = std::make_unique<Member>();
    if (same != members_.end()) {
      kept.push_back(same->get());
      *member = **same;
      if (member->config != instance) {
        plan.to_speaker.emplace_back(Change{member->id, settings_of(instance)});
        member->judged = false;  // priority and trackers may be others
      }
    } else {
      member->id = InstanceId{++last_instance_};
      member->orders = std::make_shared<Orders>();
      auto made = std::make_unique<SpeakerInstance>(member->id, settings_of(instance), member->orders,
                                                    std::chrono::steady_clock::now());
      made->timer = base::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
      if (!made->timer) return base::system_error("vrrp instance \"" + instance.name + "\": timer", errno);
      plan.to_speaker.emplace_back(Adopt{std::move(made)});
      if (yielded_.contains(instance.name)) {
        member->yielded = true;
        plan.to_speaker.emplace_back(OperatorSays{member->id, true});
      }
    }
    member->config = instance;
    member->listener = listener_of(instance);
    next.push_back(std::move(member));
  }
  std::vector<ToSpeaker> dismissals;
  for (auto& member : members_) {
    if (std::ranges::find(kept, member.get()) != kept.end()) continue;
    dismissals.emplace_back(Dismiss{member->id});
    plan.gone.push_back(std::move(member));
  }
  plan.to_speaker.insert(plan.to_speaker.begin(), std::move_iterator(dismissals.begin()),
                         std::move_iterator(dismissals.end()));
  if (!plan.to_speaker.empty() && !groups_.empty()) plan.to_speaker.emplace_back(Regroup{});
  members_ = std::move(next);
  std::erase_if(yielded_, [this](const std::string& name) { return find(name) == nullptr; });
  for (const auto& member : members_) {
    plan.to_kernel.instances.push_back({member->id, member->listener, member->config, member->orders});
    plan.to_kernel.listeners[member->listener] = {member->config.interface, member->config.family};
    for (const auto& tracked : member->config.track_interface)
      plan.to_kernel.tracked.insert(tracked.interface);
  }
  return plan;
}

ToSpeaker Roster::yield(Member& member, bool yielded) {
  member.yielded = yielded;
  if (yielded) {
    yielded_.insert(member.config.name);
  } else {
    yielded_.erase(member.config.name);
  }
  return OperatorSays{member.id, yielded};
}

std::string told_of(const Roster::Plan& plan) {
  const auto count = [&plan](auto is_one) {
    return static_cast<std::size_t>(std::ranges::count_if(plan.to_speaker, is_one));
  };
  const auto changed = count([](const ToSpeaker& m) { return std::holds_alternative<Change>(m); });
  const auto fresh = count([](const ToSpeaker& m) { return std::holds_alternative<Adopt>(m); });
  std::string told;
  const auto tell = [&told](std::size_t number, std::string_view what) {
    if (number == 0) return;
    told += (told.empty() ? "VRRP instances: " : ", ") + std::to_string(number) + " " + std::string(what);
  };
  tell(changed, "changed");
  tell(fresh, "new");
  tell(plan.gone.size(), "stopped");
  return told;
}

Member* Roster::find(InstanceId id) noexcept {
  const auto found = std::ranges::find_if(members_, [id](const auto& member) { return member->id == id; });
  return found == members_.end() ? nullptr : found->get();
}

Member* Roster::find(std::string_view name) noexcept {
  const auto found =
      std::ranges::find_if(members_, [name](const auto& member) { return member->config.name == name; });
  return found == members_.end() ? nullptr : found->get();
}

}  // namespace sluice::vrrp
