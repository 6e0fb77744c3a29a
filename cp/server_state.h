#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "cp/agent_answer.h"
#include "cp/health.h"
#include "cp/slowstart.h"

namespace sluice::cp {

/// A server for the life of this process: never given to another one, not even after a reload that removes
/// it and adds one of the same name.
enum class ServerId : std::uint32_t {};

/// Whether a server is up: what its checks, its agent and the operator's "health" commands made of it.
enum class Operation : std::uint8_t {
  stopped,   ///< DOWN, or in maintenance
  starting,  ///< UP, slow start
  running,   ///< UP
  stopping,  ///< NOLB: no new connections, yet not DOWN
};

/// One thing that happened to a server, as HAProxy tells of it: a line of the log each.
struct StateChange {
  enum class Kind : std::uint8_t {
    went_down,
    stopping,
    came_up,
    was_down_enters_maintenance,
    enters_maintenance,
    leaves_maintenance,
    enters_drain,
    leaves_drain,
    remains_in_drain,
  };
  Kind kind = Kind::went_down;
  /// What it was made by this.
  Operation operation = Operation::running;
  bool drained = false;
  /// It took no new connections before: being down is no alarm then.
  bool was_stopping = false;
  std::optional<CheckResult> result{};  ///< the check that did it
  std::string words{};                  ///< or what else did it: "changed from CLI"
};
using StateChanges = std::vector<StateChange>;

/// Milliseconds since 1970: what outlives a process is told in wall-clock time.
using WallMs = std::int64_t;
/// One moment on both clocks.
struct Moment {
  TimePoint steady;
  WallMs wall = 0;
};

/// What of a ServerState outlives the process.
struct ServerMemory {
  Operation operation = Operation::running;
  bool maintenance = false;
  bool drained = false;
  std::uint32_t shutdowns = 0;  ///< ServerState::shutdowns()
  bool checked = false;         ///< it had a health check
  std::uint32_t health = 0;     ///< Health::value() of the check
  std::uint32_t agent = 0;      ///< and of the agent
  std::uint64_t failed_checks = 0;
  std::uint64_t times_down = 0;
  std::uint64_t downtime_ms = 0;
  WallMs last_change = 0;
  WallMs last_check = 0;
  CheckResult last_result;
  // What stood in the configuration's place, and what the configuration said then.
  std::optional<std::uint32_t> weight, maxconn;
  std::uint32_t configured_weight = 0, configured_maxconn = 0;
  bool configured_disabled = false;
  friend bool operator==(const ServerMemory&, const ServerMemory&) = default;
};

/// What is known of one server and what follows from it: HAProxy's state machine of servers, without I/O or
/// clock.
///
/// Three things decide, in this order: the administrative state (maintenance and drain, which the operator
/// and the agent set, and the configuration's `disabled`); the health check and the agent, both of which must
/// permit it; and the effective weight, which is the user's weight (the configuration's, or what the operator
/// or the agent put in its place) on the ramp of a slow start. Each member that takes something in returns
/// what happened, in order. Thread: plain data.
class ServerState {
 public:
  static constexpr std::uint32_t kMostWeight = 256;

  /// Up, unless the configuration disables it, and without a slow start.
  ServerState(ServerId id, config::Server server, config::Balance balance, TimePoint now);

  /// The result of a health check that ended at `now`. Ignored in maintenance: the check began before.
  StateChanges record_check(const CheckResult& result, TimePoint now);
  /// What the agent said, at `now`. Its silence changes nothing.
  StateChanges record_agent(const AgentAnswer& answer, TimePoint now);
  /// How many real connections in a row failed by now, for `observe`; 0: the last one was answered. When this
  /// reaches error_limit, hurries() is true once.
  StateChanges record_failures(std::uint32_t in_row, TimePoint now);

  StateChanges set_ready(TimePoint now);
  StateChanges set_drain(TimePoint now);
  StateChanges set_maintenance(TimePoint now);
  enum class Forced : std::uint8_t { up, stopping, down };
  /// What the operator says of its health; the next check that says otherwise wins.
  StateChanges force_health(Forced health, TimePoint now);
  /// Pre: it has an agent.
  StateChanges force_agent(bool up, TimePoint now);
  /// 0..256; in place of the configured weight.
  void set_weight(std::uint32_t weight, TimePoint now);
  /// The same in per cent of the configured weight.
  void set_weight_percent(std::uint32_t percent, TimePoint now);
  /// 0: no limit; in place of the configured one.
  void set_maxconn(std::uint32_t maxconn, TimePoint now);

  /// It was down before this process began: DOWN until its check says otherwise. Nothing where it has no
  /// check, is taken out by hand, or has seen a check of ours end already.
  void assume_down(TimePoint now) noexcept;

  /// Goes on with the slow start. Call it when next_tick() is reached.
  void tick(TimePoint now);
  /// When effective_weight() or effective_maxconn() change by themselves; nothing: never.
  [[nodiscard]] std::optional<TimePoint> next_tick() const noexcept;

  /// The same server by name and endpoint, configured anew. Health, administrative state, overrides and slow
  /// start stay, but an override of what the configuration itself now says differently gives way.
  StateChanges configure(config::Server server, config::Balance balance, TimePoint now);

  [[nodiscard]] ServerMemory memory(Moment now) const;
  /// Goes on where the process before ended, at its construction; a slow start goes on, too. Where the
  /// configuration says otherwise than it did then, it wins. Without `with_health` (what was known is too
  /// old) only what the operator wanted comes back.
  void remember(const ServerMemory& memory, bool with_health, Moment now);

  [[nodiscard]] ServerId id() const noexcept { return id_; }
  [[nodiscard]] const config::Server& config() const noexcept { return server_; }
  [[nodiscard]] Operation operation() const noexcept { return operation_; }
  [[nodiscard]] const Health& check() const noexcept { return check_; }
  [[nodiscard]] const Health& agent() const noexcept { return agent_; }
  [[nodiscard]] bool in_maintenance() const noexcept { return maintenance_; }
  [[nodiscard]] bool is_drained() const noexcept { return drained_; }
  /// Running or in a slow start: what checks and operator make UP, whatever its weight and drain.
  [[nodiscard]] bool is_up() const noexcept {
    return operation_ == Operation::starting || operation_ == Operation::running;
  }
  /// Gets new connections (if it is a backup server: where no other does).
  [[nodiscard]] bool is_usable() const noexcept {
    return is_up() && !maintenance_ && !drained_ && effective_weight_ > 0;
  }
  /// How often its connections were to be ended: marked down, or by end_sessions().
  [[nodiscard]] std::uint32_t shutdowns() const noexcept { return shutdowns_; }
  void end_sessions() noexcept { ++shutdowns_; }
  /// The data plane was told `told` times by processes before this one, which may not have come to know of
  /// all of them. Once at most.
  void count_from(std::uint32_t told) noexcept {
    if (told > shutdowns_before_) shutdowns_ += told - shutdowns_before_;
  }
  /// HAProxy's words: "UP", "DOWN", "UP 1/3" (going down), "DOWN 1/2" (going up), "NOLB", "NOLB n/m",
  /// "DRAIN", "DRAIN n/m", "DRAIN (agent)", "MAINT", "DOWN (agent)", "no check".
  [[nodiscard]] std::string status() const;

  /// The configured weight, or what is in its place.
  [[nodiscard]] std::uint32_t user_weight() const noexcept {
    return weight_override_.value_or(server_.weight);
  }
  /// What the scheduler goes by, in sixteenths (kWeightScale).
  [[nodiscard]] std::uint32_t effective_weight() const noexcept { return effective_weight_; }
  /// effective_weight() as users see it: rounded up to whole ones.
  [[nodiscard]] std::uint32_t shown_weight() const noexcept {
    return (effective_weight_ + kWeightScale - 1) / kWeightScale;
  }
  /// How far the slow start is, in per cent of the weight; nothing when there is none going on.
  [[nodiscard]] std::optional<std::uint32_t> throttle() const noexcept;
  /// The configured limit, or what is in its place; 0: none.
  [[nodiscard]] std::uint32_t user_maxconn() const noexcept {
    return maxconn_override_.value_or(server_.maxconn);
  }
  /// What holds now: user_maxconn() on the ramp of a slow start.
  [[nodiscard]] std::uint32_t effective_maxconn() const noexcept { return effective_maxconn_; }

  /// Whether health checks are to run: it has one and is not in maintenance.
  [[nodiscard]] bool wants_checks() const noexcept { return check_.enabled() && !maintenance_; }
  [[nodiscard]] bool wants_agent() const noexcept { return agent_.enabled(); }
  /// How long to wait from the end of one check to the start of the next: `interval` when fully UP,
  /// `down_interval` when fully DOWN, `fast_interval` in between; each defaults to `interval`.
  [[nodiscard]] config::Milliseconds check_delay() const noexcept;
  /// Real connections failed: the next check is to come after fast_interval at the latest. Asking resets it.
  [[nodiscard]] bool take_hurry() noexcept;

  /// When it last went up, down, into or out of maintenance, or into drain.
  [[nodiscard]] TimePoint last_change() const noexcept { return last_change_; }
  [[nodiscard]] std::uint64_t times_down() const noexcept { return times_down_; }
  /// How long it was stopped, up to the last time that it came up.
  [[nodiscard]] std::chrono::milliseconds downtime() const noexcept { return downtime_; }

 private:
  struct Cause {
    const CheckResult* result = nullptr;
    std::string_view words;
  };
  void stop(const Cause& cause, TimePoint now, StateChanges& changes);
  void start(const Cause& cause, TimePoint now, StateChanges& changes);
  void hold(const Cause& cause, TimePoint now, StateChanges& changes);
  void enter_maintenance(TimePoint now, StateChanges& changes);
  void leave_maintenance(TimePoint now, StateChanges& changes);
  void enter_drain(TimePoint now, StateChanges& changes);
  void leave_drain(TimePoint now, StateChanges& changes);
  void begin(TimePoint now);
  void mark_down(TimePoint now);
  void mark_up(TimePoint now);
  [[nodiscard]] StateChange change(StateChange::Kind kind) const;
  void add(StateChange::Kind kind, bool was_stopping, const Cause& cause, StateChanges& changes) const;
  void recalculate(TimePoint now) noexcept;
  void settle_memory(bool was_checked, bool was_in_maintenance) noexcept;
  [[nodiscard]] std::chrono::seconds slowstart() const noexcept;

  ServerId id_;
  config::Server server_;
  bool dynamic_;  ///< the scheduler takes changes of weight as they come: slow start applies to weights
  Health check_, agent_;
  Operation operation_ = Operation::running;
  bool maintenance_ = false;
  bool drained_ = false;
  std::uint32_t shutdowns_ = 0;
  std::uint32_t shutdowns_before_ = 0;  ///< of them: remembered
  bool hurry_ = false;
  std::optional<std::uint32_t> weight_override_, maxconn_override_;
  std::uint32_t effective_weight_ = 0;
  std::uint32_t effective_maxconn_ = 0;
  std::uint32_t failures_seen_ = 0;     ///< as last told
  std::uint32_t failures_settled_ = 0;  ///< of them: have led to something, or lie before a check that passed
  TimePoint last_change_;
  std::chrono::seconds ramp_{0};  ///< since last_change_, as far as the slow start has seen
  std::uint64_t times_down_ = 0;
  std::chrono::milliseconds downtime_{0};
};

}  // namespace sluice::cp
