#pragma once

#include <string>

#include <json/forwards.h>

#include "cp/server_state.h"

/// What the control plane knows of one server, as users see it. Pure.
namespace sluice::cp {

/// status (HAProxy's words), admin ("ready", "drain", "maint"), backup, usable, user_weight and user_maxconn
/// (the operator's or the agent's, where they are not configured_weight and configured_maxconn), throttle
/// (per cent; only during a slow start), last_change_ms, times_down, downtime_ms (the present one counted).
[[nodiscard]] Json::Value state_view(const ServerState& server, TimePoint now);

/// type and, where it is checked: status (HAProxy's code), reason, info, failed; code (HTTP status or exit
/// code), duration_ms and age_ms where a check has ended.
[[nodiscard]] Json::Value check_view(const ServerState& server, TimePoint now);

/// The check's counter and timing besides: value, rise, fall, delay_ms (from the end of one to the start of
/// the next), next_ms (until the next; 0: it is due, or runs).
void add_counter(Json::Value& view, const Health& health, config::Milliseconds delay, TimePoint now);

/// As check_view, with add_counter. Pre: it has an agent.
[[nodiscard]] Json::Value agent_view(const ServerState& server, TimePoint now);

/// "ready", "drain" or "maint".
[[nodiscard]] std::string admin_text(const ServerState& server);

/// How long ago it last went up, down, into or out of maintenance, or into drain.
[[nodiscard]] config::Milliseconds time_in_state(const ServerState& server, TimePoint now);
/// How long it was stopped in all, the present time counted.
[[nodiscard]] config::Milliseconds downtime(const ServerState& server, TimePoint now);

}  // namespace sluice::cp
