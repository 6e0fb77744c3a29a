#include "dp/flow/timer_wheel.h"

#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::Tick;

class TimerWheelTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  void add(std::uint32_t flow, std::uint32_t wait) { wheel_.add(details_.data(), flow, now_, now_ + wait); }
  void remove(std::uint32_t flow) { wheel_.remove(details_.data(), flow); }
  /// All that come up until `ms` have passed, in order; each is taken out.
  std::vector<std::uint32_t> advance(std::uint32_t ms) {
    now_ = now_ + ms;
    std::vector<std::uint32_t> up;
    for (std::uint32_t flow = wheel_.due(now_); flow != kNoFlow; flow = wheel_.due(now_)) {
      remove(flow);
      up.push_back(flow);
    }
    return up;
  }

  Tick now_{GetParam()};
  TimerWheel wheel_{now_};
  std::vector<FlowDetail> details_ = std::vector<FlowDetail>(16);
};

using Flows = std::vector<std::uint32_t>;

TEST_P(TimerWheelTest, FlowsComeUpWithinASlotOfTheirTime) {
  add(1, 1'000);
  add(2, 5'000);
  EXPECT_EQ(advance(800), Flows());
  EXPECT_EQ(advance(400), Flows({1}));
  EXPECT_EQ(advance(3'600), Flows());
  EXPECT_EQ(advance(400), Flows({2}));
  EXPECT_EQ(wheel_.size(), 0U);
}

TEST_P(TimerWheelTest, WithinASlotTheFirstComerIsFirst) {
  for (std::uint32_t flow = 0; flow < 5; ++flow) add(flow, 1'000);
  remove(2);
  EXPECT_EQ(wheel_.soonest(), 0U);
  remove(0);
  EXPECT_EQ(wheel_.soonest(), 1U);
  remove(4);
  add(7, 1'000);
  EXPECT_EQ(advance(2'000), Flows({1, 3, 7}));
}

TEST_P(TimerWheelTest, SoonestIsOfTheNearestSlot) {
  EXPECT_EQ(wheel_.soonest(), kNoFlow);
  add(1, 100'000);
  EXPECT_EQ(wheel_.soonest(), 1U);
  add(2, 50'000);
  EXPECT_EQ(wheel_.soonest(), 2U);
  add(3, 0);
  EXPECT_EQ(wheel_.soonest(), 3U);
}

TEST_P(TimerWheelTest, TimeBeyondOneTurnIsLookedAtBeforeItAndMovedOn) {
  add(1, 3'600'000);
  const Tick due = now_ + 3'600'000;
  unsigned looks = 0;
  while (true) {
    const Flows up = advance(1'000);
    if (up.empty()) continue;
    ++looks;
    if (reached(now_, due)) break;
    wheel_.add(details_.data(), 1, now_, due);
  }
  EXPECT_LT(now_ - due, 1'500);
  EXPECT_LE(looks, 3'600U / 131 + 2);
}

TEST_P(TimerWheelTest, WhatIsMovedOnWhileServingLagsIsNotServedAgainAtOnce) {
  for (std::uint32_t flow = 0; flow < 16; ++flow) {
    add(flow, 3'600'000);
    EXPECT_EQ(advance(140), Flows());
  }
  for (const std::uint32_t stall : {300U, 60'000U, 131'072U, 500'000U}) {
    now_ = now_ + stall;
    unsigned looks = 0;
    for (std::uint32_t flow = wheel_.due(now_); flow != kNoFlow; flow = wheel_.due(now_)) {
      ASSERT_LT(++looks, 100U) << "after a stall of " << stall << " ms";
      remove(flow);
      add(flow, 3'600'000);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(From, TimerWheelTest,
                         testing::Values(0U, 77U, 1'000'000U, 0xffff'ff00U, 0xffff'0000U, 0x7fff'fff0U));

}  // namespace
}  // namespace sluice::dp
