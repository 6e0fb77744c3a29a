#include "cp/explain.h"

#include <algorithm>
#include <string>

#include "cp/check_result.h"
#include "cp/server_view.h"

namespace sluice::cp {
namespace {

/// The last result of a server's check, or of its agent where that is what has it down.
std::string last_check(const ServerState& server) {
  const bool by_agent = server.wants_agent() && server.agent().is_zero();
  const Health& health = by_agent ? server.agent() : server.check();
  const CheckResult& last = health.last_result();
  if (!health.enabled() || last.status == CheckStatus::initializing) return {};
  std::string text(reason(last.status));
  if (!last.info.empty()) text.append(" (").append(printable(last.info)).append(")");
  return text;
}

/// Why the data plane has been given the weight 0, in the order in which the controller decides.
std::string why_no_weight(const ServerState& server) {
  if (server.in_maintenance()) return "in maintenance";
  if (!server.is_up()) {
    const std::string check = last_check(server);
    return server.status() + (check.empty() ? "" : ": " + check);
  }
  if (server.is_drained()) return "drained";
  if (server.user_weight() == 0) return "its weight is 0";
  if (server.config().backup) return "a backup server, and others are usable";
  return {};
}

}  // namespace

void add_knowledge(config::Explanation& explanation, const Controller& controller) {
  if (!explanation.start) return;
  const auto& services = controller.config().services;
  const auto service = std::ranges::find(services, explanation.service, &config::Service::name);
  for (config::ExplainedServer& told : explanation.start->servers) {
    told.weight = (told.weight + kWeightScale - 1) / kWeightScale;
    if (service == services.end()) continue;
    const auto states = controller.servers(static_cast<std::size_t>(service - services.begin()));
    const auto state = std::ranges::find_if(states, [&](const ServerState& each) {
      return each.config().name == told.name && each.config().endpoint == told.endpoint;
    });
    if (state == states.end()) continue;
    told.known = {.status = state->status(),
                  .admin = admin_text(*state),
                  .check = last_check(*state),
                  .why_no_weight = {},
                  .backup = state->config().backup};
    if (told.standing == config::Standing::no_weight) told.known->why_no_weight = why_no_weight(*state);
  }
}

}  // namespace sluice::cp
