#include "base/clock.h"

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

TEST(Tick, IsComparedAcrossTheWrap) {
  const Tick before{0xffff'fff0};
  const Tick after = before + 0x20;
  EXPECT_EQ(after.ms, 0x10U);
  EXPECT_EQ(after - before, 0x20);
  EXPECT_EQ(before - after, -0x20);
  EXPECT_TRUE(reached(after, before));
  EXPECT_TRUE(reached(before, before));
  EXPECT_FALSE(reached(before, after));
}

TEST(Tick, IsTheLowPartOfTheMilliseconds) {
  EXPECT_EQ(tick_of(5), Tick{5});
  EXPECT_EQ(tick_of(0x1'0000'0007), Tick{7});
}

TEST(SteadyMs, NeverGoesBack) {
  const auto first = steady_ms();
  EXPECT_GT(first, 0U);
  EXPECT_GE(steady_ms(), first);
}

}  // namespace
}  // namespace sluice::base
