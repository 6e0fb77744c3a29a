#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sluice::base {

/// A single-threaded epoll loop: descriptors (level-triggered), timers, and work posted by other threads.
///
/// Thread: all from the loop's own thread, save post() and stop(), which any thread may call.
/// Callbacks may add, change and remove any descriptor or timer, their own included; one that was removed is
/// not called again, not even when its event had already been collected. They must not destroy the loop.
class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;
  using Task = std::function<void()>;
  /// Takes the ready events (EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, …).
  using FdCallback = std::function<void(std::uint32_t events)>;
  enum class TimerId : std::uint64_t { none = 0 };

  static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() = default;

  /// Watches `fd`, which stays the caller's; it must be removed before it is closed.
  Result<void> add(int fd, std::uint32_t events, FdCallback callback);
  /// Changes the events that are watched for; 0 leaves errors and hang-ups, which are always told.
  Result<void> modify(int fd, std::uint32_t events);
  /// Does nothing when `fd` is not watched.
  void remove(int fd) noexcept;

  /// Calls `task` once, `delay` from now or a little later. The id is spent when it has been called.
  TimerId after(Milliseconds delay, Task task);
  /// Calls `task` every `period` (> 0); periods that the loop was too busy for are left out, not made up for.
  TimerId every(Milliseconds period, Task task);
  /// Does nothing when the timer is spent or cancelled.
  void cancel(TimerId timer) noexcept;

  /// Calls `task` in the loop's thread, in the order of posting. Tasks posted after run() has returned wait
  /// for the next run; those still waiting at destruction are dropped.
  void post(Task task);

  /// Runs until stop(). A stop() that came before ends it at once.
  void run();
  /// Waits at most `limit` for something to do and does it. Returns false when nothing came.
  bool run_once(Milliseconds limit);
  /// Makes run() return after the callback in progress.
  void stop() noexcept;

 private:
  struct Watch {
    int fd;
    FdCallback callback;
  };
  struct Timer {
    Clock::time_point due;
    Clock::duration period;  ///< zero: once
    Task task;
  };
  using Due = std::pair<Clock::time_point, std::uint64_t>;

  EventLoop(Fd epoll, Fd wake) noexcept : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  TimerId start_timer(Milliseconds delay, Milliseconds period, Task task);
  /// Milliseconds for epoll_wait: until the next timer, rounded up, at most `limit` (negative: none).
  [[nodiscard]] int timeout(int limit) const noexcept;
  bool step(int limit);
  bool serve_timers();
  bool serve_posted();
  void drain_wake() noexcept;
  void wake() noexcept;

  Fd epoll_;
  Fd wake_;                                      ///< eventfd; its epoll key is 0
  std::unordered_map<int, std::uint64_t> keys_;  ///< fd → key of its watch
  std::unordered_map<std::uint64_t, std::shared_ptr<const Watch>>
      watches_;  ///< by key; a key is never used twice
  std::map<Due, std::shared_ptr<Timer>> due_;
  std::unordered_map<std::uint64_t, Clock::time_point> timers_;  ///< id → its place in due_
  std::uint64_t last_key_ = 0;
  std::uint64_t last_timer_ = 0;
  std::mutex posted_mutex_;
  std::vector<Task> posted_;  ///< guarded by posted_mutex_
  std::atomic<bool> stopped_ = false;
};

}  // namespace sluice::base
