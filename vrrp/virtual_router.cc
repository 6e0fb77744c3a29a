#include "vrrp/virtual_router.h"

#include <algorithm>
#include <cassert>

namespace sluice::vrrp {
namespace {

using Kind = Effect::Kind;

/// The least interval that is believed: a master that announces less would have its backups take over at
/// once.
constexpr Duration kLeastInterval = std::chrono::milliseconds(10);

/// Answers keep this distance from the advert before them (or an eighth of the interval, if that is less):
/// two masters of which neither gives way must not answer each other's answers as fast as they can.
constexpr Duration kAnswerDistance = std::chrono::milliseconds(10);

constexpr std::uint8_t clamp_priority(int priority) noexcept {
  return static_cast<std::uint8_t>(std::clamp(priority, 1, kPriorityOwner - 1));
}

bool due(const std::optional<Time>& timer, Time now) noexcept {
  return timer && *timer <= now;
}

std::optional<Time> after(Duration delay, Time now) noexcept {
  return delay > Duration::zero() ? std::optional(now + delay) : std::nullopt;
}

}  // namespace

Duration skew_time(std::uint8_t version, std::uint8_t priority, Duration master_advert_int) noexcept {
  const Duration whole = version == 2 ? std::chrono::seconds(1) : master_advert_int;
  return whole * (256 - priority) / 256;
}

Duration master_down_interval(std::uint8_t version, std::uint8_t priority, Duration master_advert_int,
                              std::uint8_t adverts) noexcept {
  return adverts * master_advert_int + skew_time(version, priority, master_advert_int);
}

void Effects::push(Effect effect) noexcept {
  assert(size_ < kMax);
  effects_[size_++] = effect;
}

VirtualRouter::VirtualRouter(const Parameters& parameters, Time now) noexcept
    : since_(now),
      effective_(parameters.priority),
      master_advert_(parameters.advert_int),
      parameters_(parameters) {}

Effects VirtualRouter::handle(const Event& event, Time now) noexcept {
  Effects effects;
  std::visit([&](const auto& e) { on(e, now, effects); }, event);
  return effects;
}

std::optional<Time> VirtualRouter::deadline() const noexcept {
  std::optional<Time> first;
  for (const auto& timer :
       {advert_timer_, master_down_timer_, startup_timer_, second_burst_timer_, refresh_timer_}) {
    if (timer && (!first || *timer < *first)) first = timer;
  }
  return first;
}

Duration VirtualRouter::master_down() const noexcept {
  return master_down_interval(parameters_.version, effective_, master_advert_,
                              parameters_.down_timer_adverts);
}

void VirtualRouter::clear_timers() noexcept {
  advert_timer_ = master_down_timer_ = startup_timer_ = second_burst_timer_ = refresh_timer_ = std::nullopt;
  preempt_from_ = std::nullopt;
  last_sent_ = last_lower_burst_ = std::nullopt;
  wants_master_ = hears_master_ = false;
}

void VirtualRouter::become(State state, Reason reason, Time now, Effects& effects) noexcept {
  const State from = state_;
  if (state != from) since_ = now;
  state_ = state;
  reason_ = reason;
  effects.push({.kind = Kind::tell_state, .priority = effective_, .from = from});
}

/// As a backup, or from a fault: what is left of startup_delay comes first.
void VirtualRouter::become_backup(Reason reason, Time now, Effects& effects) noexcept {
  clear_timers();
  master_advert_ = parameters_.advert_int;
  if (startup_until_ && *startup_until_ > now) startup_timer_ = startup_until_;
  if (yielded_) {
    become(State::backup, Reason::yielded, now, effects);
  } else if (startup_timer_) {
    become(State::backup, Reason::startup_delay, now, effects);
  } else {
    contend(reason, now, effects);
  }
}

/// Begins to wait for the master's silence; who owns the addresses does not wait (RFC 9568 §6.4.1).
void VirtualRouter::contend(Reason reason, Time now, Effects& effects) noexcept {
  const bool at_once = owner() && parameters_.start_as_master;
  if (at_once && !parameters_.in_group) {
    become_master(Reason::owner, now, effects);
    return;
  }
  become(State::backup, reason, now, effects);
  claim_ = Reason::master_silent;
  if (at_once) {
    claim(Reason::owner, now, effects);
  } else {
    master_down_timer_ = now + master_down();
  }
}

/// Nobody stands in the way any more but, perhaps, the sync group.
void VirtualRouter::claim(Reason reason, Time now, Effects& effects) noexcept {
  if (parameters_.in_group) {
    master_down_timer_ = std::nullopt;
    wants_master_ = true;
    hears_master_ = false;
    claim_ = reason;
  } else {
    become_master(reason, now, effects);
  }
}

void VirtualRouter::become_master(Reason reason, Time now, Effects& effects) noexcept {
  clear_timers();
  master_advert_ = parameters_.advert_int;
  send_advert(now, effects);
  effects.push({.kind = Kind::take_addresses});
  effects.push({.kind = Kind::announce, .burst = Effect::Burst::full});
  set_second_burst(Effect::Burst::full, parameters_.announce_delay, now);
  refresh_timer_ = after(parameters_.announce_refresh, now);
  become(State::master, reason, now, effects);
}

/// Of a master that ceases to be one of its own accord: the others need not wait for its silence.
void VirtualRouter::give_up(Effects& effects) noexcept {
  if (state_ != State::master) return;
  effects.push({.kind = Kind::release_addresses});
  effects.push({.kind = Kind::send_advert, .priority = kPriorityStop});
}

void VirtualRouter::become_fault(Reason reason, Time now, Effects& effects) noexcept {
  give_up(effects);
  clear_timers();
  become(State::fault, reason, now, effects);
}

void VirtualRouter::send_advert(Time now, Effects& effects) noexcept {
  effects.push({.kind = Kind::send_advert, .priority = effective_});
  advert_timer_ = now + parameters_.advert_int;
  last_sent_ = now;
}

/// Sends at once, or as soon as the last advert is kAnswerDistance ago.
void VirtualRouter::answer(Time now, Effects& effects) noexcept {
  const Time earliest = *last_sent_ + std::min(kAnswerDistance, parameters_.advert_int / 8);
  if (now >= earliest) {
    send_advert(now, effects);
  } else {
    advert_timer_ = std::min(*advert_timer_, earliest);
  }
}

/// RFC 9568 §6.4.2: a backup goes by the interval that the master announces. Version 2 has but one.
void VirtualRouter::adopt_interval(Duration interval, Effects& effects) noexcept {
  if (parameters_.version == 2) return;
  interval = std::max(interval, kLeastInterval);
  if (interval == master_advert_) return;
  master_advert_ = interval;
  if (interval != parameters_.advert_int) effects.push({.kind = Kind::tell_interval});
}

/// One that stands already is not put off, so that a stream of adverts cannot keep it from coming.
void VirtualRouter::set_second_burst(Effect::Burst burst, Duration delay, Time now) noexcept {
  if (second_burst_timer_) return;
  second_burst_ = burst;
  second_burst_timer_ = after(delay, now);
}

void VirtualRouter::on(const Start& event, Time now, Effects& effects) noexcept {
  if (state_ != State::init) return;
  faulty_ = event.faulty;
  startup_until_ = after(parameters_.startup_delay, now);
  if (faulty_ || group_faulty_) {
    become_fault(faulty_ ? Reason::tracker : Reason::group, now, effects);
  } else {
    become_backup(Reason::started, now, effects);
  }
}

void VirtualRouter::on(const AdvertReceived& event, Time now, Effects& effects) noexcept {
  switch (state_) {
    case State::init:
    case State::fault: return;
    case State::backup: return backup_received(event, now, effects);
    case State::master: return master_received(event, now, effects);
  }
}

/// RFC 9568 §6.4.2; RFC 3768 §6.4.2.
void VirtualRouter::backup_received(const AdvertReceived& event, Time now, Effects& effects) noexcept {
  if (yielded_ || startup_timer_) {  // it does not wait for the master's silence
    hears_master_ = event.priority != kPriorityStop;
    if (hears_master_) adopt_interval(event.advert_int, effects);
    return;
  }
  if (event.priority == kPriorityStop) {
    effects.push({.kind = Kind::tell_priority_zero});
    preempt_from_ = std::nullopt;
    hears_master_ = false;
    if (!wants_master_) {
      claim_ = Reason::master_stopped;
      master_down_timer_ = now + skew_time(parameters_.version, effective_, master_advert_);
    }
    return;
  }
  const bool preempt = parameters_.preempt || owner();
  if (event.priority >= effective_ || !preempt) {
    preempt_from_ = std::nullopt;
  } else {
    const bool delayed = parameters_.preempt_delay > Duration::zero();
    if (delayed && !preempt_from_) {
      preempt_from_ = now + parameters_.preempt_delay;
      effects.push({.kind = Kind::tell_preempt_delay, .priority = event.priority});
    }
    if (!delayed || due(preempt_from_, now)) {
      if (!wants_master_) effects.push({.kind = Kind::tell_lower_priority, .priority = event.priority});
      return;  // the Master_Down_Timer runs on
    }
  }
  adopt_interval(event.advert_int, effects);
  hears_master_ = true;
  wants_master_ = false;
  claim_ = Reason::master_silent;
  master_down_timer_ = now + master_down();
}

/// RFC 9568 §6.4.3; RFC 3768 §6.4.3.
void VirtualRouter::master_received(const AdvertReceived& event, Time now, Effects& effects) noexcept {
  if (event.priority == kPriorityStop) {
    effects.push({.kind = Kind::tell_priority_zero});
    answer(now, effects);
    return;
  }
  const bool equal = event.priority == effective_;
  if (event.priority > effective_ || (equal && event.source_is_higher)) {
    effects.push({.kind = Kind::tell_higher_priority, .priority = event.priority});
    if (parameters_.higher_prio_send_advert) send_advert(now, effects);
    effects.push({.kind = Kind::release_addresses});
    clear_timers();
    master_advert_ = parameters_.advert_int;
    become(State::backup, equal ? Reason::equal_priority : Reason::higher_priority, now, effects);
    adopt_interval(event.advert_int, effects);
    hears_master_ = true;
    claim_ = Reason::master_silent;
    master_down_timer_ = now + master_down();
    return;
  }
  effects.push({.kind = Kind::tell_lower_priority, .priority = event.priority});
  if (!parameters_.lower_prio_no_advert) answer(now, effects);
  // One burst for each round of the other's adverts, however fast they come.
  if (last_lower_burst_ && now - *last_lower_burst_ < parameters_.advert_int / 2) return;
  last_lower_burst_ = now;
  effects.push({.kind = Kind::announce, .burst = Effect::Burst::lower_priority});
  set_second_burst(Effect::Burst::lower_priority, parameters_.lower_prio_announce_delay, now);
}

void VirtualRouter::on(const Timeout&, Time now, Effects& effects) noexcept {
  if (due(startup_timer_, now)) {
    startup_timer_ = std::nullopt;
    if (state_ == State::backup && !yielded_) contend(Reason::started, now, effects);
    return;
  }
  if (due(master_down_timer_, now)) {
    claim(claim_, now, effects);
    return;
  }
  if (state_ != State::master) return;
  if (due(advert_timer_, now)) {
    const Time was_due = *advert_timer_;
    send_advert(now, effects);
    // In step with the clock, not with how late this call is.
    if (was_due + parameters_.advert_int > now) advert_timer_ = was_due + parameters_.advert_int;
    // Silent for so long that another may have become master, and told the segment so, in the meantime.
    const Duration silence = now - was_due + parameters_.advert_int;
    if (silence > parameters_.down_timer_adverts * parameters_.advert_int) {
      effects.push({.kind = Kind::announce, .burst = Effect::Burst::full});
    }
  }
  if (due(second_burst_timer_, now)) {
    second_burst_timer_ = std::nullopt;
    effects.push({.kind = Kind::announce, .burst = second_burst_});
  }
  if (due(refresh_timer_, now)) {
    refresh_timer_ = after(parameters_.announce_refresh, now);
    effects.push({.kind = Kind::announce, .burst = Effect::Burst::refresh});
  }
}

void VirtualRouter::on(const FaultChanged& event, Time now, Effects& effects) noexcept {
  faulty_ = event.faulty;
  if (state_ == State::init) return;
  if (event.link_came_up) startup_until_ = after(parameters_.startup_delay, now);
  if (faulty_) {
    if (state_ != State::fault || reason_ != Reason::tracker) become_fault(Reason::tracker, now, effects);
  } else if (state_ == State::fault) {
    if (!group_faulty_) {
      become_backup(Reason::recovered, now, effects);
    } else if (reason_ != Reason::group) {
      become_fault(Reason::group, now, effects);
    }
  }
}

void VirtualRouter::on(const PriorityChanged& event, Time, Effects&) noexcept {
  if (!owner()) effective_ = clamp_priority(event.effective);
}

void VirtualRouter::on(const Yield&, Time now, Effects& effects) noexcept {
  if (yielded_) return;
  yielded_ = true;
  if (state_ != State::backup && state_ != State::master) return;
  give_up(effects);
  const auto holds = startup_timer_;
  clear_timers();
  startup_timer_ = holds;
  become(State::backup, Reason::yielded, now, effects);
}

void VirtualRouter::on(const Resume&, Time now, Effects& effects) noexcept {
  if (!yielded_) return;
  yielded_ = false;
  if (state_ != State::backup) return;
  if (startup_timer_) {
    become(State::backup, Reason::startup_delay, now, effects);
  } else {
    contend(Reason::resumed, now, effects);
  }
}

void VirtualRouter::on(const GroupBecame& event, Time now, Effects& effects) noexcept {
  switch (event.state) {
    case State::init: return;
    case State::fault:
      group_faulty_ = true;
      if (state_ == State::backup || state_ == State::master) become_fault(Reason::group, now, effects);
      return;
    case State::backup:
      group_faulty_ = false;
      if (state_ == State::master) {
        give_up(effects);
        become_backup(Reason::group, now, effects);
      } else if (state_ == State::fault && !faulty_) {
        become_backup(Reason::recovered, now, effects);
      }
      return;
    case State::master:
      if (state_ == State::backup && !yielded_ && !startup_timer_) {
        become_master(wants_master_ ? claim_ : Reason::group, now, effects);
      }
      return;
  }
}

void VirtualRouter::on(const Stop&, Time now, Effects& effects) noexcept {
  if (state_ == State::init) return;
  give_up(effects);
  clear_timers();
  faulty_ = group_faulty_ = false;
  become(State::init, Reason::stopped, now, effects);
}

void VirtualRouter::on(const Reconfigure& event, Time now, Effects& effects) noexcept {
  const Parameters before = parameters_;
  const Duration down_before = master_down();
  parameters_ = event.parameters;
  effective_ = owner() || before.priority == kPriorityOwner
                   ? parameters_.priority
                   : clamp_priority(parameters_.priority + effective_ - before.priority);
  if (parameters_.advert_int != before.advert_int) {
    // Version 3: the master's own is not ours to change.
    if (parameters_.version == 2 || !hears_master_) master_advert_ = parameters_.advert_int;
    if (advert_timer_) advert_timer_ = std::min(*advert_timer_, now + parameters_.advert_int);
  }
  // What has passed of the wait counts: reloads in a row must not put a takeover off for ever.
  if (master_down_timer_ && claim_ != Reason::master_stopped) {
    master_down_timer_ = std::max(now, *master_down_timer_ + (master_down() - down_before));
  }
  if (parameters_.preempt_delay != before.preempt_delay) preempt_from_ = std::nullopt;
  if (state_ == State::master && parameters_.announce_refresh != before.announce_refresh) {
    refresh_timer_ = after(parameters_.announce_refresh, now);
  }
  if (parameters_.in_group) return;
  // Alone from now on: what others lack, and whether they want to, is its concern no more.
  if (group_faulty_) on(GroupBecame{State::backup}, now, effects);
  if (wants_master_) become_master(claim_, now, effects);
}

}  // namespace sluice::vrrp
