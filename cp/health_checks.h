#pragma once

#include <unordered_map>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/controller.h"

namespace sluice::cp {

/// Checks every server that has a check, one coroutine each: probe, tell the controller, wait. The first
/// checks are spread; each following delay counts from the end of the check before. Thread: the io_context's
/// one. The controller must outlive the io_context's run.
class HealthChecks {
 public:
  HealthChecks(boost::asio::any_io_executor executor, Controller& controller)
      : executor_(std::move(executor)), controller_(controller) {}

  /// Starts checking the servers that are not checked yet; those that are gone end by themselves. Call it at
  /// the start and after each change of the configuration.
  void sync();
  /// The server's next check is to come after check.fast_interval at the latest.
  void hurry(ServerId id);

 private:
  boost::asio::awaitable<void> watch(ServerId id, config::Milliseconds first);

  boost::asio::any_io_executor executor_;
  Controller& controller_;
  std::unordered_map<ServerId, boost::asio::steady_timer*> watched_;  ///< timers on the stack of watch()
};

}  // namespace sluice::cp
