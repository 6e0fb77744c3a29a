#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "vrrp/command.h"
#include "vrrp/dataplane_watch.h"
#include "vrrp/messages.h"
#include "vrrp/roster.h"
#include "vrrp/script_watch.h"
#include "vrrp/tracking.h"

namespace sluice::vrrp {

/// All that the instances watch beside their own interface, which is the kernel side's. Thread: main.
class Trackers {
 public:
  /// `looked`: something that the instance watches may have changed; tracked() says what it is now.
  using Looked = std::function<void(Member& member)>;

  /// `roster` and `commands` must outlive it.
  Trackers(base::EventLoop& loop, Commands& commands, std::string runtime_dir, Roster& roster, Looked looked);
  ~Trackers();

  /// The roster has changed: watches what its members want watched from now on.
  void replace();
  /// Enough is known of what the member watches for a first judgement.
  [[nodiscard]] bool ready(const Member& member) const;
  [[nodiscard]] std::vector<Tracked> tracked(const Member& member) const;

  void interface_is(const TrackedInterface& news);

 private:
  using ScriptKey = std::pair<std::string, std::string>;  ///< instance, script
  void look_all();

  base::EventLoop& loop_;
  Commands& commands_;
  std::string runtime_dir_;
  Roster& roster_;
  Looked looked_;
  std::map<std::string, TrackedInterface> interfaces_;
  std::map<ScriptKey, std::unique_ptr<ScriptWatch>> scripts_;
  std::unique_ptr<DataplaneWatch> dataplane_;
};

}  // namespace sluice::vrrp
