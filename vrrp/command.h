#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/fd.h"
#include "base/result.h"

namespace sluice::vrrp {

/// Runs commands of the configuration: each in a process group of its own, with nothing open but /dev/null,
/// killed as a whole when it takes too long. Thread: the loop's.
class Commands {
 public:
  enum class Id : std::uint64_t { none = 0 };
  struct End {
    bool timed_out = false;
    int exit_code = 0;  ///< -1: ended by a signal
    [[nodiscard]] bool success() const noexcept { return !timed_out && exit_code == 0; }
    /// "exited with 3", "took longer than 1.0 s and was killed".
    [[nodiscard]] std::string text(std::chrono::milliseconds limit) const;
  };
  using Ended = std::function<void(const End& end)>;

  explicit Commands(base::EventLoop& loop) noexcept : loop_(loop) {}
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;
  /// Those that run go on by themselves.
  ~Commands();

  /// Starts `command` (absolute path, arguments); `ended` is called from the loop. Errors: it cannot be run.
  base::Result<Id> start(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                         Ended ended);
  /// Kills it; its `ended` is not called. Does nothing when it has ended.
  void cancel(Id id);

 private:
  struct Child {
    int pid = 0;
    base::Fd pidfd;
    base::EventLoop::TimerId limit = base::EventLoop::TimerId::none;
    bool timed_out = false;
    Ended ended;
  };
  void reap(Id id);

  base::EventLoop& loop_;
  std::uint64_t last_ = 0;
  std::map<Id, Child> children_;
};

}  // namespace sluice::vrrp
