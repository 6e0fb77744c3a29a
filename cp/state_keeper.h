#pragma once

#include <cstdint>
#include <filesystem>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/controller.h"
#include "cp/side_thread.h"

namespace sluice::cp {

/// Keeps the state file in step with the controller: written as a whole at once when something changes, for a
/// kill may follow; then again only when writing has rested for twenty times as long as it took, a second at
/// most, so that many changes cost a twentieth of a core; at least once a minute (so that its age tells how
/// long nobody has looked after the servers), and at the end. A file that cannot be written is told of once.
/// The side thread writes, one file after the other, each what the controller knew when save() was called.
/// Thread: the io_context's one. Controller and side thread must outlive the io_context's run.
class StateKeeper {
 public:
  StateKeeper(const boost::asio::any_io_executor& executor, Controller& controller, SideThread& side,
              std::filesystem::path file)
      : controller_(controller),
        side_(side),
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
  /// Returns when the file says what is known now, or cannot be written.
  boost::asio::awaitable<void> save();
  /// The same for the end of the process. Pre: the side thread has ended.
  void save_at_end();

 private:
  [[nodiscard]] SavedState take();
  void tell(const base::Result<void>& written);

  Controller& controller_;
  SideThread& side_;
  std::filesystem::path file_;
  boost::asio::steady_timer wake_;   ///< cancelled by wake()
  boost::asio::steady_timer pause_;  ///< changes gather
  std::uint64_t saved_revision_ = 0;
  bool failed_ = false;
};

}  // namespace sluice::cp
