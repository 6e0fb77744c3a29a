#include "vrrp/line_order.h"

#include <utility>

namespace sluice::vrrp {

void LineOrder::take(KernelLine line) {
  if (!line.order) return write_(line);
  const InstanceId instance = line.order->instance;
  kept_[instance].push_back(std::move(line));
  write_what_fits(instance);
}

void LineOrder::entered(InstanceId instance, State state) {
  states_[instance] = state;
  write_what_fits(instance);
}

void LineOrder::write_what_fits(InstanceId instance) {
  const auto kept = kept_.find(instance);
  if (kept == kept_.end()) return;
  const bool holds = states_[instance] == State::master;
  auto& lines = kept->second;
  while (!lines.empty() && lines.front().order->hold == holds) {
    write_(lines.front());
    lines.pop_front();
  }
  if (lines.empty()) kept_.erase(kept);
}

void LineOrder::flush() {
  for (const auto& [instance, lines] : std::exchange(kept_, {})) {
    for (const KernelLine& line : lines) write_(line);
  }
}

}  // namespace sluice::vrrp
