#include "dp/schedule.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

std::vector<std::uint16_t> order_of(const std::vector<std::uint32_t>& weights) {
  return build_round_robin(weights).order;
}

/// One digit per server, as the rows are written.
std::string digits(const std::vector<std::uint16_t>& order) {
  std::string text;
  for (const std::uint16_t server : order) text += static_cast<char>('0' + server);
  return text;
}

std::vector<std::size_t> counts(const std::vector<std::uint16_t>& order, std::size_t servers) {
  std::vector<std::size_t> counts(servers);
  for (const std::uint16_t server : order) ++counts.at(server);
  return counts;
}

struct OrderRow {
  const char* name;
  std::vector<std::uint32_t> weights;
  const char* order;
};

// Recorded from HAProxy 2.6.12-1+deb12u4 (Debian 12): `nbthread 1`, `mode tcp`, `balance roundrobin`, one
// listen section per row whose servers s0, s1, ... have the row's weights, in a network namespace of its own.
// Each server answers a connection with its number and closes; connections were made one after the other, 36
// times round the ring, and the numbers written down. Rows stand for the second time round, which was
// that of the next thirteen as well. Where the first differs the row says so: HAProxy falls back into that one
// about every sixteenth time.
class HaproxyOrder : public testing::TestWithParam<OrderRow> {};

TEST_P(HaproxyOrder, IsReproduced) {
  EXPECT_EQ(digits(order_of(GetParam().weights)), GetParam().order);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, HaproxyOrder,
    testing::Values(
        OrderRow{"weights_1_1_1", {1, 1, 1}, "012"}, OrderRow{"weights_3_1", {3, 1}, "0001"},
        OrderRow{"weights_5_2_1", {5, 2, 1}, "00100201"}, OrderRow{"weights_10_1", {10, 1}, "00000000001"},
        OrderRow{"weights_100_50_25", {100, 50, 25}, "0010201"}, OrderRow{"weights_1_3", {1, 3}, "1110"},
        OrderRow{"weights_1_2_5", {1, 2, 5}, "22122021"}, OrderRow{"weights_2_1_1", {2, 1, 1}, "0102"},
        OrderRow{"weights_1_2_1", {1, 2, 1}, "1012"}, OrderRow{"weights_7_5_3", {7, 5, 3}, "010210012010012"},
        OrderRow{"weights_4_3_2_1", {4, 3, 2, 1}, "0102103012"},
        OrderRow{"weights_1_2_3_4", {1, 2, 3, 4}, "3231230321"},
        OrderRow{"weights_13_8_5_3_2_1", {13, 8, 5, 3, 2, 1}, "01020130412001023010510204103210"},
        OrderRow{"weights_0_2_1", {0, 2, 1}, "112"}, OrderRow{"weights_6_4_2", {6, 4, 2}, "010201"},
        // The first time round is "02302310230"
        OrderRow{"weights_3_2_3_3", {3, 2, 3, 3}, "12302310230"},
        // The first time round is "01012010210210012012010"
        OrderRow{"weights_9_8_6", {9, 8, 6}, "21012010210210012012010"},
        // The first time round is "1240124301243012431024310243120413204123401"
        OrderRow{"weights_8_9_9_8_9", {8, 9, 9, 8, 9}, "2340124301243012431024310243120413204123401"},
        // The first time round is "0236450236710425360"
        OrderRow{"weights_3_1_3_3_2_2_3_2", {3, 1, 3, 3, 2, 2, 3, 2}, "7236450236710425360"}),
    [](const auto& row) { return row.param.name; });

TEST(RoundRobin, IsEmptyWithoutWeights) {
  EXPECT_TRUE(order_of({}).empty());
  EXPECT_TRUE(order_of({0, 0}).empty());
}

TEST(RoundRobin, KeepsTheConfiguredOrderForEqualWeights) {
  std::vector<std::uint16_t> expected(100);
  std::iota(expected.begin(), expected.end(), std::uint16_t{0});
  EXPECT_EQ(order_of(std::vector<std::uint32_t>(100, 100)), expected);
}

TEST(RoundRobin, HoldsOneServerOnce) {
  EXPECT_EQ(order_of({256}), std::vector<std::uint16_t>{0});
}

TEST(RoundRobin, HoldsEachServerAsOftenAsItsWeight) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::uint32_t> weights(1 + random() % 12);
    for (std::uint32_t& weight : weights) weight = random() % 257;
    const std::uint32_t divisor =
        std::reduce(weights.begin(), weights.end(), 0U, std::gcd<std::uint32_t, std::uint32_t>);
    if (divisor == 0) continue;
    const auto got = counts(order_of(weights), weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i)
      EXPECT_EQ(got[i], weights[i] / divisor) << "server " << i;
  }
}

TEST(RoundRobin, SpreadsEachServerEvenly) {
  const std::vector<std::uint32_t> weights{40, 30, 20, 10, 5};
  const auto order = order_of(weights);
  const auto length = order.size();
  for (std::uint16_t server = 0; server < weights.size(); ++server) {
    const std::size_t ideal = length / static_cast<std::size_t>(std::ranges::count(order, server));
    std::size_t last = 0;
    bool seen = false;
    for (std::size_t i = 0; i < 2 * length; ++i) {  // over the seam as well
      if (order[i % length] != server) continue;
      if (seen) {
        EXPECT_LE(i - last, ideal + weights.size()) << "server " << server << " at " << i;
      }
      last = i;
      seen = true;
    }
  }
}

TEST(RoundRobin, ScalesWeightsDownToItsLongestOrder) {
  const std::vector<std::uint32_t> weights{1'000'003, 500'009, 1, 0, 7};
  const auto order = order_of(weights);
  EXPECT_LE(order.size(), kMaxRoundRobinLength);
  EXPECT_GE(order.size(), kMaxRoundRobinLength - weights.size());
  const auto got = counts(order, weights.size());
  EXPECT_NEAR(static_cast<double>(got[0]) / static_cast<double>(got[1]), 1'000'003.0 / 500'009.0, 0.001);
  EXPECT_EQ(got[2], 1U);
  EXPECT_EQ(got[3], 0U);
  EXPECT_EQ(got[4], 1U);
}

TEST(RoundRobin, TakesTheLargestWeights) {
  const auto got = counts(order_of({4'294'967'295, 2'147'483'648, 1}), 3);
  EXPECT_NEAR(static_cast<double>(got[0]), kMaxRoundRobinLength * 2 / 3.0, 2.0);
  EXPECT_NEAR(static_cast<double>(got[1]), kMaxRoundRobinLength / 3.0, 2.0);
  EXPECT_EQ(got[2], 1U);
}

TEST(RoundRobin, HoldsEveryServerWhenThereAreMoreThanItsLongestOrder) {
  std::vector<std::uint32_t> weights(kMaxRoundRobinLength + 100, 1);
  weights[5] = 256;
  const auto got = counts(order_of(weights), weights.size());
  EXPECT_TRUE(std::ranges::all_of(got, [](std::size_t count) { return count == 1; }));
}

}  // namespace
}  // namespace sluice::dp
