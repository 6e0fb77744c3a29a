#include "vrrp/notify.h"

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
  const auto commands = commands_of(instance, state, priority);
  if (commands.empty()) return;
  Queue& queue = queues_[instance.name];
  for (const auto& command : commands) {
    if (queue.waiting.size() >= kMostWaiting) {
      base::log::warn("({}) the commands of notify take too long: one is left out", instance.name);
      queue.waiting.pop_front();
    }
    queue.waiting.push_back(command);
  }
  if (!queue.running) next(instance.name);
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
