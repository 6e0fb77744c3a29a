#include "cp/controller.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "cp/known_names.h"

namespace sluice::cp {
namespace {

bool goes_by_connections(const config::Server& server) noexcept {
  return server.observe != config::Observe::none && server.check.type != config::CheckType::none;
}

/// Whether the backup servers' connections end with these changes: it has come back, not only left a drain.
bool ends_backups(const ServerState& server, const StateChanges& changes) noexcept {
  const bool wanted = server.config().on_marked_up == config::OnMarkedUp::shutdown_backup_sessions;
  if (!wanted || server.config().backup || !server.is_usable()) return false;
  return std::ranges::any_of(changes, [](const StateChange& change) {
    return change.kind == StateChange::Kind::came_up || change.kind == StateChange::Kind::leaves_maintenance;
  });
}

/// May be given connections when no server is usable (fail_open): only the operator's word holds it back.
bool is_eligible(const ServerState& server) noexcept {
  return !server.in_maintenance() && !server.is_drained() && server.user_weight() > 0;
}

/// What of a server is worth being saved at once.
auto essence(const ServerState& server) noexcept {
  return std::tuple(server.operation(), server.in_maintenance(), server.is_drained(), server.check().value(),
                    server.agent().value(), server.user_weight(), server.user_maxconn());
}

bool says_the_same(const config::ForwardingState& a, const config::ForwardingState& b) {
  return a.maxconn == b.maxconn && a.hard_stop_after == b.hard_stop_after && a.services == b.services;
}

}  // namespace

Controller::Controller(config::Config config, TimePoint now) : config_(std::move(config)) {
  for (const config::Service& service : config_.services) {
    ServiceState& state = services_.emplace_back();
    state.servers.reserve(service.servers.size());
    for (const config::Server& server : service.servers) state.servers.push_back(make(service, server, now));
  }
  index();
  settle_all();
  desired_.generation = 1;  // 0 means "never given any state" on the data plane's side
  desired_changed_ = false;
}

ServerState Controller::make(const config::Service& service, const config::Server& server, TimePoint now) {
  return {ServerId{next_id_++}, server, service.balance, now};
}

void Controller::index() {
  places_.clear();
  observing_.clear();
  for (std::size_t s = 0; s < services_.size(); ++s) {
    for (std::size_t i = 0; i < services_[s].servers.size(); ++i) {
      const ServerState& server = services_[s].servers[i];
      places_.emplace(server.id(), Place{s, i});
      if (goes_by_connections(server.config())) observing_.push_back(server.id());
    }
  }
}

std::shared_ptr<const Controller> Controller::copy() const {
  auto copied = std::make_shared<Controller>(*this);
  copied->on_change_ = nullptr;
  return copied;
}

auto Controller::shared_part(const ServiceState& service) noexcept {
  return std::tuple(service.usable.active > 0, service.usable.backup > 0, service.first_backup,
                    service.eligible_active > 0, service.backups_ended);
}

void Controller::end_backups(ServiceState& service) noexcept {
  ++service.backups_ended;
  for (ServerState& server : service.servers) {
    if (server.config().backup) server.end_sessions();
  }
}

template <typename Act>
void Controller::change(Place place, Act act) {
  ServerState& server = at(place);
  const bool was_usable = server.is_usable();
  const bool was_eligible = is_eligible(server);
  const std::uint32_t weight = server.effective_weight();
  const std::uint32_t maxconn = server.effective_maxconn();
  const auto before_it = essence(server);
  const StateChanges changes = act(server);
  if (before_it != essence(server)) ++revision_;
  if (server.take_hurry()) hurried_.push_back(server.id());
  if (changes.empty() && weight == server.effective_weight() && maxconn == server.effective_maxconn()) return;

  ServiceState& service = services_[place.service];
  const config::Service& names = config_.services[place.service];
  const Usable before = service.usable;
  const auto shared_before = shared_part(service);
  recount(service, server, was_usable, was_eligible);
  for (const StateChange& each : changes) tell(line_of(each, names.name, server.config(), service.usable));
  if (before != Usable{} && service.usable == Usable{}) tell(no_server_line(names.name));

  if (ends_backups(server, changes)) end_backups(service);
  if (server.next_tick()) {
    ramping_.insert(server.id());
  } else {
    ramping_.erase(server.id());
  }
  if (shared_part(service) == shared_before) {
    settle(place);
    return;
  }
  for (std::size_t i = 0; i < service.servers.size(); ++i) settle({place.service, i});
}

void Controller::tell(LogLine line) {
  line.before = desired_.generation;
  log_.push_back(std::move(line));
}

void Controller::record_check(ServerId id, const CheckResult& result, TimePoint now) {
  const auto place = places_.find(id);
  if (place == places_.end()) return;
  change(place->second, [&](ServerState& server) { return server.record_check(result, now); });
  publish();
}

void Controller::record_agent(ServerId id, const AgentAnswer& answer, TimePoint now) {
  const auto place = places_.find(id);
  if (place == places_.end()) return;
  change(place->second, [&](ServerState& server) { return server.record_agent(answer, now); });
  publish();
}

void Controller::record_failures(const std::vector<config::FailureReport>& failures, TimePoint now) {
  using Names = std::pair<std::string_view, std::string_view>;
  std::map<Names, const config::FailureReport*> told;
  for (const config::FailureReport& report : failures) told[{report.service, report.server}] = &report;
  for (const ServerId id : observing_) {
    const Place place = places_.at(id);
    const config::Server& server = at(place).config();
    const auto report = told.find({config_.services[place.service].name, server.name});
    const bool fails = report != told.end() && report->second->endpoint == server.endpoint;
    const std::uint32_t in_row = fails ? report->second->in_row : 0;
    change(place, [&](ServerState& state) { return state.record_failures(in_row, now); });
  }
  publish();
}

base::Result<void> Controller::command(const config::ServerRequest& request, TimePoint now) {
  const auto id = find(request.service, request.server);
  if (!id) return id.error();
  const Place place = places_.at(*id);
  const ServerState& target = at(place);
  const std::string name = fmt::format("{}/{}", request.service, request.server);
  const auto refused = [](std::string sentence) {
    return base::Error{base::ErrorCode::invalid, std::move(sentence)};
  };
  using config::ServerAction;
  switch (request.action) {
    case ServerAction::ready:
      change(place, [&](ServerState& server) { return server.set_ready(now); });
      break;
    case ServerAction::drain:
      change(place, [&](ServerState& server) { return server.set_drain(now); });
      break;
    case ServerAction::maint:
      change(place, [&](ServerState& server) { return server.set_maintenance(now); });
      break;
    case ServerAction::weight: {
      if (!request.percent && request.value > ServerState::kMostWeight) {
        return refused(fmt::format("server \"{}\": weight {} is not allowed: it is 0 to {}, or a percentage",
                                   name, request.value, ServerState::kMostWeight));
      }
      change(place, [&](ServerState& server) {
        if (request.percent) {
          server.set_weight_percent(request.value, now);
        } else {
          server.set_weight(request.value, now);
        }
        return StateChanges{};
      });
      break;
    }
    case ServerAction::maxconn:
      change(place, [&](ServerState& server) {
        server.set_maxconn(request.value, now);
        return StateChanges{};
      });
      break;
    case ServerAction::health_up:
    case ServerAction::health_stopping:
    case ServerAction::health_down: {
      if (target.in_maintenance()) {
        return refused(
            fmt::format("server \"{}\" is in maintenance: its health counts only when it is ready", name));
      }
      const auto forced = request.action == ServerAction::health_up         ? ServerState::Forced::up
                          : request.action == ServerAction::health_stopping ? ServerState::Forced::stopping
                                                                            : ServerState::Forced::down;
      change(place, [&](ServerState& server) { return server.force_health(forced, now); });
      break;
    }
    case ServerAction::agent_up:
    case ServerAction::agent_down:
      if (!target.wants_agent()) return refused(fmt::format("server \"{}\" has no agent", name));
      change(place, [&](ServerState& server) {
        return server.force_agent(request.action == ServerAction::agent_up, now);
      });
      break;
  }
  publish();
  return {};
}

void Controller::tick(TimePoint now) {
  const std::vector<ServerId> due(ramping_.begin(), ramping_.end());
  for (const ServerId id : due) {
    change(places_.at(id), [&](ServerState& server) {
      server.tick(now);
      return StateChanges{};
    });
    // The last step may change neither weight nor maxconn.
    if (!at(places_.at(id)).next_tick()) ramping_.erase(id);
  }
  publish();
}

std::optional<TimePoint> Controller::next_tick() const {
  std::optional<TimePoint> first;
  for (const ServerId id : ramping_) {
    const auto tick = find(id)->next_tick();
    if (tick && (!first || *tick < *first)) first = tick;
  }
  return first;
}

void Controller::replace(config::Config config, TimePoint now) {
  std::vector<ServiceState> before = std::exchange(services_, {});
  const config::Config old = std::exchange(config_, std::move(config));
  ramping_.clear();
  for (const config::Service& service : config_.services) {
    ServiceState& state = services_.emplace_back();
    const auto was = std::ranges::find(old.services, service.name, &config::Service::name);
    ServiceState* kept =
        was == old.services.end() ? nullptr : &before[static_cast<std::size_t>(was - old.services.begin())];
    std::vector<StateChanges> changes;
    for (const config::Server& server : service.servers) {
      ServerState* same = nullptr;
      if (kept != nullptr) {
        const auto found = std::ranges::find_if(kept->servers, [&](const ServerState& candidate) {
          return candidate.config().name == server.name && candidate.config().endpoint == server.endpoint;
        });
        if (found != kept->servers.end()) same = &*found;
      }
      if (same == nullptr) {
        state.servers.push_back(make(service, server, now));
        changes.emplace_back();
      } else {
        changes.push_back(same->configure(server, service.balance, now));
        state.servers.push_back(std::move(*same));
      }
      if (state.servers.back().next_tick()) ramping_.insert(state.servers.back().id());
    }
    count(state);
    for (std::size_t i = 0; i < changes.size(); ++i) {
      for (const StateChange& each : changes[i])
        tell(line_of(each, service.name, service.servers[i], state.usable));
    }
    if (kept == nullptr) continue;
    if (kept->usable != Usable{} && state.usable == Usable{}) tell(no_server_line(service.name));
  }
  index();
  settle_all();
  ++revision_;
  publish();
}

config::ForwardingState Controller::preview(const config::Config& config, TimePoint now) const {
  Controller rehearsal = *this;
  rehearsal.on_change_ = nullptr;
  const std::uint64_t generation = desired_.generation;
  rehearsal.replace(config, now);
  rehearsal.desired_.generation = generation + 1;
  return std::move(rehearsal.desired_);
}

void Controller::reconcile(const config::ForwardingState& running, TimePoint now) {
  if (!std::exchange(knows_shutdowns_, true)) inherit_shutdowns(running);
  if (!met_data_plane_) {
    met_data_plane_ = true;
    inherit_health(running, now);
  }
  acknowledged_ = running.generation;
  if (running.generation >= desired_.generation) {
    desired_.generation = running.generation;
    if (!says_the_same(running, desired_)) ++desired_.generation;
  }
  desired_changed_ = false;
  if (on_change_) on_change_();
}

SavedState Controller::save(Moment now) const {
  SavedState saved;
  saved.saved_at = now.wall;
  saved.servers.reserve(places_.size());
  for (std::size_t s = 0; s < services_.size(); ++s) {
    for (const ServerState& server : services_[s].servers) {
      const config::Server& config = server.config();
      saved.servers.push_back({config_.services[s].name, config.name, config.endpoint, server.memory(now)});
    }
  }
  return saved;
}

void Controller::restore(const SavedState& saved, Moment now) {
  const bool fresh = now.wall - saved.saved_at <= std::chrono::milliseconds(kHealthLasts).count();
  met_data_plane_ = fresh;
  using Names = std::pair<std::string_view, std::string_view>;
  std::map<Names, const SavedServer*> known;
  for (const SavedServer& server : saved.servers) known[{server.service, server.server}] = &server;
  for (std::size_t s = 0; s < services_.size(); ++s) {
    for (ServerState& server : services_[s].servers) {
      const auto found = known.find({config_.services[s].name, server.config().name});
      if (found == known.end() || found->second->endpoint != server.config().endpoint) continue;
      server.remember(found->second->memory, fresh, now);
      if (server.next_tick()) ramping_.insert(server.id());
    }
    count(services_[s]);
  }
  settle_all();
  desired_changed_ = false;  // nobody has been given a state yet
}

void Controller::inherit_shutdowns(const config::ForwardingState& running) {
  for (const config::ForwardingService& service : running.services) {
    for (const config::ForwardingServer& server : service.servers) {
      const auto id = find(service.name, server.name);
      if (id && at(places_.at(*id)).config().endpoint == server.endpoint) {
        at(places_.at(*id)).count_from(server.shutdowns);
      }
    }
  }
  settle_all();
}

void Controller::inherit_health(const config::ForwardingState& running, TimePoint now) {
  for (const config::ForwardingService& was : running.services) {
    for (const config::ForwardingServer& old : was.servers) {
      const auto id = find(was.name, old.name);
      if (!id || old.weight != 0) continue;
      const Place place = places_.at(*id);
      ServerState& server = at(place);
      // A backup server has weight 0 for other reasons.
      if (server.config().endpoint != old.endpoint || server.config().backup || server.user_weight() == 0)
        continue;
      server.assume_down(now);
    }
  }
  for (ServiceState& service : services_) count(service);
  settle_all();
}

void Controller::count(ServiceState& service) noexcept {
  service.usable = {};
  service.first_backup.reset();
  service.eligible_active = 0;
  for (std::size_t i = 0; i < service.servers.size(); ++i) {
    const ServerState& server = service.servers[i];
    if (!server.config().backup && is_eligible(server)) ++service.eligible_active;
    if (!server.is_usable()) continue;
    if (!server.config().backup) {
      ++service.usable.active;
    } else {
      ++service.usable.backup;
      if (!service.first_backup) service.first_backup = i;
    }
  }
}

void Controller::recount(ServiceState& service, const ServerState& server, bool was_usable,
                         bool was_eligible) noexcept {
  if (server.config().backup) {
    if (was_usable != server.is_usable()) count(service);
    return;
  }
  if (was_usable) --service.usable.active;
  if (server.is_usable()) ++service.usable.active;
  if (was_eligible) --service.eligible_active;
  if (is_eligible(server)) ++service.eligible_active;
}

config::ForwardingServer Controller::forwarding(std::size_t s, std::size_t i) const {
  const ServiceState& service = services_[s];
  const ServerState& server = service.servers[i];
  const config::Server& wanted = server.config();
  config::ForwardingServer out{wanted.name, wanted.endpoint, 0};
  if (service.usable == Usable{}) {
    // A backup server stands in for active ones here as ever: only where there are none.
    const bool takes_part = config_.services[s].no_server == config::NoServer::fail_open &&
                            is_eligible(server) && (!wanted.backup || service.eligible_active == 0);
    if (takes_part) out.weight = server.user_weight() * kWeightScale;
  } else if (server.is_usable()) {
    const bool stands_in =
        service.usable.active == 0 && (config_.services[s].allbackups || service.first_backup == i);
    if (!wanted.backup || stands_in) out.weight = server.effective_weight();
  }
  out.maxconn = server.effective_maxconn();
  out.maxqueue = wanted.maxqueue;
  out.shutdowns = server.shutdowns();
  return out;
}

void Controller::settle(Place place) {
  config::ForwardingServer next = forwarding(place.service, place.server);
  config::ForwardingServer& given = desired_.services[place.service].servers[place.server];
  if (next == given) return;
  given = std::move(next);
  desired_changed_ = true;
}

void Controller::settle_all() {
  for (ServiceState& service : services_) count(service);
  const auto forwarding_of_server = [this](const config::Service& service, const config::Server& server) {
    const auto s = static_cast<std::size_t>(&service - config_.services.data());
    return forwarding(s, static_cast<std::size_t>(&server - service.servers.data()));
  };
  config::ForwardingState next = config::forwarding_of(config_, desired_.generation, forwarding_of_server);
  if (next == desired_) return;
  desired_ = std::move(next);
  desired_changed_ = true;
}

void Controller::publish() {
  if (std::exchange(desired_changed_, false)) {
    ++desired_.generation;
  } else if (log_.empty() && hurried_.empty() && published_revision_ == revision_) {
    return;
  }
  published_revision_ = revision_;
  if (on_change_) on_change_();
}

std::vector<ServerId> Controller::servers() const {
  std::vector<ServerId> ids;
  ids.reserve(places_.size());
  for (const ServiceState& service : services_) {
    for (const ServerState& server : service.servers) ids.push_back(server.id());
  }
  return ids;
}

const ServerState* Controller::find(ServerId id) const {
  const auto place = places_.find(id);
  if (place == places_.end()) return nullptr;
  return &services_[place->second.service].servers[place->second.server];
}

base::Result<ServerId> Controller::find(const std::string& service, const std::string& server) const {
  const auto known_service = find_service(config_, service);
  if (!known_service) return known_service.error();
  const auto known = find_servers(**known_service, server);
  if (!known) return known.error();
  if (known->front()->name != server) {
    return base::Error{base::ErrorCode::invalid, fmt::format("\"{}/{}\" is not one server", service, server)};
  }
  const auto s = static_cast<std::size_t>(*known_service - config_.services.data());
  const auto i = static_cast<std::size_t>(known->front() - (*known_service)->servers.data());
  return services_[s].servers[i].id();
}

}  // namespace sluice::cp
