#include "vrrp/trackers.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace sluice::vrrp {
namespace {

Tracked interface_tracker(const config::VrrpTrackInterface& wanted, const TrackedInterface& state) {
  Tracked out{.kind = TrackerKind::interface, .weight = wanted.weight, .up = state.up && state.running};
  if (!state.exists) {
    out.reason = fmt::format("tracked interface {} does not exist", wanted.interface);
  } else if (!state.up) {
    out.reason = fmt::format("tracked interface {} is down", wanted.interface);
  } else if (!state.running) {
    out.reason = fmt::format("tracked interface {} has no link", wanted.interface);
  }
  return out;
}

Tracked dataplane_tracker(const config::VrrpTrackDataplane& wanted, const DataplaneHealth& health) {
  Tracked out{.kind = TrackerKind::dataplane, .weight = wanted.weight};
  if (auto trouble = health.trouble(wanted.timeout, std::chrono::steady_clock::now())) {
    out.up = false;
    out.reason = *std::move(trouble);
  }
  return out;
}

Tracked service_tracker(const config::VrrpTrackService& wanted, const DataplaneHealth& health) {
  Tracked out{.kind = TrackerKind::service, .weight = wanted.weight};
  const std::uint32_t usable = health.usable(wanted.service).value_or(0);
  out.up = usable >= wanted.min_usable;
  if (!out.up) {
    out.reason = fmt::format("service {} has {} usable servers, fewer than {}", wanted.service, usable,
                             wanted.min_usable);
  }
  return out;
}

}  // namespace

Trackers::Trackers(base::EventLoop& loop, Commands& commands, std::string runtime_dir, Roster& roster,
                   Looked looked)
    : loop_(loop),
      commands_(commands),
      runtime_dir_(std::move(runtime_dir)),
      roster_(roster),
      looked_(std::move(looked)) {}

Trackers::~Trackers() = default;

void Trackers::look_all() {
  for (const auto& member : roster_.members()) looked_(*member);
}

void Trackers::replace() {
  std::set<ScriptKey> wanted_scripts;
  std::set<std::string> interfaces, services;
  bool dataplane = false;
  for (const auto& member : roster_.members()) {
    const config::VrrpInstance& instance = member->config;
    dataplane = dataplane || instance.track_dataplane.enabled || !instance.track_service.empty();
    for (const auto& tracked : instance.track_interface) interfaces.insert(tracked.interface);
    for (const auto& tracked : instance.track_service) services.insert(tracked.service);
    for (const auto& script : instance.track_script) {
      const ScriptKey key{instance.name, script.name};
      wanted_scripts.insert(key);
      auto& watch = scripts_[key];
      if (watch && watch->script() == script) continue;
      const auto before = std::exchange(watch, nullptr);
      watch = std::make_unique<ScriptWatch>(
          loop_, commands_, script,
          [this, name = instance.name] {
            if (Member* who = roster_.find(name)) looked_(*who);
          },
          before.get());
    }
  }
  std::erase_if(scripts_, [&](const auto& entry) { return !wanted_scripts.contains(entry.first); });
  std::erase_if(interfaces_, [&](const auto& entry) { return !interfaces.contains(entry.first); });
  if (!dataplane) {
    dataplane_.reset();
  } else if (!dataplane_) {
    dataplane_ = std::make_unique<DataplaneWatch>(loop_, runtime_dir_, [this] { look_all(); });
  }
  if (dataplane_) dataplane_->ask_for(std::move(services));
}

bool Trackers::ready(const Member& member) const {
  const config::VrrpInstance& instance = member.config;
  if ((instance.track_dataplane.enabled || !instance.track_service.empty()) &&
      (!dataplane_ ||
       !dataplane_->health().known(instance.track_dataplane.timeout, std::chrono::steady_clock::now()))) {
    return false;
  }
  return std::ranges::all_of(instance.track_interface,
                             [&](const auto& tracked) { return interfaces_.contains(tracked.interface); }) &&
         std::ranges::all_of(instance.track_script, [&](const auto& script) {
           const auto watch = scripts_.find({instance.name, script.name});
           return watch != scripts_.end() && watch->second->known();
         });
}

std::vector<Tracked> Trackers::tracked(const Member& member) const {
  const config::VrrpInstance& instance = member.config;
  std::vector<Tracked> out;
  if (dataplane_ && instance.track_dataplane.enabled)
    out.push_back(dataplane_tracker(instance.track_dataplane, dataplane_->health()));
  for (const auto& wanted : instance.track_interface) {
    const auto known = interfaces_.find(wanted.interface);
    if (known != interfaces_.end()) out.push_back(interface_tracker(wanted, known->second));
  }
  for (const auto& script : instance.track_script) {
    const auto watch = scripts_.find({instance.name, script.name});
    if (watch == scripts_.end()) continue;
    out.push_back({TrackerKind::script, script.weight, watch->second->up(), watch->second->reason()});
  }
  if (dataplane_) {
    for (const auto& wanted : instance.track_service)
      out.push_back(service_tracker(wanted, dataplane_->health()));
  }
  return out;
}

void Trackers::interface_is(const TrackedInterface& news) {
  interfaces_[news.name] = news;
  for (const auto& member : roster_.members()) {
    const auto& tracked = member->config.track_interface;
    if (std::ranges::find(tracked, news.name, &config::VrrpTrackInterface::interface) != tracked.end())
      looked_(*member);
  }
}

}  // namespace sluice::vrrp
