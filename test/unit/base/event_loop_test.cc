#include "base/event_loop.h"

#include <algorithm>
#include <chrono>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

using std::chrono::milliseconds;

class EventLoopTest : public ::testing::Test {
 protected:
  std::unique_ptr<EventLoop> loop_ = *EventLoop::create();

  /// A descriptor that is readable from the start.
  static Fd ready() { return Fd{::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)}; }
  /// Ends a test that would hang, with a failure.
  void guard() {
    loop_->after(milliseconds{10'000}, [this] {
      ADD_FAILURE() << "nothing stopped the loop";
      loop_->stop();
    });
  }
};

TEST_F(EventLoopTest, CallsBackForReadyDescriptors) {
  const Fd fd = ready();
  std::uint32_t seen = 0;
  ASSERT_TRUE(loop_->add(fd.get(), EPOLLIN, [&](std::uint32_t events) { seen = events; }));
  EXPECT_TRUE(loop_->run_once(milliseconds{1000}));
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLIN));
  ASSERT_TRUE(loop_->modify(fd.get(), 0));
  EXPECT_FALSE(loop_->run_once(milliseconds{0}));
  ASSERT_TRUE(loop_->modify(fd.get(), EPOLLIN | EPOLLOUT));
  EXPECT_TRUE(loop_->run_once(milliseconds{0}));
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLIN | EPOLLOUT));
}

TEST_F(EventLoopTest, RefusesWhatCannotBeWatched) {
  const auto closed = loop_->add(-1, EPOLLIN, [](std::uint32_t) {});
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().message, "descriptor -1: cannot be watched: Bad file descriptor");
  const Fd fd = ready();
  ASSERT_TRUE(loop_->add(fd.get(), EPOLLIN, [](std::uint32_t) {}));
  EXPECT_EQ(loop_->add(fd.get(), EPOLLIN, [](std::uint32_t) {}).error().code, ErrorCode::exists);
  EXPECT_EQ(loop_->modify(12345, EPOLLIN).error().code, ErrorCode::not_found);
  loop_->remove(12345);
}

TEST_F(EventLoopTest, CallbackMayRemoveItselfAndTheOthers) {
  const Fd a = ready();
  const Fd b = ready();
  int calls = 0;
  const auto remove_both = [&](std::uint32_t) {
    ++calls;
    loop_->remove(a.get());
    loop_->remove(b.get());
    ++calls;  // what the callback holds is still there
  };
  ASSERT_TRUE(loop_->add(a.get(), EPOLLIN, remove_both));
  ASSERT_TRUE(loop_->add(b.get(), EPOLLIN, remove_both));
  EXPECT_TRUE(loop_->run_once(milliseconds{0}));
  EXPECT_FALSE(loop_->run_once(milliseconds{0}));
  EXPECT_EQ(calls, 2);  // both were ready in the same round, the second was gone
}

TEST_F(EventLoopTest, AReusedDescriptorDoesNotGetItsPredecessorsEvents) {
  Fd a = ready();
  Fd b = ready();
  int old_calls = 0;
  int new_calls = 0;
  Fd fresh;
  const auto replace = [&](Fd& other) {
    ++old_calls;
    if (fresh) return;
    const int number = other.get();
    loop_->remove(number);
    other.reset();
    fresh = Fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    ASSERT_EQ(fresh.get(), number);  // the lowest free number
    ASSERT_TRUE(loop_->add(number, EPOLLIN, [&](std::uint32_t) { ++new_calls; }));
  };
  ASSERT_TRUE(loop_->add(a.get(), EPOLLIN, [&](std::uint32_t) { replace(b); }));
  ASSERT_TRUE(loop_->add(b.get(), EPOLLIN, [&](std::uint32_t) { replace(a); }));
  loop_->run_once(milliseconds{0});
  EXPECT_EQ(old_calls, 1);
  EXPECT_EQ(new_calls, 0);
}

TEST_F(EventLoopTest, ADescriptorClosedWhileWatchedIsForgotten) {
  Fd a = ready();
  const int number = a.get();
  ASSERT_TRUE(loop_->add(number, EPOLLIN, [](std::uint32_t) { FAIL() << "closed"; }));
  a = Fd{};
  const Fd b = ready();
  ASSERT_EQ(b.get(), number);
  bool called = false;
  ASSERT_TRUE(loop_->add(number, EPOLLIN, [&](std::uint32_t) { called = true; }));
  loop_->run_once(milliseconds{0});
  EXPECT_TRUE(called);
}

TEST_F(EventLoopTest, TimersComeInTheOrderOfTheirTimes) {
  guard();
  std::vector<int> order;
  const auto start = EventLoop::Clock::now();
  loop_->after(milliseconds{20}, [&] {
    order.push_back(3);
    loop_->stop();
  });
  loop_->after(milliseconds{1}, [&] { order.push_back(1); });
  loop_->after(milliseconds{10}, [&] { order.push_back(2); });
  loop_->after(milliseconds{0}, [&] { order.push_back(0); });
  loop_->run();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
  EXPECT_GE(EventLoop::Clock::now() - start, milliseconds{20});
}

TEST_F(EventLoopTest, PeriodicTimerRunsUntilItCancelsItself) {
  guard();
  int calls = 0;
  EventLoop::TimerId timer{};
  timer = loop_->every(milliseconds{1}, [&] {
    if (++calls < 3) return;
    loop_->cancel(timer);
    loop_->after(milliseconds{5}, [&] { loop_->stop(); });
  });
  loop_->run();
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, CancelledTimerIsNotCalled) {
  guard();
  EventLoop::TimerId second{};
  loop_->after(milliseconds{1}, [&] { loop_->cancel(second); });
  second = loop_->after(milliseconds{1}, [] { FAIL() << "cancelled"; });
  loop_->after(milliseconds{3}, [&] { loop_->stop(); });
  loop_->run();
  loop_->cancel(second);  // harmless
  loop_->cancel(EventLoop::TimerId::none);
}

TEST_F(EventLoopTest, AZeroDelayTimerThatRenewsItselfStarvesNobody) {
  guard();
  const Fd fd = ready();
  std::function<void()> again = [&] { loop_->after(milliseconds{0}, again); };
  again();
  ASSERT_TRUE(loop_->add(fd.get(), EPOLLIN, [&](std::uint32_t) { loop_->stop(); }));
  loop_->run();
}

TEST_F(EventLoopTest, TasksPostedByAnotherThreadRunInOrderInTheLoopsThread) {
  guard();
  constexpr int kTasks = 10'000;
  std::vector<int> order;
  const auto loop_thread = std::this_thread::get_id();
  std::thread poster{[&] {
    for (int i = 0; i < kTasks; ++i) {
      loop_->post([&, i] {
        EXPECT_EQ(std::this_thread::get_id(), loop_thread);
        order.push_back(i);
        if (i == kTasks - 1) loop_->stop();
      });
    }
  }};
  loop_->run();
  poster.join();
  ASSERT_EQ(order.size(), static_cast<std::size_t>(kTasks));
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(EventLoopTest, StopFromAnotherThreadEndsAnIdleRun) {
  std::thread stopper{[&] { loop_->stop(); }};
  loop_->run();
  stopper.join();
  // and the loop can be run again; what was posted behind a stop is not lost
  bool late = false;
  loop_->post([&] { loop_->stop(); });
  loop_->post([&] {
    late = true;
    loop_->stop();
  });
  loop_->run();
  EXPECT_FALSE(late);
  loop_->run();
  EXPECT_TRUE(late);
}

}  // namespace
}  // namespace sluice::base
