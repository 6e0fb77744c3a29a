#include "base/event_loop.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <limits>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace sluice::base {
namespace {

constexpr std::uint64_t kWakeKey = 0;
constexpr std::size_t kEventsPerWait = 64;

std::string descriptor(int fd) {
  return "descriptor " + std::to_string(fd);
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll) return system_error("event loop: epoll_create1", errno);
  Fd wake{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!wake) return system_error("event loop: eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeKey;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return system_error("event loop: epoll_ctl", errno);
  }
  return std::unique_ptr<EventLoop>{new EventLoop{std::move(epoll), std::move(wake)}};
}

Result<void> EventLoop::add(int fd, std::uint32_t events, FdCallback callback) {
  const std::uint64_t key = last_key_ + 1;
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return system_error(descriptor(fd) + ": cannot be watched", errno);
  }
  last_key_ = key;
  // The kernel forgets a descriptor that was closed while watched; what is left of it here goes now.
  if (const auto stale = keys_.find(fd); stale != keys_.end()) watches_.erase(stale->second);
  keys_[fd] = key;
  watches_[key] = std::make_shared<const Watch>(Watch{fd, std::move(callback)});
  return {};
}

Result<void> EventLoop::modify(int fd, std::uint32_t events) {
  const auto key = keys_.find(fd);
  if (key == keys_.end()) return Error{ErrorCode::not_found, descriptor(fd) + ": is not watched"};
  epoll_event event{};
  event.events = events;
  event.data.u64 = key->second;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    return system_error(descriptor(fd) + ": cannot be watched", errno);
  }
  return {};
}

void EventLoop::remove(int fd) noexcept {
  const auto key = keys_.find(fd);
  if (key == keys_.end()) return;
  // Fails only when the descriptor was closed already, and then the kernel has forgotten it by itself.
  static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr));
  watches_.erase(key->second);
  keys_.erase(key);
}

EventLoop::TimerId EventLoop::after(Milliseconds delay, Task task) {
  return start_timer(delay, Milliseconds::zero(), std::move(task));
}

EventLoop::TimerId EventLoop::every(Milliseconds period, Task task) {
  assert(period > Milliseconds::zero());
  return start_timer(period, period, std::move(task));
}

EventLoop::TimerId EventLoop::start_timer(Milliseconds delay, Milliseconds period, Task task) {
  const std::uint64_t id = ++last_timer_;
  const auto due = Clock::now() + delay;
  due_.emplace(Due{due, id}, std::make_shared<Timer>(Timer{due, period, std::move(task)}));
  timers_.emplace(id, due);
  return TimerId{id};
}

void EventLoop::cancel(TimerId timer) noexcept {
  const auto found = timers_.find(static_cast<std::uint64_t>(timer));
  if (found == timers_.end()) return;
  due_.erase(Due{found->second, found->first});
  timers_.erase(found);
}

void EventLoop::post(Task task) {
  {
    const std::lock_guard lock{posted_mutex_};
    posted_.push_back(std::move(task));
  }
  wake();
}

void EventLoop::run() {
  while (!stopped_.load(std::memory_order_acquire)) step(-1);
  stopped_.store(false, std::memory_order_release);  // the loop may be run again
}

bool EventLoop::run_once(Milliseconds limit) {
  return step(
      static_cast<int>(std::clamp<Milliseconds::rep>(limit.count(), 0, std::numeric_limits<int>::max())));
}

void EventLoop::stop() noexcept {
  stopped_.store(true, std::memory_order_release);
  wake();
}

int EventLoop::timeout(int limit) const noexcept {
  if (due_.empty()) return limit;
  const auto left = std::chrono::ceil<Milliseconds>(due_.begin()->first.first - Clock::now()).count();
  const auto most = limit < 0 ? std::numeric_limits<int>::max() : limit;
  return static_cast<int>(std::clamp<Milliseconds::rep>(left, 0, most));
}

bool EventLoop::step(int limit) {
  std::array<epoll_event, kEventsPerWait> events{};
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout(limit));
  bool served = false;
  for (int i = 0; i < count && !stopped_.load(std::memory_order_acquire); ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kWakeKey) {
      drain_wake();
      continue;
    }
    const std::uint64_t key = event.data.u64;  // a copy: the kernel's struct is packed
    const auto watch = watches_.find(key);
    if (watch == watches_.end()) continue;  // removed by a callback of this very round
    const auto alive = watch->second;       // the callback may remove itself
    alive->callback(event.events);
    served = true;
  }
  served |= serve_timers();
  served |= serve_posted();
  return served;
}

bool EventLoop::serve_timers() {
  bool served = false;
  const auto now = Clock::now();  // a timer that a callback starts is due after this: the loop cannot starve
  while (!due_.empty() && !stopped_.load(std::memory_order_acquire)) {
    const auto first = due_.begin();
    if (first->first.first > now) break;
    const std::uint64_t id = first->first.second;
    const auto timer = first->second;  // the task may cancel its own timer
    due_.erase(first);
    if (timer->period == Clock::duration::zero()) {
      timers_.erase(id);
    } else {
      timer->due += timer->period;
      if (timer->due <= now) timer->due = now + timer->period;
      due_.emplace(Due{timer->due, id}, timer);
      timers_[id] = timer->due;
    }
    timer->task();
    served = true;
  }
  return served;
}

bool EventLoop::serve_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock{posted_mutex_};
    tasks.swap(posted_);
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (stopped_.load(std::memory_order_acquire)) {  // the rest waits for the next run, in order
      const std::lock_guard lock{posted_mutex_};
      posted_.insert(posted_.begin(), std::move_iterator(tasks.begin() + static_cast<std::ptrdiff_t>(i)),
                     std::move_iterator(tasks.end()));
      wake();
      break;
    }
    tasks[i]();
  }
  return !tasks.empty();
}

void EventLoop::drain_wake() noexcept {
  std::uint64_t count = 0;
  // Non-blocking; nothing to read means that it is drained already.
  static_cast<void>(::read(wake_.get(), &count, sizeof count));
}

void EventLoop::wake() noexcept {
  const std::uint64_t one = 1;
  // Fails only with the counter full, and then the loop is awake anyway.
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

}  // namespace sluice::base
