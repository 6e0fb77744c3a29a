#pragma once

#include <cstdint>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "config/wire.h"
#include "cp/controller.h"
#include "cp/dp_link.h"
#include "cp/lateness.h"
#include "cp/reload.h"
#include "cp/reports.h"
#include "cp/show.h"
#include "cp/side_thread.h"
#include "cp/state_keeper.h"

namespace sluice::cp {

/// What a client may ask for: everything, or only what changes nothing ("show", "explain", "wait").
enum class Access : std::uint8_t { admin, read_only };

/// Answers the requests of cp.sock, all but "wait" (waiting.h): shows, does what the operator asks, reloads.
///
/// Views of thousands of servers are put together on a side thread. Who may only look is shown a picture
/// that may be Reports::kRecent old.
///
/// What an operator asked for is in the state file, and the data plane does it, before the reply says that it
/// is done: after "server drain" no further connection goes there.
///
/// Thread: the io_context's one. All that it is given must outlive it.
class Requests {
 public:
  /// `process`: version, config_file, pid; the rest is filled in.
  Requests(Controller& controller, DpLink& link, Reload& reload, StateKeeper& keeper, Reports& reports,
           SideThread& views, const Lateness& lateness, ProcessView process);

  /// The reply line to one request; whatever fails is an error reply. `asker`: who stands in the log for what
  /// is changed, e.g. "uid 0". Pre: it is not "wait".
  boost::asio::awaitable<std::string> answer(config::CpRequest request, Access access, std::string asker);

 private:
  boost::asio::awaitable<std::string> show(config::ShowRequest request, Access access) const;
  boost::asio::awaitable<std::string> explain(config::ExplainRequest request) const;
  boost::asio::awaitable<std::string> change(config::ServerRequest request, std::string asker);
  boost::asio::awaitable<std::string> kill(config::KillRequest request, std::string asker) const;
  boost::asio::awaitable<std::string> reload(std::string asker);

  Controller& controller_;
  DpLink& link_;
  Reload& reload_;
  StateKeeper& keeper_;
  Reports& reports_;
  SideThread& views_;
  const Lateness& lateness_;
  ProcessView process_;
  TimePoint started_;
};

}  // namespace sluice::cp
