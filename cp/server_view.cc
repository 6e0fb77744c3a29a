#include "cp/server_view.h"

#include <algorithm>

#include <json/json.h>

#include "config/names.h"

namespace sluice::cp {
namespace {

config::Milliseconds between(TimePoint then, TimePoint now) {
  return std::max(std::chrono::duration_cast<config::Milliseconds>(now - then), config::Milliseconds{0});
}

Json::UInt64 milliseconds_between(TimePoint then, TimePoint now) {
  return static_cast<Json::UInt64>(between(then, now).count());
}

/// Bytes that a server sent are shown, not obeyed.
void add_result(Json::Value& view, const Health& health, TimePoint now) {
  const CheckResult& last = health.last_result();
  view["status"] = std::string(code(last.status));
  view["reason"] = std::string(reason(last.status));
  view["info"] = printable(last.info);
  view["failed"] = Json::UInt64{health.failed_checks()};
  if (last.status == CheckStatus::initializing) return;
  if (has_answer_code(last.status)) view["code"] = Json::Int{last.answer_code};
  if (last.duration.count() >= 0) view["duration_ms"] = Json::UInt64(last.duration.count());
  view["age_ms"] = milliseconds_between(health.last_check(), now);
}

}  // namespace

std::string admin_text(const ServerState& server) {
  if (server.in_maintenance()) return "maint";
  return server.is_drained() ? "drain" : "ready";
}

config::Milliseconds time_in_state(const ServerState& server, TimePoint now) {
  return between(server.last_change(), now);
}

config::Milliseconds downtime(const ServerState& server, TimePoint now) {
  const bool is_down = server.operation() == Operation::stopped;
  return server.downtime() + (is_down ? time_in_state(server, now) : config::Milliseconds{0});
}

Json::Value state_view(const ServerState& server, TimePoint now) {
  Json::Value view(Json::objectValue);
  view["status"] = server.status();
  view["admin"] = admin_text(server);
  view["backup"] = server.config().backup;
  view["usable"] = server.is_usable();
  view["user_weight"] = Json::UInt{server.user_weight()};
  view["configured_weight"] = Json::UInt{server.config().weight};
  view["user_maxconn"] = Json::UInt{server.user_maxconn()};
  view["configured_maxconn"] = Json::UInt{server.config().maxconn};
  if (server.throttle()) view["throttle"] = Json::UInt{*server.throttle()};
  view["last_change_ms"] = milliseconds_between(server.last_change(), now);
  view["times_down"] = Json::UInt64{server.times_down()};
  view["downtime_ms"] = static_cast<Json::UInt64>(downtime(server, now).count());
  return view;
}

Json::Value check_view(const ServerState& server, TimePoint now) {
  Json::Value view(Json::objectValue);
  view["type"] = std::string(config::name_of(server.config().check.type));
  if (server.check().enabled()) add_result(view, server.check(), now);
  return view;
}

void add_counter(Json::Value& view, const Health& health, config::Milliseconds delay, TimePoint now) {
  view["value"] = Json::Int{health.value()};
  view["rise"] = Json::Int{health.rise()};
  view["fall"] = Json::Int{health.fall()};
  view["delay_ms"] = Json::UInt64(delay.count());
  if (health.last_result().status == CheckStatus::initializing) return;
  view["next_ms"] = milliseconds_between(now, health.last_check() + delay);
}

Json::Value agent_view(const ServerState& server, TimePoint now) {
  Json::Value view(Json::objectValue);
  view["type"] = "agent";
  add_result(view, server.agent(), now);
  add_counter(view, server.agent(), server.config().agent.interval, now);
  return view;
}

}  // namespace sluice::cp
