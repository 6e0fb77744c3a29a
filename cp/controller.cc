#include "cp/controller.h"

#include <algorithm>
#include <utility>

namespace sluice::cp {

Controller::Controller(config::Config config, TimePoint now) : config_(std::move(config)) {
  health_.reserve(config_.services.size());
  for (const config::Service& service : config_.services) {
    std::vector<Health>& of_service = health_.emplace_back();
    of_service.reserve(service.servers.size());
    for (const config::Server& server : service.servers) of_service.emplace_back(server.check, now);
  }
  recompute();
  desired_.generation = 1;  // 0 means "never given any state" on the data plane's side
}

Transition Controller::record(ServerKey key, const CheckResult& result, TimePoint now) {
  const Transition transition = health_[key.service][key.server].record(result, now);
  recompute();
  return transition;
}

void Controller::reconcile(const config::ForwardingState& running, TimePoint now) {
  if (!met_data_plane_) {
    met_data_plane_ = true;
    inherit_health(running, now);
    recompute();
  }
  if (running.generation < desired_.generation) {
    acknowledged_ = running.generation;
    return;
  }
  desired_.generation = running.generation;
  if (running.services != desired_.services) ++desired_.generation;
  acknowledged_ = running.generation;
}

std::vector<ServerKey> Controller::checked_servers() const {
  std::vector<ServerKey> keys;
  for (std::size_t s = 0; s < health_.size(); ++s) {
    for (std::size_t i = 0; i < health_[s].size(); ++i) {
      if (health_[s][i].is_checked()) keys.push_back({s, i});
    }
  }
  return keys;
}

std::size_t Controller::active_servers(std::size_t service) const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < health_[service].size(); ++i) {
    if (effective_weight({service, i}) > 0) ++count;
  }
  return count;
}

std::uint32_t Controller::effective_weight(ServerKey key) const {
  return health(key).is_up() ? server(key).weight : 0;
}

void Controller::recompute() {
  const auto forwarding_of_server = [this](const config::Service& service, const config::Server& server) {
    const auto s = static_cast<std::size_t>(&service - config_.services.data());
    const ServerKey key{s, static_cast<std::size_t>(&server - service.servers.data())};
    config::ForwardingServer out{server.name, server.endpoint, effective_weight(key)};
    out.maxconn = server.maxconn;
    out.maxqueue = server.maxqueue;
    return out;
  };
  config::ForwardingState next = config::forwarding_of(config_, desired_.generation, forwarding_of_server);
  if (next == desired_) return;
  ++next.generation;
  desired_ = std::move(next);
}

void Controller::inherit_health(const config::ForwardingState& running, TimePoint now) {
  for (const config::ForwardingService& was : running.services) {
    const auto service = std::ranges::find(config_.services, was.name, &config::Service::name);
    if (service == config_.services.end()) continue;
    const auto s = static_cast<std::size_t>(service - config_.services.begin());
    for (const config::ForwardingServer& old : was.servers) {
      const auto server = std::ranges::find(service->servers, old.name, &config::Server::name);
      if (server == service->servers.end() || server->endpoint != old.endpoint) continue;
      if (old.weight != 0 || server->weight == 0) continue;
      Health& health = health_[s][static_cast<std::size_t>(server - service->servers.begin())];
      const bool untouched = health.last_result().status == CheckStatus::initializing;
      if (health.is_checked() && untouched) health.assume_down(now);
    }
  }
}

}  // namespace sluice::cp
