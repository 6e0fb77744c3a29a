#pragma once

#include <cstddef>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/controller.h"
#include "cp/dp_link.h"

namespace sluice::cp {

/// Writes the controller's lines to the log, in order, once the data plane runs what they tell of; asks it
/// for the numbers that only it knows of the servers concerned, of a few hundred at a time. A line waits for
/// at most a second, and goes without the numbers then. Thread: the io_context's one. Controller and link
/// must outlive the io_context's run.
class LogWriter {
 public:
  LogWriter(const boost::asio::any_io_executor& executor, Controller& controller, DpLink& link)
      : controller_(controller), link_(link), wake_(executor, boost::asio::steady_timer::time_point::max()) {}

  /// Runs until the io_context stops.
  boost::asio::awaitable<void> run();
  /// There may be new lines.
  void wake() { wake_.cancel(); }
  /// Writes what is left, with no numbers: the process ends.
  void flush();

 private:
  Controller& controller_;
  DpLink& link_;
  std::vector<LogLine> pending_;  ///< taken, not written yet; from first_ on
  std::size_t first_ = 0;
  boost::asio::steady_timer wake_;  ///< cancelled by wake(); never expires by itself
};

}  // namespace sluice::cp
