#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "tools/sluice/child.h"
#include "tools/sluice/event.h"
#include "tools/sluice/ready_socket.h"

namespace sluice::cli {

/// Keeps the data plane, the control plane and the VRRP speaker running.
///
/// Start: the VRRP speaker, which takes away what an earlier one has left behind, and has no addresses before
/// the data plane forwards; the data plane; once that is ready, the control plane; once all are, sluice is
/// (sd_notify READY=1). One that ends before it ever was ready ends everything: what is wrong with the
/// machine or the configuration does not get better by trying. One that dies later is started again, at once,
/// or with a growing pause when it keeps dying young. The others are left alone: each finds the others again
/// by itself. SIGTERM, SIGINT: first the VRRP speaker is stopped, so that the addresses are elsewhere before
/// packets are no longer forwarded, then the control plane, then the data plane, each with SIGTERM, and
/// SIGKILL after kGrace; a second signal kills all at once. SIGHUP: the control plane reads the configuration
/// file anew, and the log says what came of it. Thread: the one that calls run().
class Supervisor {
 public:
  static constexpr std::chrono::seconds kGrace{5};         ///< from SIGTERM to SIGKILL
  static constexpr std::chrono::seconds kReadyWithin{60};  ///< a child that takes longer to start never will
  static constexpr std::chrono::seconds kYoung{10};  ///< a death before that age makes the next pause longer

  struct Programs {
    Program data_plane, control_plane, vrrp;
  };
  Supervisor(Programs programs, std::filesystem::path runtime_dir);

  /// Returns after all children have ended: nothing when stopped by a signal, Error when the start failed.
  base::Result<void> run();

  /// The pause before the next start, after `deaths` (0: none) young deaths in a row before this one.
  static std::chrono::milliseconds restart_pause(unsigned deaths) noexcept;

 private:
  struct Child {
    Child(Program what, const boost::asio::any_io_executor& executor)
        : program(std::move(what)), first_ready(executor), ended(executor) {
      ended.set();
    }
    Program program;
    pid_t pid = 0;  ///< 0: not running
    int wait_status = 0;
    bool ready = false;  ///< this process of it
    unsigned young_deaths = 0;
    std::chrono::steady_clock::time_point started;
    Event first_ready;  ///< some process of it was ready
    Event ended;        ///< reset while one runs
  };

  boost::asio::awaitable<void> supervise();
  /// Returns when all are ready, or one failed, or a signal came.
  boost::asio::awaitable<void> start_up();
  boost::asio::awaitable<void> keep(Child& child);
  boost::asio::awaitable<bool> until_ready(Child& child);
  boost::asio::awaitable<void> stop(Child& child);
  boost::asio::awaitable<void> wait_for_leftovers();
  boost::asio::awaitable<void> take_notices(ReadySocket& socket);
  boost::asio::awaitable<void> take_signals();
  /// In the order in which they are stopped.
  [[nodiscard]] std::array<Child*, 3> children() noexcept { return {&vrrp_, &control_plane_, &data_plane_}; }
  base::Result<void> start(Child& child);
  void reap();
  /// Asks the control plane to reload; SIGHUPs that come meanwhile lead to one more reload.
  boost::asio::awaitable<void> reload();
  void fail(std::string sentence);

  std::filesystem::path runtime_dir_;
  std::filesystem::path notify_path_;
  boost::asio::io_context io_;
  boost::asio::signal_set signals_;
  Child data_plane_, control_plane_, vrrp_;
  Event stopping_;
  unsigned stop_signals_ = 0;
  bool reloading_ = false;
  bool reload_again_ = false;
  base::Result<void> outcome_;
};

}  // namespace sluice::cli
