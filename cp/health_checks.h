#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "cp/controller.h"

namespace sluice::cp {

/// Checks every server that has a check, one coroutine each: probe, tell the controller, wait. The first
/// checks are spread; each following delay counts from the end of the check before. Thread: the io_context's
/// one. The controller must outlive the io_context's run.
class HealthChecks {
 public:
  HealthChecks(boost::asio::any_io_executor executor, Controller& controller)
      : executor_(std::move(executor)), controller_(controller) {}

  /// Starts all of them; they run until the io_context stops.
  void start();

 private:
  boost::asio::awaitable<void> watch(ServerId id, config::Milliseconds first);

  boost::asio::any_io_executor executor_;
  Controller& controller_;
};

}  // namespace sluice::cp
