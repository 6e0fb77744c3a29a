#pragma once

#include <functional>
#include <set>
#include <string>

#include "base/event_loop.h"
#include "base/unix_channel.h"
#include "vrrp/dataplane_health.h"

namespace sluice::vrrp {

/// Asks the data plane for signs of life, five times a second, one question at a time. Thread: the loop's.
class DataplaneWatch {
 public:
  static constexpr std::chrono::milliseconds kPeriod{200};

  /// `looked`: called after each answer and each tick: what health() says may have changed.
  DataplaneWatch(base::EventLoop& loop, const std::string& runtime_dir, std::function<void()> looked);
  DataplaneWatch(const DataplaneWatch&) = delete;
  DataplaneWatch& operator=(const DataplaneWatch&) = delete;
  ~DataplaneWatch();

  /// Whose usable servers are asked for. Until they have been told, health() is not known.
  void ask_for(std::set<std::string> services);
  [[nodiscard]] const DataplaneHealth& health() const noexcept { return health_; }

 private:
  void ask();
  void tick();

  base::EventLoop& loop_;
  std::function<void()> looked_;
  DataplaneHealth health_;
  std::set<std::string> services_;
  std::set<std::string> asked_services_;  ///< by the question that is out
  bool asked_ = false;
  base::UnixClient client_;
  base::EventLoop::TimerId timer_;
};

}  // namespace sluice::vrrp
