#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "config/model.h"
#include "cp/check_result.h"

namespace sluice::cp {

using TimePoint = std::chrono::steady_clock::time_point;

/// What one check result did to a server.
enum class Transition : std::uint8_t { none, went_down, came_up };

/// The health of one server: a pure state machine with HAProxy's counting.
///
/// Health is one integer in 0..rise+fall-1; from `rise` on the server is UP. A pass while DOWN adds one, and
/// on reaching `rise` jumps to the top; a failure while UP takes one off, and where that would go below
/// `rise` jumps to 0. A pass while UP goes back to the top: failures must be consecutive. A new server is UP
/// with health == rise, so its first failed check takes it DOWN at once. Without a check (CheckType::none) it
/// stays UP. Thread: plain data. Time is passed in.
class Health {
 public:
  /// Pre: rise >= 1, fall >= 1 (the configuration's validation sees to it).
  Health(const config::Check& check, TimePoint now) noexcept;

  /// Takes in the result of a check that ended at `now`.
  Transition record(const CheckResult& result, TimePoint now);

  /// Sets the server fully DOWN without a check having said so: a restarted control plane takes over what its
  /// predecessor knew. Any number of passes from `rise` on brings it back.
  void assume_down(TimePoint now) noexcept;

  [[nodiscard]] bool is_up() const noexcept { return value_ >= rise_; }
  [[nodiscard]] bool is_checked() const noexcept { return checked_; }
  /// How long to wait from the end of one check to the start of the next: `interval` when fully UP,
  /// `down_interval` when fully DOWN, `fast_interval` in between; each defaults to `interval`.
  [[nodiscard]] config::Milliseconds next_delay() const noexcept;
  /// "UP", "DOWN", "UP 1/3" (going down), "DOWN 1/2" (going up), "no check".
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] const CheckResult& last_result() const noexcept { return last_; }
  /// When last_result() came in; the construction time before the first.
  [[nodiscard]] TimePoint last_check() const noexcept { return last_check_; }
  /// When it last went from UP to DOWN or back; the construction time before the first change.
  [[nodiscard]] TimePoint last_change() const noexcept { return last_change_; }
  [[nodiscard]] std::uint64_t failed_checks() const noexcept { return failed_checks_; }
  [[nodiscard]] std::uint64_t times_down() const noexcept { return times_down_; }

 private:
  [[nodiscard]] int top() const noexcept { return rise_ + fall_ - 1; }

  bool checked_;
  int rise_, fall_;
  config::Milliseconds interval_, down_interval_, fast_interval_;
  int value_;
  CheckResult last_;
  TimePoint last_check_, last_change_;
  std::uint64_t failed_checks_ = 0, times_down_ = 0;
};

/// When to start the first check of number `position` (0-based) of `count`, so that the checks of one
/// start-up do not fall on one moment. `smallest` is the smallest delay of at least a second among all checks
/// (0 where there is none), `own` this server's.
config::Milliseconds first_check_offset(config::Milliseconds smallest, config::Milliseconds own,
                                        std::size_t position, std::size_t count) noexcept;

}  // namespace sluice::cp
