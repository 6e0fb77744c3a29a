#include "cp/server_state.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cp/slowstart.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using std::chrono::seconds;

bool is_dynamic(config::Balance balance) noexcept {
  switch (balance) {
    case config::Balance::roundrobin:
    case config::Balance::leastconn:
    case config::Balance::random: return true;
    case config::Balance::source:
    case config::Balance::hash:
    case config::Balance::first: return false;
  }
  return false;
}

bool has_check(const config::Server& server) noexcept {
  return server.check.type != config::CheckType::none;
}

constexpr std::string_view kByOperator = "changed from CLI";

}  // namespace

ServerState::ServerState(ServerId id, config::Server server, config::Balance balance, TimePoint now)
    : id_(id),
      server_(std::move(server)),
      dynamic_(is_dynamic(balance)),
      check_(has_check(server_), server_.check.rise, server_.check.fall, now),
      agent_(server_.agent.port != 0, 1, 1, now),
      last_change_(now) {
  if (server_.disabled) {
    maintenance_ = true;
    operation_ = Operation::stopped;
    check_.set_zero();
  }
  recalculate(now);
}

StateChanges ServerState::record_check(const CheckResult& result, TimePoint now) {
  StateChanges changes;
  if (maintenance_) return changes;
  check_.record(result, now);
  if (!result.passed()) {
    if (check_.is_zero()) stop({&result, {}}, now, changes);
    return changes;
  }
  failures_settled_ = failures_seen_;
  if (!check_.permits() || !agent_.permits()) return changes;
  if (result.status == CheckStatus::l7_conditional) {
    hold({&result, {}}, now, changes);
  } else {
    start({&result, {}}, now, changes);
  }
  return changes;
}

StateChanges ServerState::record_agent(const AgentAnswer& answer, TimePoint now) {
  StateChanges changes;
  const auto append = [&changes](StateChanges more) {
    changes.insert(changes.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  if (answer.admin) {
    switch (*answer.admin) {
      case AgentAdmin::ready: append(set_ready(now)); break;
      case AgentAdmin::drain: append(set_drain(now)); break;
      case AgentAdmin::maint: append(set_maintenance(now)); break;
    }
  }
  if (answer.weight) {
    if (answer.weight->percent) {
      set_weight_percent(answer.weight->value, now);
    } else {
      set_weight(answer.weight->value, now);
    }
  }
  if (answer.maxconn) set_maxconn(*answer.maxconn, now);
  if (!answer.health) return changes;
  agent_.record(answer.result, now);
  if (*answer.health != AgentHealth::up) {
    agent_.set_zero();
    stop({&answer.result, {}}, now, changes);
  } else {
    agent_.set_full();
    // An agent does not overrule what the operator or the health check hold back.
    if (check_.permits() && operation_ != Operation::stopping) start({&answer.result, {}}, now, changes);
  }
  return changes;
}

StateChanges ServerState::record_failures(std::uint32_t in_row, TimePoint now) {
  StateChanges changes;
  if (in_row < failures_seen_) failures_settled_ = 0;  // one was answered in between
  failures_seen_ = in_row;
  if (server_.observe == config::Observe::none || !wants_checks()) return changes;
  while (failures_seen_ - failures_settled_ >= server_.error_limit) {
    failures_settled_ += server_.error_limit;
    hurry_ = true;
    switch (server_.on_error) {
      case config::OnError::fastinter: continue;
      case config::OnError::fail_check: break;
      case config::OnError::sudden_death: check_.set_nearly_down(); break;
      case config::OnError::mark_down: check_.set_rise(); break;
    }
    CheckResult result;
    result.status = CheckStatus::health_analysis;
    result.info = fmt::format("Detected {} consecutive errors, last one was: L4 unsuccessful connection",
                              server_.error_limit);
    result.duration = -1ms;
    check_.record(result, now);
    if (check_.is_zero()) stop({&result, {}}, now, changes);
  }
  return changes;
}

StateChanges ServerState::set_ready(TimePoint now) {
  StateChanges changes;
  leave_drain(now, changes);
  leave_maintenance(now, changes);
  return changes;
}

StateChanges ServerState::set_drain(TimePoint now) {
  StateChanges changes;
  enter_drain(now, changes);
  leave_maintenance(now, changes);
  return changes;
}

StateChanges ServerState::set_maintenance(TimePoint now) {
  StateChanges changes;
  enter_maintenance(now, changes);
  leave_drain(now, changes);
  return changes;
}

StateChanges ServerState::force_health(Forced health, TimePoint now) {
  StateChanges changes;
  if (health == Forced::down) {
    check_.set_zero();
    stop({nullptr, kByOperator}, now, changes);
    return changes;
  }
  check_.set_full();
  if (health == Forced::up) {
    start({nullptr, kByOperator}, now, changes);
  } else {
    hold({nullptr, kByOperator}, now, changes);
  }
  return changes;
}

StateChanges ServerState::force_agent(bool up, TimePoint now) {
  StateChanges changes;
  if (!up) {
    agent_.set_zero();
    stop({nullptr, kByOperator}, now, changes);
    return changes;
  }
  agent_.set_full();
  if (check_.permits()) start({nullptr, kByOperator}, now, changes);
  return changes;
}

void ServerState::set_weight(std::uint32_t weight, TimePoint now) {
  weight_override_ = std::min(weight, kMostWeight);
  recalculate(now);
}

void ServerState::set_weight_percent(std::uint32_t percent, TimePoint now) {
  const std::uint64_t weight = std::uint64_t{server_.weight} * percent / 100;
  set_weight(static_cast<std::uint32_t>(std::min<std::uint64_t>(weight, kMostWeight)), now);
}

void ServerState::set_maxconn(std::uint32_t maxconn, TimePoint now) {
  maxconn_override_ = maxconn;
  recalculate(now);
}

void ServerState::assume_down(TimePoint now) noexcept {
  const bool untouched = check_.last_result().status == CheckStatus::initializing;
  if (!check_.enabled() || !untouched || maintenance_ || drained_) return;
  check_.set_zero();
  operation_ = Operation::stopped;
  last_change_ = now;
}

void ServerState::tick(TimePoint now) {
  recalculate(now);
}

std::optional<TimePoint> ServerState::next_tick() const noexcept {
  if (operation_ != Operation::starting || maintenance_) return std::nullopt;
  return last_change_ + ramp_ + 1s;
}

void ServerState::stop(const Cause& cause, TimePoint now, StateChanges& changes) {
  if (maintenance_ || operation_ == Operation::stopped) return;
  const bool was_stopping = operation_ == Operation::stopping || drained_;
  mark_down(now);
  add(StateChange::Kind::went_down, was_stopping, cause, changes);
}

void ServerState::start(const Cause& cause, TimePoint now, StateChanges& changes) {
  if (maintenance_ || is_up()) return;
  begin(now);
  add(StateChange::Kind::came_up, false, cause, changes);
}

void ServerState::hold(const Cause& cause, TimePoint now, StateChanges& changes) {
  if (maintenance_ || operation_ == Operation::stopping) return;
  if (operation_ == Operation::stopped) mark_up(now);
  operation_ = Operation::stopping;
  last_change_ = now;
  recalculate(now);
  add(StateChange::Kind::stopping, false, cause, changes);
}

void ServerState::enter_maintenance(TimePoint now, StateChanges& changes) {
  if (maintenance_) return;
  maintenance_ = true;
  check_.set_zero();
  if (operation_ == Operation::stopped) {
    add(StateChange::Kind::was_down_enters_maintenance, false, {}, changes);
    return;
  }
  const bool was_stopping = operation_ == Operation::stopping || drained_;
  mark_down(now);
  add(StateChange::Kind::enters_maintenance, was_stopping, {}, changes);
}

void ServerState::leave_maintenance(TimePoint now, StateChanges& changes) {
  if (!maintenance_) return;
  maintenance_ = false;
  check_.set_rise();
  if (agent_.permits()) begin(now);
  add(StateChange::Kind::leaves_maintenance, false, {}, changes);
}

void ServerState::enter_drain(TimePoint now, StateChanges& changes) {
  if (drained_) return;
  drained_ = true;
  if (maintenance_) return;  // told of when it leaves maintenance
  last_change_ = now;
  recalculate(now);
  changes.push_back(change(StateChange::Kind::enters_drain));
}

void ServerState::leave_drain(TimePoint now, StateChanges& changes) {
  if (!drained_) return;
  drained_ = false;
  if (maintenance_) return;
  last_change_ = now;
  recalculate(now);
  changes.push_back(change(StateChange::Kind::leaves_drain));
}

void ServerState::begin(TimePoint now) {
  if (operation_ == Operation::stopped) mark_up(now);
  operation_ = slowstart() > 0s ? Operation::starting : Operation::running;
  last_change_ = now;
  recalculate(now);
}

void ServerState::mark_down(TimePoint now) {
  operation_ = Operation::stopped;
  if (server_.on_marked_down == config::OnMarkedDown::shutdown_sessions) end_sessions();
  last_change_ = now;
  ++times_down_;
  recalculate(now);
}

void ServerState::mark_up(TimePoint now) {
  downtime_ += std::chrono::duration_cast<std::chrono::milliseconds>(now - last_change_);
}

StateChange ServerState::change(StateChange::Kind kind) const {
  StateChange change;
  change.kind = kind;
  change.operation = operation_;
  change.drained = drained_;
  return change;
}

void ServerState::add(StateChange::Kind kind, bool was_stopping, const Cause& cause,
                      StateChanges& changes) const {
  StateChange& added = changes.emplace_back(change(kind));
  added.was_stopping = was_stopping;
  if (cause.result != nullptr) added.result = *cause.result;
  added.words = cause.words;
  if (drained_ && !maintenance_) changes.push_back(change(StateChange::Kind::remains_in_drain));
}

void ServerState::recalculate(TimePoint now) noexcept {
  const seconds duration = slowstart();
  const seconds t = std::chrono::floor<seconds>(now - last_change_);
  if (operation_ == Operation::starting && t >= duration) operation_ = Operation::running;
  const bool ramping = operation_ == Operation::starting;
  ramp_ = ramping ? t : 0s;
  effective_weight_ = user_weight() * (ramping && dynamic_ ? slowstart_step(t, duration) : kWeightScale);
  effective_maxconn_ = ramping ? slowstart_maxconn(user_maxconn(), t, duration) : user_maxconn();
}

seconds ServerState::slowstart() const noexcept {
  return std::chrono::ceil<seconds>(server_.slowstart);
}

StateChanges ServerState::configure(config::Server server, config::Balance balance, TimePoint now) {
  StateChanges changes;
  const config::Server before = std::exchange(server_, std::move(server));
  dynamic_ = is_dynamic(balance);
  if (before.weight != server_.weight) weight_override_.reset();
  if (before.maxconn != server_.maxconn) maxconn_override_.reset();
  const bool was_permitted = check_.permits() && agent_.permits();
  check_.configure(has_check(server_), server_.check.rise, server_.check.fall);
  agent_.configure(server_.agent.port != 0, 1, 1);
  if (before.disabled != server_.disabled) {
    if (server_.disabled) {
      enter_maintenance(now, changes);
    } else {
      leave_maintenance(now, changes);
    }
  }
  // What held it down is asked no more: nothing else would ever bring it up.
  if (!was_permitted && check_.permits() && agent_.permits())
    start({nullptr, "no longer checked"}, now, changes);
  recalculate(now);
  return changes;
}

ServerMemory ServerState::memory(Moment now) const {
  const auto wall_of = [&now](TimePoint then) {
    return now.wall - std::chrono::duration_cast<std::chrono::milliseconds>(now.steady - then).count();
  };
  ServerMemory memory;
  memory.operation = operation_;
  memory.maintenance = maintenance_;
  memory.drained = drained_;
  memory.shutdowns = shutdowns_;
  memory.checked = check_.enabled();
  memory.health = static_cast<std::uint32_t>(check_.value());
  memory.agent = static_cast<std::uint32_t>(agent_.value());
  memory.failed_checks = check_.failed_checks();
  memory.times_down = times_down_;
  memory.downtime_ms = static_cast<std::uint64_t>(downtime_.count());
  memory.last_change = wall_of(last_change_);
  memory.last_check = wall_of(check_.last_check());
  memory.last_result = check_.last_result();
  memory.weight = weight_override_;
  memory.maxconn = maxconn_override_;
  memory.configured_weight = server_.weight;
  memory.configured_maxconn = server_.maxconn;
  memory.configured_disabled = server_.disabled;
  return memory;
}

void ServerState::remember(const ServerMemory& memory, bool with_health, Moment now) {
  // A clock that was set back makes nothing lie in the future.
  const auto steady_of = [&now](WallMs then) {
    return now.steady - std::chrono::milliseconds(std::max<WallMs>(now.wall - then, 0));
  };
  if (memory.configured_weight == server_.weight) weight_override_ = memory.weight;
  if (memory.configured_maxconn == server_.maxconn) maxconn_override_ = memory.maxconn;
  drained_ = memory.drained;
  maintenance_ = memory.configured_disabled == server_.disabled ? memory.maintenance : server_.disabled;
  times_down_ = memory.times_down;
  shutdowns_ = shutdowns_before_ = memory.shutdowns;
  downtime_ = std::chrono::milliseconds(memory.downtime_ms);
  if (!with_health) {
    operation_ = Operation::running;
    check_.set_rise();
  } else {
    check_.restore(static_cast<int>(memory.health), memory.failed_checks, memory.last_result,
                   steady_of(memory.last_check));
    agent_.restore(static_cast<int>(memory.agent), 0, agent_.last_result(), now.steady);
    const bool agent_is_gone = memory.agent == 0 && !agent_.enabled();
    // Where only that agent held it down, nothing else would ever bring it up.
    const bool held_by_nothing = memory.operation == Operation::stopped && agent_is_gone && check_.permits();
    operation_ = held_by_nothing ? Operation::running : memory.operation;
    last_change_ = steady_of(memory.last_change);
  }
  settle_memory(memory.checked, memory.maintenance);
  recalculate(now.steady);
}

/// The parts of a memory may not fit one another, or not the configuration as it is now.
void ServerState::settle_memory(bool was_checked, bool was_in_maintenance) noexcept {
  if (maintenance_) {
    operation_ = Operation::stopped;
    check_.set_zero();
    return;
  }
  const bool held_by_nothing = was_in_maintenance || (was_checked && !check_.enabled());
  if (operation_ == Operation::stopped && held_by_nothing && agent_.permits())
    operation_ = Operation::running;
  if (operation_ == Operation::stopped) {
    if (check_.enabled() && check_.value() >= check_.rise() && agent_.permits()) check_.set_zero();
  } else {
    if (!check_.permits()) check_.set_rise();
  }
}

std::optional<std::uint32_t> ServerState::throttle() const noexcept {
  if (operation_ != Operation::starting || drained_ || user_weight() == 0) return std::nullopt;
  return (100 * effective_weight_ + kWeightScale - 1) / (kWeightScale * user_weight());
}

config::Milliseconds ServerState::check_delay() const noexcept {
  const config::Check& check = server_.check;
  if (check_.is_full()) return check.interval;
  const bool down = operation_ == Operation::stopped && check_.is_zero();
  return (down ? check.down_interval : check.fast_interval).value_or(check.interval);
}

bool ServerState::take_hurry() noexcept {
  return std::exchange(hurry_, false);
}

std::string ServerState::status() const {
  if (maintenance_) return "MAINT";
  const bool checked = check_.enabled();
  const auto counted = [this](std::string_view word) {
    return operation_ == Operation::stopped
               ? fmt::format("{} {}/{}", word, check_.value(), check_.rise())
               : fmt::format("{} {}/{}", word, check_.value() - check_.rise() + 1, check_.fall());
  };
  const bool going_down = checked && !check_.is_full();
  switch (operation_) {
    case Operation::starting:
    case Operation::running:
      if (drained_) {
        if (agent_.enabled()) return "DRAIN (agent)";
        return going_down ? counted("DRAIN") : "DRAIN";
      }
      if (going_down) return counted("UP");
      return checked ? "UP" : "no check";
    case Operation::stopping: return going_down ? counted("NOLB") : "NOLB";
    case Operation::stopped: break;
  }
  if (agent_.enabled() && agent_.is_zero()) return "DOWN (agent)";
  const bool going_up = checked ? !check_.is_zero() : agent_.enabled();
  return going_up ? counted("DOWN") : "DOWN";
}

}  // namespace sluice::cp
