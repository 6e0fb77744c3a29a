#include "dp/rate_limit.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::Tick;

/// Events that pass when `offered` come at once.
std::uint32_t passed(TokenBucket& bucket, Tick now, std::uint32_t offered) {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < offered; ++i) count += bucket.take(now) ? 1 : 0;
  return count;
}

TEST(TokenBucket, LetsTheBurstThroughAtOnce) {
  TokenBucket bucket(10, 5, Tick{0});
  EXPECT_EQ(passed(bucket, Tick{0}, 100), 5U);
}

TEST(TokenBucket, RefillsAtTheRate) {
  TokenBucket bucket(10, 5, Tick{0});
  passed(bucket, Tick{0}, 5);
  EXPECT_FALSE(bucket.take(Tick{99}));
  EXPECT_TRUE(bucket.take(Tick{100}));
  EXPECT_FALSE(bucket.take(Tick{100}));
  EXPECT_EQ(passed(bucket, Tick{400}, 100), 3U);
}

TEST(TokenBucket, HoldsNoMoreThanTheBurst) {
  TokenBucket bucket(1000, 7, Tick{0});
  EXPECT_EQ(passed(bucket, Tick{3'600'000}, 100), 7U);
}

TEST(TokenBucket, LosesNoFractionWhenAskedEveryMillisecond) {
  TokenBucket bucket(333, 2, Tick{0});
  std::uint32_t count = 0;
  for (std::uint32_t ms = 0; ms < 10'000; ++ms) count += passed(bucket, Tick{ms}, 5);
  EXPECT_NEAR(count, 3'330, 5);
}

TEST(TokenBucket, KeepsARateAboveOneThousand) {
  TokenBucket bucket(250'000, 1'000, Tick{0});
  passed(bucket, Tick{0}, 1'000);
  std::uint32_t count = 0;
  for (std::uint32_t ms = 1; ms <= 100; ++ms) count += passed(bucket, Tick{ms}, 1'000);
  EXPECT_EQ(count, 25'000U);
}

TEST(TokenBucket, GoesOnAcrossTheWrapOfTicks) {
  TokenBucket bucket(10, 1, Tick{0xffff'ffce});  // 50 ms before the wrap
  EXPECT_TRUE(bucket.take(Tick{0xffff'ffce}));
  EXPECT_FALSE(bucket.take(Tick{49}));
  EXPECT_TRUE(bucket.take(Tick{50}));
}

TEST(TokenBucket, GainsNothingFromATimeThatGoesBack) {
  TokenBucket bucket(1, 1, Tick{5'000});
  EXPECT_TRUE(bucket.take(Tick{5'000}));
  EXPECT_FALSE(bucket.take(Tick{4'999}));
  EXPECT_FALSE(bucket.take(Tick{5'000}));
}

TEST(TokenBucket, PassesNothingWithoutBurst) {
  TokenBucket bucket(1'000, 0, Tick{0});
  EXPECT_FALSE(bucket.take(Tick{0}));
  EXPECT_FALSE(bucket.take(Tick{10'000}));
}

TEST(TokenBucket, PassesOnlyTheBurstWithoutRate) {
  TokenBucket bucket(0, 2, Tick{0});
  EXPECT_EQ(passed(bucket, Tick{0}, 10), 2U);
  EXPECT_FALSE(bucket.take(Tick{1'000'000'000}));
}

TEST(TokenBucket, TakesTheLargestRateAndBurst) {
  TokenBucket bucket(UINT32_MAX, UINT32_MAX, Tick{0});
  EXPECT_EQ(passed(bucket, Tick{0}, 5'000'000), 4'294'967U);
  EXPECT_EQ(passed(bucket, Tick{1}, 5'000'000), 4'294'967U);
}

}  // namespace
}  // namespace sluice::dp
