#pragma once

#include <list>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "config/wire.h"
#include "cp/controller.h"
#include "cp/dp_link.h"

namespace sluice::cp {

/// Lets clients wait until servers are up, down, or drained: no new connections, none open, none queued.
///
/// Up and down are looked at when the controller has changed. Connections are the data plane's knowledge: as
/// long as somebody waits for them, it is asked every kLook about the servers that are waited for, once for
/// all who wait. Thread: the io_context's one. Controller and link must outlive it.
class Waiting {
 public:
  static constexpr std::chrono::milliseconds kLook{150};

  Waiting(const boost::asio::any_io_executor& executor, const Controller& controller, const DpLink& link)
      : changed_(executor, boost::asio::steady_timer::time_point::max()),
        looked_at_(executor, boost::asio::steady_timer::time_point::max()),
        executor_(executor),
        controller_(controller),
        link_(link) {}

  /// Returns once all servers that `request` names are as it wishes, with a sentence that says so. Error: a
  /// name is unknown, or the time is over; then what is missing. May be cancelled.
  boost::asio::awaitable<base::Result<std::string>> until(config::WaitRequest request);

  /// The controller has changed.
  void wake() { changed_.cancel(); }

 private:
  /// Empty: as wished. Else what is missing: `server "web/s1" has 12 connections`.
  [[nodiscard]] std::string missing_health(const config::WaitRequest& request) const;
  [[nodiscard]] std::string missing_drained(const config::WaitRequest& request, TimePoint since) const;
  /// Asks for a report on all servers that are waited for, unless one was asked for after `since` and within
  /// kLook.
  boost::asio::awaitable<void> look(TimePoint since);
  [[nodiscard]] base::Result<void> names_are_known(const config::WaitRequest& request) const;

  boost::asio::steady_timer changed_;    ///< never expires: cancelled by wake()
  boost::asio::steady_timer looked_at_;  ///< never expires: cancelled when a look has ended
  boost::asio::any_io_executor executor_;
  const Controller& controller_;
  const DpLink& link_;
  std::optional<config::DataplaneReport> report_;
  std::string no_report_;                     ///< why there is none
  std::list<config::ServerName> waited_for_;  ///< to be drained, once for each who waits
  TimePoint looked_{};                        ///< when report_, or none, was asked for
  bool looking_ = false;
};

}  // namespace sluice::cp
