#pragma once

#include <chrono>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/model.h"
#include "cp/check/check_target.h"

namespace sluice::cp {

/// When a check that runs is over, as HAProxy has it: without check.timeout, interval after it began,
/// whatever it does. With it, each connect (TLS included) has target.connect_timeout, and what follows has
/// check.timeout, counted anew from there; a probe that connects tells of both. Thread: that of the
/// coroutines. The target must outlive it.
class CheckClock {
 public:
  CheckClock(const boost::asio::any_io_executor& executor, const CheckTarget& target)
      : target_(target), timer_(executor) {
    allow(target.timeout);
  }
  void connecting() {
    if (target_.check.timeout) allow(target_.connect_timeout);
  }
  void connected() {
    if (target_.check.timeout) allow(target_.timeout);
  }
  /// Returns when the time is up.
  boost::asio::awaitable<void> run_out();

 private:
  void allow(config::Milliseconds time) {
    due_ = std::chrono::steady_clock::now() + time;
    timer_.expires_at(due_);  // who waits looks again
  }

  const CheckTarget& target_;
  std::chrono::steady_clock::time_point due_;
  boost::asio::steady_timer timer_;
};

}  // namespace sluice::cp
