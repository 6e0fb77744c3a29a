#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/controller.h"
#include "cp/dp_link.h"

namespace sluice::cp {

/// Asks the data plane again and again what it does not tell by itself: which servers fail real connections
/// (every 150 ms, as long as some server has `observe`), and whether it still runs what it was given (every
/// 10 s). Thread: the io_context's one. Controller and link must outlive the io_context's run.
class DpWatch {
 public:
  DpWatch(const boost::asio::any_io_executor& executor, Controller& controller, DpLink& link)
      : controller_(controller), link_(link), pause_(executor), slow_pause_(executor) {}

  /// Both run until the io_context stops.
  boost::asio::awaitable<void> watch_failures();
  boost::asio::awaitable<void> watch_generation();

 private:
  Controller& controller_;
  DpLink& link_;
  boost::asio::steady_timer pause_, slow_pause_;
};

}  // namespace sluice::cp
