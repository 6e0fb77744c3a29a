#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "cp/controller.h"
#include "cp/dp_link.h"

namespace sluice::cp {

/// Checks every server that has a check, one coroutine each: probe, tell the controller, wake the link, log,
/// wait. The first checks are spread; each following delay counts from the end of the check before. Thread:
/// the io_context's one. Controller and link must outlive the io_context's run.
class HealthChecks {
 public:
  HealthChecks(boost::asio::any_io_executor executor, Controller& controller, DpLink& link)
      : executor_(std::move(executor)), controller_(controller), link_(link) {}

  /// Starts all of them; they run until the io_context stops.
  void start();

 private:
  boost::asio::awaitable<void> watch(ServerKey key, config::Milliseconds first);
  /// Writes the log lines of a change; asks the data plane how many connections the server still has.
  boost::asio::awaitable<void> log_down(ServerKey key);
  void log_up(ServerKey key) const;

  boost::asio::any_io_executor executor_;
  Controller& controller_;
  DpLink& link_;
};

}  // namespace sluice::cp
