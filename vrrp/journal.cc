#include "vrrp/journal.h"

#include <chrono>
#include <cstring>

#include <fmt/format.h>

namespace sluice::vrrp {
namespace {

using base::log::Level;
using Kind = SpeakerNote::Kind;

std::int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

void state_lines(const SpeakerNote& note, const std::string& name, const std::string& fault,
                 std::vector<JournalLine>& out) {
  const bool changed = note.from != note.state;
  if (changed) {
    if (note.state == State::master && note.reason == Reason::master_silent)
      out.push_back({Level::info, fmt::format("({}) Receive advertisement timeout", name)});
    if (note.state == State::init) {
      out.push_back({Level::info, fmt::format("({}) stopped", name)});
    } else {
      out.push_back({note.state == State::fault ? Level::warn : Level::info,
                     fmt::format("({}) Entering {} STATE{}", name, state_name(note.state),
                                 note.from == State::init ? " (init)" : "")});
    }
  }
  if (note.state == State::init) return;
  out.push_back(
      {Level::info, fmt::format("({}) is {}{}: {}", name, changed ? "" : "still ", state_name(note.state),
                                reason_text(note.reason, note.duration, fault))});
}

}  // namespace

std::string_view state_name(State state) noexcept {
  switch (state) {
    case State::init: return "INIT";
    case State::fault: return "FAULT";
    case State::backup: return "BACKUP";
    case State::master: return "MASTER";
  }
  return "?";
}

std::string duration_text(Duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  if (us < 1'000) return fmt::format("{} us", us);
  if (us < 1'000'000) return fmt::format("{} ms", us / 1'000);
  return fmt::format("{:.3f} s", static_cast<double>(us) / 1e6);
}

std::string reason_text(Reason reason, Duration master_down, const std::string& fault) {
  switch (reason) {
    case Reason::started: return "started";
    case Reason::startup_delay: return "waits for startup_delay to pass";
    case Reason::owner: return "owns the addresses (priority 255)";
    case Reason::master_silent: return fmt::format("no advert for {}", duration_text(master_down));
    case Reason::master_stopped: return "the master stopped (priority 0)";
    case Reason::higher_priority: return "another router has a higher priority";
    case Reason::equal_priority: return "another router has the same priority and a higher address";
    case Reason::tracker: return fault.empty() ? "something that it needs is missing" : fault;
    case Reason::recovered: return "what was missing is there again";
    case Reason::yielded: return "yielded by an operator";
    case Reason::resumed: return "resumed by an operator";
    case Reason::group: return "follows its sync group";
    case Reason::stopped: return "stopped";
  }
  return "?";
}

std::vector<JournalLine> lines_of(const SpeakerNote& note, const config::VrrpInstance& instance,
                                  const std::string& fault) {
  const std::string& name = instance.name;
  const std::string peer = note.peer.to_string();
  const bool master = note.state == State::master;
  const std::string again = note.repeated > 1
                                ? fmt::format(" ({} of them since the last such line)", note.repeated)
                                : std::string();
  std::vector<JournalLine> out;
  switch (note.kind) {
    case Kind::state: state_lines(note, name, fault, out); break;
    case Kind::sent_stop: out.push_back({Level::info, fmt::format("({}) sent 0 priority", name)}); break;
    case Kind::lower_priority:
      out.push_back(
          {Level::info,
           master ? fmt::format(
                        "({}) Received advert from {} with lower priority {}, ours {}, forcing new election",
                        name, peer, note.theirs, note.ours)
                  : fmt::format("({}) received lower priority ({}) advert from {} - discarding", name,
                                note.theirs, peer)});
      break;
    case Kind::higher_priority:
      out.push_back({Level::info,
                     note.theirs == note.ours
                         ? fmt::format("({}) Master received advert from {} with same priority {} but higher "
                                       "IP address than ours",
                                       name, peer, note.theirs)
                         : fmt::format("({}) Master received advert from {} with higher priority {}, ours {}",
                                       name, peer, note.theirs, note.ours)});
      break;
    case Kind::priority_zero:
      out.push_back({Level::info, fmt::format("({}) {} received priority 0 advertisement", name,
                                              master ? "Master" : "Backup")});
      break;
    case Kind::interval:
      out.push_back({Level::info,
                     fmt::format("({}) advertisement interval changed: mine={} milli-sec, rcvd={} milli-sec",
                                 name, instance.advert_int.count(), milliseconds(note.duration))});
      break;
    case Kind::preempt_delay:
      out.push_back(
          {Level::info, fmt::format("({}) a master with priority {} is left alone for {} (preempt_delay)",
                                    name, note.theirs, duration_text(instance.preempt_delay))});
      break;
    case Kind::other_addresses:
      out.push_back(
          {Level::warn, fmt::format("({}) {} advertises other addresses than are configured here: give both "
                                    "routers the same ones",
                                    name, peer)});
      break;
    case Kind::refused:
      out.push_back(
          {Level::warn, fmt::format("({}) dropped advert from {}: {}", name, peer, describe(note.refusal))});
      break;
    case Kind::send_error:
      out.push_back({Level::warn, fmt::format("({}): send advert error {} ({}) to {}", name, note.error,
                                              std::strerror(note.error), peer)});
      break;
    case Kind::late:
      out.push_back(
          {Level::warn, fmt::format("({}) a timer was served {} late: this host is too busy, or was stopped",
                                    name, duration_text(note.duration))});
      break;
  }
  if (!out.empty()) out.back().text += again;
  return out;
}

}  // namespace sluice::vrrp
