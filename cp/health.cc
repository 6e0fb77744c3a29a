#include "cp/health.h"

#include <algorithm>

#include <fmt/format.h>

namespace sluice::cp {

Health::Health(const config::Check& check, TimePoint now) noexcept
    : checked_(check.type != config::CheckType::none),
      rise_(check.rise),
      fall_(check.fall),
      interval_(check.interval),
      down_interval_(check.down_interval.value_or(check.interval)),
      fast_interval_(check.fast_interval.value_or(check.interval)),
      value_(check.rise),
      last_check_(now),
      last_change_(now) {}

Transition Health::record(const CheckResult& result, TimePoint now) {
  last_ = result;
  last_check_ = now;
  const bool was_up = is_up();
  if (result.passed()) {
    if (value_ < top()) ++value_;
    if (value_ >= rise_) value_ = top();
  } else {
    ++failed_checks_;
    value_ = value_ > rise_ ? value_ - 1 : 0;
  }
  if (was_up == is_up()) return Transition::none;
  last_change_ = now;
  if (is_up()) return Transition::came_up;
  ++times_down_;
  return Transition::went_down;
}

void Health::assume_down(TimePoint now) noexcept {
  value_ = 0;
  last_change_ = now;
}

config::Milliseconds Health::next_delay() const noexcept {
  if (value_ == top()) return interval_;
  return value_ == 0 ? down_interval_ : fast_interval_;
}

std::string Health::to_string() const {
  if (!checked_) return "no check";
  if (value_ == top()) return "UP";
  if (value_ == 0) return "DOWN";
  // Before the first check the value stands at `rise` without anything having failed: not "going down".
  if (last_.status == CheckStatus::initializing) return "UP";
  return is_up() ? fmt::format("UP {}/{}", value_ - rise_ + 1, fall_)
                 : fmt::format("DOWN {}/{}", value_, rise_);
}

config::Milliseconds first_check_offset(config::Milliseconds smallest, config::Milliseconds own,
                                        std::size_t position, std::size_t count) noexcept {
  if (count == 0) return config::Milliseconds{0};
  const auto window = static_cast<std::size_t>(std::max(smallest, own).count());
  return config::Milliseconds{window * position / count};
}

}  // namespace sluice::cp
