// What the speaker makes of what its boxes and sockets bring.
#include "test/unit/vrrp/speaker_fixture.h"

namespace sluice::vrrp {
namespace {

TEST_F(SpeakerTest, WhatTheKernelSideSaysOfAnInstanceIsNotLostWhenItIsHeardFirst) {
  footing(kA, false);  // its box is the first to be awake
  adopt(kA, kFast);
  say(TrackerVerdict{kA, false, 100});
  run();
  EXPECT_TRUE(enters(kA, State::master));
}

TEST_F(SpeakerTest, AGroupGoesOnWithoutTheMemberThatAReloadTookAway) {
  for (const InstanceId id : {kA, kB, kC}) adopt(id, kFast, 0);
  say(OperatorSays{kA, true});
  run();
  for (const InstanceId id : {kA, kB, kC}) sound(id);
  ASSERT_TRUE(enters(kC, State::backup));
  const auto end = std::chrono::steady_clock::now() + 200ms;  // all that want to be master want it by then
  while (std::chrono::steady_clock::now() < end) ASSERT_EQ(status(kB).state, State::backup);
  say(Dismiss{kA});
  say(Regroup{});
  EXPECT_TRUE(enters(kB, State::master));
  EXPECT_EQ(status(kC).state, State::master);
}

TEST_F(SpeakerTest, AGroupIsNotJudgedWhileItsMembersMoveToAnother) {
  for (const InstanceId id : {kA, kB}) adopt(id, kFast, 0);
  say(OperatorSays{kB, true});
  run();
  for (const InstanceId id : {kA, kB}) sound(id);
  ASSERT_TRUE(enters(kB, State::backup));
  const auto end = std::chrono::steady_clock::now() + 200ms;
  while (std::chrono::steady_clock::now() < end) ASSERT_EQ(status(kA).state, State::backup);
  for (const InstanceId id : {kA, kB}) say(Change{id, settings(kFast, 1)});
  say(Regroup{});
  EXPECT_EQ(status(kA).state, State::backup) << "kB holds it back in the new group, too";
  EXPECT_EQ(status(kA).became_master, 0U);
}

TEST_F(SpeakerTest, WhatWasStoppedDoesNotBeginAgain) {
  adopt(kA, kFast);
  run();
  sound(kA);
  ASSERT_TRUE(enters(kA, State::master));
  say(StopAll{});
  ASSERT_TRUE(returned<AllStopped>());
  say(TrackerVerdict{kA, true, 100});  // the data plane was stopped as well
  footing(kA, false);
  wait_for_kernel_box();
  EXPECT_EQ(status(kA).state, State::init);
}

TEST_F(SpeakerTest, WhatNeverBeganGivesUpWhatIsLeftOverWhenAllIsStopped) {
  auto orders = std::make_shared<Orders>();
  auto instance =
      std::make_unique<SpeakerInstance>(kA, settings(kFast), orders, std::chrono::steady_clock::now());
  instance->timer = base::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  say(Adopt{std::move(instance)});
  say(StopAll{});
  run();
  ASSERT_TRUE(returned<AllStopped>());
  EXPECT_TRUE(orders->view().decided);
  EXPECT_FALSE(orders->view().hold);
}

TEST_F(SpeakerTest, StartupDelayCountsFromTheLinkThoughSomethingElseIsMissingYet) {
  adopt(kA, {.version = 3, .advert_int = 1s, .startup_delay = 100ms});
  run();
  sound(kA);
  footing(kA, true);
  ASSERT_TRUE(enters(kA, State::fault));
  const auto end = std::chrono::steady_clock::now() + 150ms;  // the delay of the start is over
  while (std::chrono::steady_clock::now() < end) (void)status(kA);
  say(TrackerVerdict{kA, true, 100});  // the data plane's port has no link either
  ASSERT_EQ(status(kA).state, State::fault);
  footing(kA, false, true);
  wait_for_kernel_box();
  ASSERT_EQ(status(kA).state, State::fault);
  say(TrackerVerdict{kA, false, 100});
  EXPECT_EQ(status(kA).reason, Reason::startup_delay);
}

TEST_F(SpeakerTest, LeavesItToMainToCloseAListener) {
  const int fd = ::fcntl(orders_.fd(), F_DUPFD_CLOEXEC, 0);
  ASSERT_TRUE(kernel_->put(ListenerSocket{kLan, base::Family::v4, base::Fd(fd)}));
  ASSERT_TRUE(kernel_->put(ListenerSocket{kLan, base::Family::v4, base::Fd()}));
  run();
  const auto retired = returned<Retired>();
  ASSERT_TRUE(retired);
  EXPECT_EQ(retired->fd.get(), fd);
}

/// What any host of the segment can send, as often as it likes.
class SpeakerFloodTest : public SpeakerHearingTest {
 protected:
  SpeakerFloodTest() : SpeakerHearingTest(1) {}
};

TEST_F(SpeakerFloodTest, IsNotNotedOneByOne) {
  while (status(kA).received < 1'000) ASSERT_TRUE(send_one());
  EXPECT_LE(count_notes(Kind::lower_priority), 10U);
}

/// Its thread's priority is above that of all others.
TEST_F(SpeakerFloodTest, LeavesTheProcessorToOthers) {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t sent = 0;
  while (std::chrono::steady_clock::now() < begin + 200ms) sent += send_one() ? 1 : 0;
  const std::uint64_t received = status(kA).received;
  const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin);
  const auto allowed = static_cast<std::uint64_t>(64 * (took.count() + 2));
  EXPECT_LE(received, allowed) << "64 a turn, a turn in a millisecond";
  EXPECT_GT(sent, allowed) << "was it a flood?";
  EXPECT_GT(received, 0U);
}

}  // namespace
}  // namespace sluice::vrrp
