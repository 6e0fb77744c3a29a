#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "config/wire.h"
#include "cp/check/check_target.h"
#include "cp/controller.h"
#include "cp/dp_link.h"

namespace sluice::cp {

/// Reads the configuration file anew, for `sluice reload` and SIGHUP. All or nothing: a file that cannot be
/// read or is not valid, settings that hold for the life of the data plane, and a state that the data plane
/// refuses all leave everything as it was. What was taken over is written to accepted.json in the runtime
/// directory, from which restarted processes are started, and each change to the log; then sluice-vrrp is
/// told to read it, where there are virtual routers or have been. Thread: the io_context's one. Controller
/// and link must outlive it.
class Reload {
 public:
  /// `file`: what users edit. `adopted` is called with its checks when another configuration holds.
  Reload(Controller& controller, DpLink& link, std::string file, std::filesystem::path runtime_dir,
         std::function<void(PreparedChecks)> adopted)
      : controller_(controller),
        link_(link),
        file_(std::move(file)),
        runtime_dir_(std::move(runtime_dir)),
        adopted_(std::move(adopted)) {}

  /// Error: why nothing has changed; of an invalid file all its diagnostics, one a line; exists where a
  /// reload is under way already.
  boost::asio::awaitable<base::Result<config::ReloadReport>> run();

 private:
  boost::asio::awaitable<base::Result<config::ReloadReport>> attempt();
  /// What came of it, as a sentence; empty: there is nothing to say.
  boost::asio::awaitable<std::string> tell_vrrp();

  Controller& controller_;
  DpLink& link_;
  std::string file_;
  std::filesystem::path runtime_dir_;
  std::function<void(PreparedChecks)> adopted_;
  bool under_way_ = false;
  /// accepted.json holds what sluice-vrrp does not know yet; it is told again with the next reload.
  bool vrrp_behind_ = false;
};

}  // namespace sluice::cp
