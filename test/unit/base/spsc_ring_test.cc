#include "base/spsc_ring.h"

#include <cstdint>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

TEST(SpscRing, GivesValuesBackInOrderOverManyRounds) {
  SpscRing<std::uint32_t, 4> ring;
  std::uint32_t in = 0, out = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.push(in++));
    for (int i = 0; i < 3; ++i) ASSERT_EQ(ring.pop(), out++);
  }
  EXPECT_EQ(ring.pop(), std::nullopt);
}

TEST(SpscRing, RefusesWhenFullAndLeavesTheValueWithItsOwner) {
  SpscRing<std::unique_ptr<int>, 2> ring;
  ASSERT_TRUE(ring.push(std::make_unique<int>(1)));
  ASSERT_TRUE(ring.push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(ring.push(std::move(third)));
  ASSERT_NE(third, nullptr);  // NOLINT(bugprone-use-after-move): that is what is promised
  EXPECT_EQ(**ring.pop(), 1);
  EXPECT_TRUE(ring.push(std::move(third)));
  EXPECT_EQ(**ring.pop(), 2);
  EXPECT_EQ(**ring.pop(), 3);
}

TEST(SpscRing, KeepsNothingOfWhatWasTaken) {
  SpscRing<std::shared_ptr<int>, 2> ring;
  const auto value = std::make_shared<int>(1);
  ASSERT_TRUE(ring.push(std::shared_ptr<int>(value)));
  EXPECT_EQ(value.use_count(), 2);
  (void)ring.pop();
  EXPECT_EQ(value.use_count(), 1);
}

TEST(SpscRing, CarriesEveryValueBetweenTwoThreads) {
  constexpr std::uint32_t kValues = 200'000;
  SpscRing<std::unique_ptr<std::uint32_t>, 64> ring;
  std::thread producer([&ring] {
    for (std::uint32_t i = 0; i < kValues; ++i) {
      auto value = std::make_unique<std::uint32_t>(i);
      while (!ring.push(std::move(value))) std::this_thread::yield();
    }
  });
  std::uint32_t expected = 0;
  while (expected < kValues) {
    const auto value = ring.pop();
    if (!value) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_NE(*value, nullptr);
    ASSERT_EQ(**value, expected++);
  }
  producer.join();
  EXPECT_EQ(ring.pop(), std::nullopt);
}

}  // namespace
}  // namespace sluice::base
