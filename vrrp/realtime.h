#pragma once

#include <functional>
#include <memory>
#include <pthread.h>
#include <string>

#include "base/result.h"

/// What keeps the timers in time on a busy host: threads that go before all ordinary ones (SCHED_FIFO), and
/// memory that is never paged out.
namespace sluice::vrrp {

/// All memory that the process has and will have. Call it before threads are made. Errors: no right.
base::Result<void> lock_memory();

/// A thread; joined when destroyed, so that what it runs must have been told to end before.
class Thread {
 public:
  /// `priority`: of SCHED_FIFO, above its minimum; without the right to that the thread is an ordinary one.
  /// Errors: no thread could be made.
  static base::Result<Thread> start(const char* name, int priority, std::function<void()> body);
  Thread(Thread&&) noexcept = default;
  Thread& operator=(Thread&&) = delete;
  ~Thread();

  [[nodiscard]] bool realtime() const noexcept { return realtime_; }
  /// Why it is not.
  [[nodiscard]] const std::string& why_not() const noexcept { return why_not_; }

 private:
  Thread() = default;
  std::unique_ptr<std::function<void()>> body_;
  pthread_t thread_{};
  bool realtime_ = false;
  std::string why_not_;
};

}  // namespace sluice::vrrp
