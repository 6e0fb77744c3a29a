#include "vrrp/tracking.h"

#include <algorithm>

#include "vrrp/advert.h"

namespace sluice::vrrp {

std::string_view name(TrackerKind kind) noexcept {
  switch (kind) {
    case TrackerKind::interface: return "interface";
    case TrackerKind::link: return "link";
    case TrackerKind::address: return "address";
    case TrackerKind::dataplane: return "dataplane";
    case TrackerKind::script: return "script";
    case TrackerKind::service: return "service";
    case TrackerKind::socket: return "socket";
  }
  return "";
}

Verdict judge(std::uint8_t priority, std::span<const Tracked> tracked, bool weights_count) {
  Verdict verdict;
  int effective = priority;
  for (const Tracked& thing : tracked) {
    if (!thing.up) {
      verdict.troubles.push_back(
          {.tracker = std::string(name(thing.kind)), .reason = thing.reason, .weight = thing.weight});
    }
    if (thing.weight == 0) {
      verdict.faulty = verdict.faulty || !thing.up;
    } else if (weights_count && (thing.weight > 0) == thing.up) {
      effective += thing.weight;
    }
  }
  verdict.priority = priority == kPriorityOwner
                         ? priority
                         : static_cast<std::uint8_t>(std::clamp(effective, 1, kPriorityOwner - 1));
  return verdict;
}

RiseAndFall::RiseAndFall(std::uint16_t rise, std::uint16_t fall, bool init_fail) noexcept
    : rise_(std::max<std::uint32_t>(rise, 1)),
      fall_(std::max<std::uint32_t>(fall, 1)),
      count_(init_fail ? 0 : rise_) {}

bool RiseAndFall::saw(bool success) noexcept {
  const bool before = up();
  if (success) {
    count_ = count_ + 1 < rise_ ? count_ + 1 : rise_ + fall_ - 1;
  } else {
    count_ = count_ > rise_ ? count_ - 1 : 0;
  }
  return up() != before;
}

void RiseAndFall::set(std::uint16_t rise, std::uint16_t fall) noexcept {
  const bool was_up = up();
  rise_ = std::max<std::uint32_t>(rise, 1);
  fall_ = std::max<std::uint32_t>(fall, 1);
  count_ = was_up ? rise_ + fall_ - 1 : 0;
}

}  // namespace sluice::vrrp
