#include "cp/health_log.h"

#include <fmt/format.h>

namespace sluice::cp {
namespace {

using Kind = StateChange::Kind;

std::string event_of(const StateChange& change) {
  const std::string_view up = change.operation == Operation::stopped ? "DOWN" : "UP";
  switch (change.kind) {
    case Kind::went_down: return "is DOWN";
    case Kind::stopping: return "is stopping";
    case Kind::came_up: return "is UP";
    case Kind::was_down_enters_maintenance: return "was DOWN and now enters maintenance";
    case Kind::enters_maintenance: return "is going DOWN for maintenance";
    case Kind::leaves_maintenance:
      return fmt::format("is {}/{} (leaving forced maintenance)", up, change.drained ? "DRAIN" : "READY");
    case Kind::enters_drain: return "enters drain state";
    case Kind::leaves_drain: return fmt::format("is {} (leaving forced drain)", up);
    case Kind::remains_in_drain: return "remains in forced drain mode";
  }
  return {};
}

/// Whether the line goes on with the servers that are left, or online.
bool counts_servers(Kind kind) {
  switch (kind) {
    case Kind::went_down:
    case Kind::stopping:
    case Kind::came_up:
    case Kind::enters_maintenance:
    case Kind::enters_drain: return true;
    case Kind::was_down_enters_maintenance:
    case Kind::leaves_maintenance:
    case Kind::leaves_drain:
    case Kind::remains_in_drain: return false;
  }
  return false;
}

Urgency urgency_of(const StateChange& change) {
  const bool down = change.kind == Kind::went_down || change.kind == Kind::enters_maintenance;
  return down && !change.was_stopping ? Urgency::alert : Urgency::notice;
}

}  // namespace

std::string LogLine::complete(const std::optional<Load>& load) const {
  if (ending == Ending::none || !load) return text;
  if (ending == Ending::left) {
    return fmt::format("{} {} sessions active, {} requeued, {} remaining in queue.", text, load->sessions,
                       load->requeued, load->queued);
  }
  return fmt::format("{} {} sessions requeued, {} total in queue.", text, load->requeued, load->queued);
}

LogLine line_of(const StateChange& change, std::string_view service, const config::Server& server,
                Usable usable) {
  LogLine line;
  line.urgency = urgency_of(change);
  line.service = service;
  line.server = server.name;
  line.text = fmt::format("{}Server {}/{} {}", server.backup ? "Backup " : "", service, server.name,
                          event_of(change));
  if (change.result) line.text += ", " + describe(*change.result);
  if (!change.words.empty()) line.text += ", " + change.words;
  line.text += '.';
  if (!counts_servers(change.kind)) return line;
  const bool left = change.operation == Operation::stopped;
  line.ending = left ? LogLine::Ending::left : LogLine::Ending::online;
  line.text += fmt::format(" {} active and {} backup servers {}.", usable.active, usable.backup,
                           left ? "left" : "online");
  if (usable.backup > 0 && usable.active == 0) line.text += " Running on backup.";
  return line;
}

LogLine no_server_line(std::string_view service) {
  LogLine line;
  line.urgency = Urgency::emergency;
  line.service = service;
  line.text = fmt::format("backend {} has no server available!", service);
  return line;
}

}  // namespace sluice::cp
