#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/forwarding.h"
#include "config/model.h"
#include "config/report.h"
#include "config/wire.h"
#include "cp/health_log.h"
#include "cp/server_state.h"
#include "cp/state_file.h"

namespace sluice::cp {

/// What is wanted (the configuration) and what is known of the servers (their ServerState), and the one place
/// where both become the forwarding state that the data plane is to run. No I/O, no clock: time is passed in.
///
/// Whatever changes a server's share ends in settle(), which writes that service's part of desired() anew
/// and, where it differs, gives it the next generation; a check result that changes nothing costs a map
/// lookup. Whoever talks to the data plane compares desired().generation with what was acknowledged. Lines
/// for the log, and servers whose next check is to come sooner, are collected as data for those who write and
/// check; on_change tells them to come. Invariant: desired() is never older than what any member function
/// took in. Thread: one.
class Controller {
 public:
  Controller(config::Config config, TimePoint now);

  /// What is known now, for another thread to read; nobody is called from it.
  [[nodiscard]] std::shared_ptr<const Controller> copy() const;

  /// `call` is called at the end of each member function that left something new in desired(), take_log(),
  /// take_hurried() or revision(). It must not call back into the controller's modifying members.
  void on_change(std::function<void()> call) { on_change_ = std::move(call); }

  /// Results of checks and of agents. A server that a reload has removed meanwhile is passed over.
  void record_check(ServerId server, const CheckResult& result, TimePoint now);
  void record_agent(ServerId server, const AgentAnswer& answer, TimePoint now);
  /// All servers that fail real connections now; the others do not.
  void record_failures(const std::vector<config::FailureReport>& failures, TimePoint now);
  /// Whether some server goes by real connections (`observe`): only then record_failures() is of use.
  [[nodiscard]] bool observes() const noexcept { return !observing_.empty(); }

  /// Does what the operator asks. Error (not_found, invalid): why not; nothing has changed then.
  base::Result<void> command(const config::ServerRequest& request, TimePoint now);

  /// Goes on with slow starts. To be called when next_tick() is reached; nothing: never.
  void tick(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> next_tick() const;

  /// Puts `config` in the place of the present one. What is known of a server is kept where service, server
  /// and endpoint have kept their names.
  void replace(config::Config config, TimePoint now);
  /// The state that the data plane would be sent if replace() were called now; it has the next generation.
  [[nodiscard]] config::ForwardingState preview(const config::Config& config, TimePoint now) const;

  /// Takes in what the data plane runs, at each new connection to it: the generation continues above it, or
  /// is adopted with nothing to do where it is the desired state already. On the first contact of this
  /// process it also inherits from it which servers were down (weight 0 there, not so here, and no check of
  /// ours has ended yet), so that a restart of the control plane sends no connection to a server that is
  /// known to be dead.
  void reconcile(const config::ForwardingState& running, TimePoint now);

  /// What is to outlive this process; revision() rises whenever it becomes another one in what matters.
  [[nodiscard]] SavedState save(Moment now) const;
  [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }
  /// Takes in what the process before knew; to be called before anything else is. What it knew of health is
  /// passed over when it is older than kHealthLasts; else nothing is inherited from the data plane.
  void restore(const SavedState& saved, Moment now);
  static constexpr std::chrono::minutes kHealthLasts{5};

  /// The data plane confirmed that it runs `generation`.
  void acknowledge(std::uint64_t generation) noexcept { acknowledged_ = generation; }
  /// The data plane is gone: nothing counts as acknowledged.
  void forget_acknowledged() noexcept { acknowledged_ = 0; }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  [[nodiscard]] bool in_step() const noexcept { return acknowledged_ == desired_.generation; }

  [[nodiscard]] const config::ForwardingState& desired() const noexcept { return desired_; }
  [[nodiscard]] const config::Config& config() const noexcept { return config_; }

  /// The lines that have come up since the last call, in order.
  [[nodiscard]] std::vector<LogLine> take_log() { return std::exchange(log_, {}); }
  /// The servers whose next check is to come after check.fast_interval at the latest.
  [[nodiscard]] std::vector<ServerId> take_hurried() { return std::exchange(hurried_, {}); }

  /// The servers of config().services[service], in the order of the configuration.
  [[nodiscard]] std::span<const ServerState> servers(std::size_t service) const {
    return services_[service].servers;
  }
  /// All of them, in that order.
  [[nodiscard]] std::vector<ServerId> servers() const;
  /// Null: a reload has removed it.
  [[nodiscard]] const ServerState* find(ServerId server) const;
  /// Pre: find(server) is not null.
  [[nodiscard]] const config::Service& service_of(ServerId server) const {
    return config_.services[places_.at(server).service];
  }
  /// Error (not_found): what there is instead.
  [[nodiscard]] base::Result<ServerId> find(const std::string& service, const std::string& server) const;
  /// The servers of a service that could get new connections; backup servers do where active is 0.
  [[nodiscard]] Usable usable(std::size_t service) const noexcept { return services_[service].usable; }

 private:
  struct Place {
    std::size_t service = 0, server = 0;
  };
  struct ServiceState {
    std::vector<ServerState> servers;
    Usable usable;
    std::optional<std::size_t> first_backup{};  ///< usable
    std::size_t eligible_active = 0;            ///< for fail_open
    /// How often the backup servers' connections were ended, an active server with on_marked_up being back.
    std::uint32_t backups_ended = 0;
  };

  [[nodiscard]] ServerState& at(Place place) { return services_[place.service].servers[place.server]; }
  [[nodiscard]] ServerState make(const config::Service& service, const config::Server& server, TimePoint now);
  /// Runs `act` on a server and takes in what comes of it.
  template <typename Act>
  void change(Place place, Act act);
  void tell(LogLine line);
  static void count(ServiceState& service) noexcept;
  /// The same after a change of one server, whose former standing is told.
  static void recount(ServiceState& service, const ServerState& server, bool was_usable,
                      bool was_eligible) noexcept;
  /// What the server is to get, its service's usable servers being counted.
  [[nodiscard]] config::ForwardingServer forwarding(std::size_t service, std::size_t server) const;
  /// What of a service decides over all of its servers' parts of desired().
  [[nodiscard]] static auto shared_part(const ServiceState& service) noexcept;
  /// Writes a server's part of desired() anew.
  void settle(Place place);
  void settle_all();
  /// Ends each modifying member: the next generation, and on_change.
  void publish();
  void index();
  void inherit_health(const config::ForwardingState& running, TimePoint now);
  /// Goes on counting from what the data plane has been told by the process before.
  void inherit_shutdowns(const config::ForwardingState& running);
  static void end_backups(ServiceState& service) noexcept;

  config::Config config_;
  std::vector<ServiceState> services_;
  std::unordered_map<ServerId, Place> places_;
  std::set<ServerId> ramping_;  ///< in a slow start
  std::uint32_t next_id_ = 1;
  std::vector<ServerId> observing_;
  config::ForwardingState desired_;
  bool desired_changed_ = false;  ///< since its generation was given
  std::vector<LogLine> log_;
  std::vector<ServerId> hurried_;
  std::function<void()> on_change_;
  std::uint64_t revision_ = 0, published_revision_ = 0;
  std::uint64_t acknowledged_ = 0;
  bool met_data_plane_ = false;
  bool knows_shutdowns_ = false;  ///< inherit_shutdowns() is done
};

}  // namespace sluice::cp
