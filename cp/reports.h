#pragma once

#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "config/report.h"
#include "cp/controller.h"
#include "cp/dp_link.h"

namespace sluice::cp {

/// What both planes know at one moment, for those who look at it. Immutable: any thread may read it.
struct Picture {
  std::shared_ptr<const Controller> controller;
  base::Result<config::DataplaneReport> report{base::Error{}};  ///< Error: why there is none
};

/// Takes pictures. Who only looks may be given one that is up to kRecent old, so that any number of lookers
/// costs one a second. Thread: the io_context's one. Controller and link must outlive it.
class Reports {
 public:
  static constexpr std::chrono::seconds kRecent{1};

  Reports(const boost::asio::any_io_executor& executor, const Controller& controller, const DpLink& link)
      : done_(executor, boost::asio::steady_timer::time_point::max()), controller_(controller), link_(link) {}

  using PicturePtr = std::shared_ptr<const Picture>;
  boost::asio::awaitable<PicturePtr> fresh(bool with_report) const;
  /// One for all who ask while it is taken.
  boost::asio::awaitable<PicturePtr> recent();

 private:
  boost::asio::steady_timer done_;  ///< never expires: cancelled when recent_ was taken
  const Controller& controller_;
  const DpLink& link_;
  PicturePtr recent_;
  TimePoint taken_{};
  bool taking_ = false;
};

}  // namespace sluice::cp
