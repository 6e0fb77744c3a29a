#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "config/model.h"
#include "cp/check_result.h"

namespace sluice::cp {

using TimePoint = std::chrono::steady_clock::time_point;

/// What one kind of check (the health check, or the agent) says of a server: a pure counter with HAProxy's
/// rules.
///
/// Health is one integer in 0..rise+fall-1; from `rise` on it is good. A pass while below `rise` adds one,
/// and on reaching `rise` jumps to the top; a failure from `rise` on takes one off, and where that would go
/// below `rise` jumps to 0. A pass while good goes back to the top: failures must be consecutive. It starts
/// at `rise`, so that the first failure takes the server DOWN at once. Disabled (there is no such check) it
/// has no say. Thread: plain data. Time is passed in.
class Health {
 public:
  /// Pre: rise >= 1, fall >= 1 (the configuration's validation sees to it).
  Health(bool enabled, int rise, int fall, TimePoint now) noexcept
      : enabled_(enabled), rise_(rise), fall_(fall), value_(rise), last_check_(now) {}

  /// Takes in the result of a check that ended at `now`.
  void record(const CheckResult& result, TimePoint now);
  /// The configuration was read anew: what was counted stays as far as the new bounds allow.
  void configure(bool enabled, int rise, int fall) noexcept;

  /// Sets the counter: to the top, to `rise` (good, but the first failure ends it), or to 0.
  void set_full() noexcept { value_ = top(); }
  void set_rise() noexcept { value_ = rise_; }
  void set_zero() noexcept { value_ = 0; }
  /// `on_error: sudden-death`: what is left is one failure.
  void set_nearly_down() noexcept;

  [[nodiscard]] bool enabled() const noexcept { return enabled_; }
  /// Good, or without a say.
  [[nodiscard]] bool permits() const noexcept { return !enabled_ || value_ >= rise_; }
  [[nodiscard]] bool is_full() const noexcept { return value_ == top(); }
  [[nodiscard]] bool is_zero() const noexcept { return value_ == 0; }
  [[nodiscard]] int value() const noexcept { return value_; }
  [[nodiscard]] int rise() const noexcept { return rise_; }
  [[nodiscard]] int fall() const noexcept { return fall_; }
  [[nodiscard]] const CheckResult& last_result() const noexcept { return last_; }
  /// When last_result() came in; the construction time before the first.
  [[nodiscard]] TimePoint last_check() const noexcept { return last_check_; }
  /// Failures that counted, as HAProxy counts them: not those of a server that was fully down.
  [[nodiscard]] std::uint64_t failed_checks() const noexcept { return failed_checks_; }

  /// What a state file brings back. `value` is brought into bounds.
  void restore(int value, std::uint64_t failed_checks, CheckResult last, TimePoint last_check);

 private:
  [[nodiscard]] int top() const noexcept { return rise_ + fall_ - 1; }

  bool enabled_;
  int rise_, fall_;
  int value_;
  CheckResult last_;
  TimePoint last_check_;
  std::uint64_t failed_checks_ = 0;
};

/// When to start the first check of number `position` (0-based) of `count`, so that the checks of one
/// start-up do not fall on one moment. `smallest` is the smallest delay of at least a second among all checks
/// (0 where there is none), `own` this server's.
config::Milliseconds first_check_offset(config::Milliseconds smallest, config::Milliseconds own,
                                        std::size_t position, std::size_t count) noexcept;

}  // namespace sluice::cp
