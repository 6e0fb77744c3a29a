#include "vrrp/notify.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace sluice::vrrp {
namespace {

/// States that nobody was told of before newer ones came; so many are kept.
constexpr std::size_t kMostWaiting = 64;

const std::vector<std::string>* own_command(const config::VrrpNotify& notify, State state) {
  switch (state) {
    case State::init: return &notify.stop;
    case State::fault: return &notify.fault;
    case State::backup: return &notify.backup;
    case State::master: return &notify.master;
  }
  return nullptr;
}

const char* word(State state) {
  switch (state) {
    case State::init: return "STOP";
    case State::fault: return "FAULT";
    case State::backup: return "BACKUP";
    case State::master: return "MASTER";
  }
  return "?";
}

}  // namespace

std::vector<std::vector<std::string>> Notifier::commands_of(const config::VrrpInstance& instance, State state,
                                                            std::uint8_t priority) {
  std::vector<std::vector<std::string>> out;
  if (const auto* own = own_command(instance.notify, state); own != nullptr && !own->empty())
    out.push_back(*own);
  if (!instance.notify.any.empty()) {
    out.push_back(instance.notify.any);
    out.back().insert(out.back().end(), {"INSTANCE", instance.name, word(state), std::to_string(priority)});
  }
  return out;
}

void Notifier::entered(const config::VrrpInstance& instance, State state, std::uint8_t priority) {
  line_up(instance.name, commands_of(instance, state, priority));
}

void Notifier::heard_lower_priority(const config::VrrpInstance& instance) {
  const auto& command = instance.notify.master_rx_lower_pri;
  if (command.empty()) return;
  // Whoever hears many of them must not push the states out of a queue that moves slowly.
  const auto& waiting = queues_[instance.name].waiting;
  if (std::ranges::find(waiting, command) == waiting.end()) line_up(instance.name, {command});
}

void Notifier::start_all() {
  for (auto& [instance, queue] : queues_) {
    for (const auto& command : std::exchange(queue.waiting, {})) {
      if (const auto started = commands_.start(command, kLimit, nullptr); !started)
        base::log::error("({}) notify: {}", instance, started.error().message);
    }
  }
}

void Notifier::line_up(const std::string& instance, const std::vector<std::vector<std::string>>& commands) {
  if (commands.empty()) return;
  Queue& queue = queues_[instance];
  for (const auto& command : commands) {
    if (queue.waiting.size() >= kMostWaiting) {
      base::log::warn("({}) the commands of notify take too long: one is left out", instance);
      queue.waiting.pop_front();
    }
    queue.waiting.push_back(command);
  }
  if (!queue.running) next(instance);
}

void Notifier::next(const std::string& instance) {
  Queue& queue = queues_[instance];
  queue.running = false;
  while (!queue.waiting.empty() && !queue.running) {
    const std::vector<std::string> command = std::move(queue.waiting.front());
    queue.waiting.pop_front();
    const auto started =
        commands_.start(command, kLimit, [this, instance, name = command.front()](const Commands::End& end) {
          if (!end.success()) base::log::warn("({}) notify: {} {}", instance, name, end.text(kLimit));
          next(instance);
        });
    queue.running = started.has_value();
    if (!started) base::log::error("({}) notify: {}", instance, started.error().message);
  }
}

}  // namespace sluice::vrrp
