#include "cp/health.h"

#include <algorithm>
#include <utility>

namespace sluice::cp {

void Health::record(const CheckResult& result, TimePoint now) {
  last_ = result;
  last_check_ = now;
  if (result.passed()) {
    if (value_ < top()) ++value_;
    if (value_ >= rise_) value_ = top();
  } else if (value_ > 0) {
    ++failed_checks_;
    value_ = value_ > rise_ ? value_ - 1 : 0;
  }
}

void Health::configure(bool enabled, int rise, int fall) noexcept {
  const bool good = value_ >= rise_;
  const bool full = is_full();
  // A check that is new has seen nothing: it starts as at the start of the process.
  const bool fresh = enabled && !enabled_;
  enabled_ = enabled;
  rise_ = rise;
  fall_ = fall;
  if (fresh) {
    value_ = rise_;
  } else if (full) {
    value_ = top();
  } else if (good) {
    value_ = std::clamp(value_, rise_, top());
  } else {
    value_ = std::min(value_, rise_ - 1);
  }
}

void Health::set_nearly_down() noexcept {
  if (value_ > rise_) value_ = rise_ + 1;
}

void Health::restore(int value, std::uint64_t failed_checks, CheckResult last, TimePoint last_check) {
  value_ = std::clamp(value, 0, top());
  failed_checks_ = failed_checks;
  last_ = std::move(last);
  last_check_ = last_check;
}

config::Milliseconds first_check_offset(config::Milliseconds smallest, config::Milliseconds own,
                                        std::size_t position, std::size_t count) noexcept {
  if (count == 0) return config::Milliseconds{0};
  const auto window = static_cast<std::size_t>(std::max(smallest, own).count());
  return config::Milliseconds{window * position / count};
}

}  // namespace sluice::cp
