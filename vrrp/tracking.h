#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/vrrp_report.h"

/// What the things that an instance watches make of it. Each has a weight: 0: while it is down the instance
/// is in FAULT; > 0: added to the priority while it is up; < 0: added while it is down. Pure. Thread: any.
namespace sluice::vrrp {

enum class TrackerKind : std::uint8_t {
  interface,  ///< of track_interface
  link,       ///< the instance's own interface
  address,    ///< it has none to send from
  dataplane,
  script,
  service,
  socket,  ///< none could be opened
};
[[nodiscard]] std::string_view name(TrackerKind kind) noexcept;  ///< as in config::VrrpTrouble

/// One thing that is watched, as it is now.
struct Tracked {
  TrackerKind kind = TrackerKind::interface;
  std::int16_t weight = 0;
  bool up = true;
  std::string reason{};  ///< a sentence, while it is down: "interface lan is down"
};

struct Verdict {
  bool faulty = false;
  std::uint8_t priority = 100;                ///< effective
  std::vector<config::VrrpTrouble> troubles;  ///< all that is down, in the order given
};

/// `priority`: as configured; an owner's (255) is never changed, all others stay within 1..254 (as with
/// keepalived). `weights_count`: false for members of a sync group: there a weight other than 0 does nothing
/// (as with keepalived), since members with different priorities could not move together.
[[nodiscard]] Verdict judge(std::uint8_t priority, std::span<const Tracked> tracked, bool weights_count);

/// Results of a check in a row: `fall` failures bring down what is up, `rise` successes bring it back. What
/// has not been checked yet is up, and its first failure brings it down at once, as with keepalived; or, with
/// `init_fail`, down.
class RiseAndFall {
 public:
  RiseAndFall(std::uint16_t rise, std::uint16_t fall, bool init_fail) noexcept;
  /// Returns whether up() has changed.
  bool saw(bool success) noexcept;
  [[nodiscard]] bool up() const noexcept { return count_ >= rise_; }
  /// Of a reload: up() stays.
  void set(std::uint16_t rise, std::uint16_t fall) noexcept;

 private:
  std::uint32_t rise_, fall_;
  std::uint32_t count_;  ///< 0 .. rise - 1: down, rise .. rise + fall - 1: up
};

}  // namespace sluice::vrrp
