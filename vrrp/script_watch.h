#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "config/vrrp.h"
#include "vrrp/command.h"
#include "vrrp/tracking.h"

namespace sluice::vrrp {

/// Runs the script of a tracker again and again and counts how it ends. A run that takes longer than the
/// interval puts the next one off. Thread: the loop's.
class ScriptWatch {
 public:
  /// `before`: the watch that it takes the place of at a reload: what that one knows holds until the script
  /// has run anew. Null: there is none.
  ScriptWatch(base::EventLoop& loop, Commands& commands, config::VrrpTrackScript script,
              std::function<void()> changed, const ScriptWatch* before);
  ScriptWatch(const ScriptWatch&) = delete;
  ScriptWatch& operator=(const ScriptWatch&) = delete;
  ~ScriptWatch();

  /// Has run to its end once, or need not be waited for.
  [[nodiscard]] bool known() const noexcept { return known_; }
  [[nodiscard]] bool up() const noexcept { return count_.up(); }
  /// What the last failure was: "script check_x exited with 1".
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] const config::VrrpTrackScript& script() const noexcept { return script_; }

 private:
  void run();
  void saw(bool success, const std::string& how);

  base::EventLoop& loop_;
  Commands& commands_;
  config::VrrpTrackScript script_;
  std::function<void()> changed_;
  RiseAndFall count_;
  bool known_ = false;
  std::string reason_;
  Commands::Id running_ = Commands::Id::none;
  base::EventLoop::TimerId timer_ = base::EventLoop::TimerId::none;
};

}  // namespace sluice::vrrp
