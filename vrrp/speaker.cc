// GCC 12 takes members of variants that are moved out of an optional for uninitialized (GCC bug 80635 and its
// kin).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "vrrp/speaker.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utility>
#include <variant>

namespace sluice::vrrp {
namespace {

using Kind = SpeakerNote::Kind;

constexpr std::size_t kPacketBytes = 1 << 16;

Time now_time() noexcept {
  return std::chrono::steady_clock::now();
}

}  // namespace

Speaker::Speaker(std::unique_ptr<base::EventLoop> loop, Boxes boxes) noexcept
    : loop_(std::move(loop)), boxes_(boxes), returns_(boxes.returns), buffer_(kPacketBytes) {}

Speaker::~Speaker() = default;

base::Result<std::unique_ptr<Speaker>> Speaker::create(Boxes boxes) {
  auto loop = base::EventLoop::create();
  if (!loop) return std::move(loop).error();
  std::unique_ptr<Speaker> self(new Speaker(*std::move(loop), boxes));
  auto* const raw = self.get();
  auto watched =
      raw->loop_->add(boxes.from_main.wake().fd(), EPOLLIN, [raw](std::uint32_t) { raw->take_from_main(); });
  if (watched) {
    watched = raw->loop_->add(boxes.from_kernel.wake().fd(), EPOLLIN,
                              [raw](std::uint32_t) { raw->take_from_kernel(); });
  }
  if (!watched) return std::move(watched).error();
  return self;
}

void Speaker::run() {
  loop_->run();
}

void Speaker::take_from_main() {
  boxes_.from_main.wake().clear();
  (void)returns_.flush();
  while (auto message = boxes_.from_main.take()) {
    std::visit([this](auto& m) { on(m); }, *message);
  }
}

void Speaker::take_from_kernel() {
  // What the kernel side says of an instance follows main's Adopt of it: so that one comes first, whichever
  // box was looked at first.
  take_from_main();
  boxes_.from_kernel.wake().clear();
  while (auto message = boxes_.from_kernel.take()) {
    std::visit([this](auto& m) { on(m); }, *message);
  }
}

Speaker::Instance* Speaker::find(InstanceId id) noexcept {
  const auto found = instances_.find(id);
  return found == instances_.end() ? nullptr : found->second.get();
}

// --- instances come, change and go -------------------------------------------------------------------------

void Speaker::on(Adopt& message) {
  Instance& instance = *message.instance;
  instances_[instance.id] = std::move(message.instance);
  // main has made the timer; without memory for one more watch the instance stays in state init.
  (void)loop_->add(instance.timer.get(), EPOLLIN, [this, &instance](std::uint32_t) { on_timer(instance); });
  attach(instance);
}

void Speaker::on(Change& message) {
  Instance* const instance = find(message.id);
  if (instance != nullptr) {
    detach(*instance);
    std::swap(instance->settings, message.settings);
    attach(*instance);
    instance->ready_priority = -1;
    aim(*instance);
    step(*instance, Reconfigure{instance->settings->parameters}, now_time(), nullptr);  // Regroup follows
  }
  returns_.put(Changed{std::move(message.settings)});
}

void Speaker::on(Dismiss& message) {
  Instance* const instance = find(message.id);
  if (instance == nullptr) return;
  handle(*instance, Stop{}, now_time());
  detach(*instance);
  loop_->remove(instance->timer.get());
  auto node = instances_.extract(message.id);
  returns_.put(Dismissed{std::move(node.mapped())});
}

void Speaker::on(Regroup&) {
  const Time now = now_time();
  std::erase_if(groups_, [](const auto& entry) { return entry.second.members.empty(); });
  for (const auto& [id, group] : groups_) follow_group(group, now);
}

void Speaker::on(StopAll&) {
  const Time now = now_time();
  stopping_ = true;
  for (const auto& [id, instance] : instances_) {
    handle(*instance, Stop{}, now);
    instance->orders
        ->decided();  // also of one that never began: what is left over on its interface goes, too
  }
  boxes_.kernel.ring();
  returns_.put(AllStopped{});
}

void Speaker::attach(Instance& instance) {
  listeners_[instance.settings->listener].instances.push_back(&instance);
  if (!instance.settings->group) return;
  Group& group = groups_[*instance.settings->group];
  group.members.push_back(&instance);
  group.routers.push_back(&instance.router);
}

void Speaker::detach(Instance& instance) noexcept {
  const auto found = listeners_.find(instance.settings->listener);
  if (found != listeners_.end()) std::erase(found->second.instances, &instance);
  if (!instance.settings->group) return;
  const auto group = groups_.find(*instance.settings->group);
  if (group == groups_.end()) return;
  std::erase(group->second.members, &instance);
  std::erase(group->second.routers, &instance.router);
}

// --- verdicts ----------------------------------------------------------------------------------------------

void Speaker::on(TrackerVerdict& message) {
  Instance* const instance = find(message.id);
  if (instance == nullptr) return;
  const Time now = now_time();
  if (message.priority != instance->router.effective_priority()) {
    handle(*instance, PriorityChanged{message.priority}, now);
  }
  instance->tracker_faulty = message.faulty;
  judge(*instance, false, now);
}

void Speaker::on(OperatorSays& message) {
  Instance* const instance = find(message.id);
  if (instance == nullptr) return;
  handle(*instance, message.yield ? Event{Yield{}} : Event{Resume{}}, now_time());
}

void Speaker::on(Footing& message) {
  Instance* const instance = find(message.id);
  if (instance == nullptr) return;
  if (message.new_sender) {
    instance->sender = std::move(message.sender);
    instance->index = message.index;
    instance->status.source = message.source;
    instance->status.has_source = static_cast<bool>(instance->sender);
    instance->ready_priority = -1;
    aim(*instance);
  }
  instance->kernel_faulty = message.faulty;
  judge(*instance, message.link_came_up, now_time());
}

/// Starts the machine once both verdicts are known; tells it of faults from then on.
void Speaker::judge(Instance& instance, bool link_came_up, Time now) {
  if (stopping_ || !instance.kernel_faulty || !instance.tracker_faulty) return;
  const bool faulty = *instance.kernel_faulty || *instance.tracker_faulty;
  if (instance.router.state() == State::init) {
    instance.told_faulty = faulty;
    handle(instance, Start{faulty}, now);
  } else if (faulty != instance.told_faulty || link_came_up) {
    instance.told_faulty = faulty;
    handle(instance, FaultChanged{faulty, link_came_up}, now);
  }
}

/// Makes the kernel's form of the destinations for the interface in use.
void Speaker::aim(Instance& instance) noexcept {
  const auto& destinations = instance.settings->destinations;
  instance.targets.resize(destinations.size());  // not between a timer and its advert
  for (std::size_t i = 0; i < destinations.size(); ++i) {
    instance.targets[i] = socket_address(destinations[i], instance.index);
  }
}

// --- time --------------------------------------------------------------------------------------------------

void Speaker::on_timer(Instance& instance) {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const auto taken = ::read(instance.timer.get(), &expirations, sizeof expirations);
  instance.armed.reset();
  const Time now = now_time();
  const auto due = instance.router.deadline();
  if (!due || *due > now) {
    arm(instance);
    return;
  }
  const Duration late = now - *due;
  const Duration interval = instance.settings->parameters.advert_int;
  // In time: the advert goes out before anything else is looked at.
  const bool in_time = instance.router.state() == State::master && late < interval;
  if (!in_time) {
    const auto listener = listeners_.find(instance.settings->listener);
    if (listener != listeners_.end()) receive(listener->second, kPacketsWhenLate);
  }
  if (instance.router.deadline() == due) handle(instance, Timeout{}, now);
  arm(instance);
  instance.status.late = late;
  instance.status.late_max = std::max(instance.status.late_max, late);
  if (late < interval) return;
  if (const auto repeated = worth_a_note(instance, Kind::late, now))
    note({.kind = Kind::late, .id = instance.id, .duration = late, .repeated = repeated});
}

void Speaker::arm(Instance& instance) noexcept {
  const auto due = instance.router.deadline();
  if (due == instance.armed) return;
  itimerspec when{};
  if (due) {
    // An absolute time of zero would disarm it.
    const auto ns = std::max<std::int64_t>(1, std::chrono::nanoseconds(due->time_since_epoch()).count());
    when.it_value.tv_sec = ns / 1'000'000'000;
    when.it_value.tv_nsec = ns % 1'000'000'000;
  }
  // Fails only for values that are none of ours.
  (void)::timerfd_settime(instance.timer.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  instance.armed = due;
}

// --- the machine -------------------------------------------------------------------------------------------

void Speaker::handle(Instance& instance, const Event& event, Time now, const base::IpAddress* peer) {
  step(instance, event, now, peer);
  if (!instance.settings->group) return;
  const auto found = groups_.find(*instance.settings->group);
  if (found != groups_.end()) follow_group(found->second, now);
}

void Speaker::follow_group(const Group& group, Time now) {
  follow(group.routers, [&](std::size_t member, const GroupBecame& news) {
    step(*group.members[member], news, now, nullptr);
  });
}

void Speaker::step(Instance& instance, const Event& event, Time now, const base::IpAddress* peer) {
  const std::uint8_t priority = instance.router.effective_priority();
  const Effects effects = instance.router.handle(event, now);
  perform(instance, effects, now, peer);
  if (instance.router.effective_priority() != priority) instance.ready_priority = -1;
  arm(instance);
  if (instance.ready_priority < 0) encode_ready(instance);
}

void Speaker::perform(Instance& instance, const Effects& effects, Time now, const base::IpAddress* peer) {
  InstanceStatus& status = instance.status;
  const VirtualRouter& router = instance.router;
  const auto heard = [&](Kind kind, std::uint8_t theirs) {
    const auto repeated = worth_a_note(instance, kind, now);
    if (repeated == 0) return;
    note({.kind = kind,
          .id = instance.id,
          .state = router.state(),
          .theirs = theirs,
          .ours = router.effective_priority(),
          .peer = peer != nullptr ? *peer : base::IpAddress{},
          .duration = router.master_advert_int(),
          .repeated = repeated});
  };
  bool ordered = false;
  for (const Effect& effect : effects.all()) {
    switch (effect.kind) {
      case Effect::Kind::send_advert:
        send(instance, effect.priority, now);
        if (effect.priority == kPriorityStop) {
          ++status.zero_sent;
          note({.kind = Kind::sent_stop, .id = instance.id});
        }
        break;
      case Effect::Kind::take_addresses:
      case Effect::Kind::release_addresses:
        instance.orders->hold(effect.kind == Effect::Kind::take_addresses);
        // Who must not answer any more does not even wait for the adverts that follow.
        boxes_.kernel.ring();
        break;
      case Effect::Kind::announce:
        instance.orders->announce(effect.burst);
        ordered = true;
        break;
      case Effect::Kind::tell_state:
        instance.orders->decided();
        ordered = true;
        if (effect.from != router.state()) {
          status.became_master += router.state() == State::master ? 1 : 0;
          status.became_backup += router.state() == State::backup ? 1 : 0;
          status.became_fault += router.state() == State::fault ? 1 : 0;
          if (router.state() == State::master) status.master.reset();
        }
        note({.kind = Kind::state,
              .id = instance.id,
              .from = effect.from,
              .state = router.state(),
              .reason = router.reason(),
              .ours = router.effective_priority(),
              .duration = router.master_down()});
        break;
      case Effect::Kind::tell_lower_priority: heard(Kind::lower_priority, effect.priority); break;
      case Effect::Kind::tell_higher_priority: heard(Kind::higher_priority, effect.priority); break;
      case Effect::Kind::tell_priority_zero: heard(Kind::priority_zero, kPriorityStop); break;
      case Effect::Kind::tell_interval: heard(Kind::interval, 0); break;
      case Effect::Kind::tell_preempt_delay: heard(Kind::preempt_delay, effect.priority); break;
    }
  }
  if (ordered) boxes_.kernel.ring();
}

void Speaker::encode_ready(Instance& instance) noexcept {
  const SpeakerSettings& settings = *instance.settings;
  if (settings.destinations.empty()) return;
  const auto interval = std::chrono::duration_cast<Centis>(settings.parameters.advert_int);
  const auto written = encode({.format = settings.format,
                               .vrid = settings.vrid,
                               .priority = instance.router.effective_priority(),
                               .max_advert = interval,
                               .checksum = settings.checksum,
                               .source = instance.status.source,
                               .destination = settings.destinations.front(),
                               .addresses = settings.addresses},
                              instance.ready);
  instance.ready_size = written.size();
  instance.ready_priority = instance.router.effective_priority();
}

void Speaker::send(Instance& instance, std::uint8_t priority, Time now) noexcept {
  if (!instance.sender) return;  // the interface is gone: there is nobody to tell
  const SpeakerSettings& settings = *instance.settings;
  // The checksum of a unicast advert over version 3 covers its destination.
  const bool each_its_own = settings.format.version == 3 && settings.destinations.size() > 1;
  std::array<std::byte, kMaxAdvertBytes> other;
  for (std::size_t i = 0; i < instance.targets.size(); ++i) {
    std::span<const std::byte> advert(instance.ready.data(), instance.ready_size);
    if (instance.ready_priority != priority || (each_its_own && i > 0)) {
      advert = encode({.format = settings.format,
                       .vrid = settings.vrid,
                       .priority = priority,
                       .max_advert = std::chrono::duration_cast<Centis>(settings.parameters.advert_int),
                       .checksum = settings.checksum,
                       .source = instance.status.source,
                       .destination = settings.destinations[i],
                       .addresses = settings.addresses},
                      other);
    }
    const int error = send_advert(instance.sender.get(), instance.targets[i], advert);
    if (error == 0) continue;
    ++instance.status.send_errors;
    ++instance.errors_held;
    if (error == instance.last_error && now - instance.error_noted < kNotePause) continue;
    instance.last_error = error;
    instance.error_noted = now;
    note({.kind = Kind::send_error,
          .id = instance.id,
          .error = error,
          .peer = settings.destinations[i],
          .repeated = std::exchange(instance.errors_held, 0)});
  }
  ++instance.status.sent;
}

// --- main --------------------------------------------------------------------------------------------------

void Speaker::on(FillStatus& message) {
  SpeakerStatus& out = *message.status;
  out.count = 0;
  out.unknown_vrid = unknown_vrid_;
  out.notes_lost = notes_lost_;
  for (const auto& [id, instance] : instances_) {
    if (out.count == out.instances.size()) break;
    InstanceStatus& status = out.instances[out.count++];
    const VirtualRouter& router = instance->router;
    status = instance->status;
    status.state = router.state();
    status.reason = router.reason();
    status.since = router.since();
    status.yielded = router.yielded();
    status.effective_priority = router.effective_priority();
    status.master_advert_int = router.master_advert_int();
    status.master_down = router.master_down();
    if (router.state() == State::master) status.master.reset();
  }
  returns_.put(StatusFilled{std::move(message.status)});
}

std::uint64_t Speaker::worth_a_note(Instance& instance, SpeakerNote::Kind kind, Time now) noexcept {
  auto& pace = instance.paces[static_cast<std::size_t>(kind)];
  ++pace.held;
  if (now - pace.since >= kNotePause) {
    pace.since = now;
    pace.said = 0;
  }
  if (pace.said == kNotesPerPause) return 0;
  ++pace.said;
  return std::exchange(pace.held, 0);
}

void Speaker::note(const SpeakerNote& note) noexcept {
  SpeakerNote copy = note;
  if (!boxes_.notes.put(std::move(copy))) ++notes_lost_;
}

}  // namespace sluice::vrrp
