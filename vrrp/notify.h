#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "config/vrrp.h"
#include "vrrp/command.h"
#include "vrrp/virtual_router.h"

namespace sluice::vrrp {

/// Tells the commands of an instance's `notify` of its states. The commands of one instance run one after the
/// other, so that the last to run is that of the state it is in. Thread: the loop's.
class Notifier {
 public:
  /// A command that takes longer is killed.
  static constexpr std::chrono::seconds kLimit{30};

  explicit Notifier(Commands& commands) noexcept : commands_(commands) {}

  /// `state` has been entered; init: the instance has stopped.
  void entered(const config::VrrpInstance& instance, State state, std::uint8_t priority);

  /// A master has heard a lower priority: `notify_master_rx_lower_pri`, unless it waits to be run already.
  void heard_lower_priority(const config::VrrpInstance& instance);
  /// The loop ends: what waits is started at once, with nobody to wait for it.
  void start_all();

  /// What is to be run, in this order: the state's command, then `notify` with keepalived's arguments.
  [[nodiscard]] static std::vector<std::vector<std::string>> commands_of(const config::VrrpInstance& instance,
                                                                         State state, std::uint8_t priority);

 private:
  struct Queue {
    std::deque<std::vector<std::string>> waiting;
    bool running = false;
  };
  void line_up(const std::string& instance, const std::vector<std::vector<std::string>>& commands);
  void next(const std::string& instance);

  Commands& commands_;
  std::map<std::string, Queue> queues_;  ///< by instance
};

}  // namespace sluice::vrrp
