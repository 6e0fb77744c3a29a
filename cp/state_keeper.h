#pragma once

#include <cstdint>
#include <filesystem>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/controller.h"

namespace sluice::cp {

/// Keeps the state file in step with the controller: written as a whole at once when something changes, for a
/// kill may follow; then again only when writing has rested for twenty times as long as it took, a second at
/// most, so that many changes cost a twentieth of a core; at least once a minute (so that its age tells how
/// long nobody has looked after the servers), and at the end. A file that cannot be written is told of once.
/// Thread: the io_context's one. The controller must outlive the io_context's run.
class StateKeeper {
 public:
  StateKeeper(const boost::asio::any_io_executor& executor, Controller& controller,
              std::filesystem::path file)
      : controller_(controller),
        file_(std::move(file)),
        wake_(executor, boost::asio::steady_timer::time_point::max()),
        pause_(executor) {}

  /// Gives the controller what the file holds. That there is none is no fault; one that cannot be understood
  /// is told of and passed over.
  void restore();
  /// Runs until the io_context stops.
  boost::asio::awaitable<void> run();
  /// There may be a change.
  void wake() { wake_.cancel(); }
  void save();

 private:
  Controller& controller_;
  std::filesystem::path file_;
  boost::asio::steady_timer wake_;   ///< cancelled by wake()
  boost::asio::steady_timer pause_;  ///< changes gather
  std::uint64_t saved_revision_ = 0;
  bool failed_ = false;
};

}  // namespace sluice::cp
