#include "dp/port_pool.h"

#include <initializer_list>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::Be16;
using base::Tick;

std::vector<std::uint64_t> bits(std::initializer_list<std::pair<unsigned, unsigned>> ranges) {
  std::vector<std::uint64_t> out(65536 / 64);
  for (const auto& [first, last] : ranges) {
    for (unsigned port = first; port <= last; ++port) out[port / 64] |= std::uint64_t{1} << (port % 64);
  }
  return out;
}

TEST(PortPool, WorkersShareTheRange) {
  std::set<std::uint16_t> all;
  for (unsigned worker = 0; worker < 3; ++worker) {
    PortPool pool({1'000, 1'009}, worker, 3, {});
    while (const auto lease = pool.take({}, {})) {
      EXPECT_EQ(lease->port.host() % 3, worker);
      EXPECT_TRUE(all.insert(lease->port.host()).second);
    }
    EXPECT_EQ(pool.available(), 0U);
  }
  EXPECT_EQ(all.size(), 10U);
}

TEST(PortPool, WholeRangeOfPorts) {
  PortPool pool({1, 65'535}, 0, 1, {});
  EXPECT_EQ(pool.total(), 65'535U);
  unsigned n = 0;
  while (pool.take({}, {})) ++n;
  EXPECT_EQ(n, 65'535U);
}

TEST(PortPool, FirstInFirstOut) {
  PortPool pool({1'000, 1'003}, 0, 1, {});
  for (unsigned round = 0; round < 3; ++round) {
    for (std::uint16_t port = 1'000; port < 1'004; ++port) {
      const auto lease = pool.take({}, {});
      ASSERT_TRUE(lease);
      EXPECT_EQ(lease->port.host(), port);
      EXPECT_FALSE(lease->reused);
      pool.give_back(lease->port);
    }
  }
}

TEST(PortPool, LingersForFourMinutes) {
  for (const std::uint32_t start : {0U, 5'000U, 0xffff'f000U}) {
    PortPool pool({1'000, 1'000}, 0, 1, {});
    const Tick now{start};
    const auto first = pool.take(now, {});
    ASSERT_TRUE(first);
    pool.give_back_lingering(first->port, now, 4'711);
    const auto again = pool.take(now + 200'000, {});
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->reused);
    EXPECT_EQ(again->server_read, 4'711U);
    pool.give_back_lingering(again->port, now + 200'000, 5);
    const auto late = pool.take(now + 200'000 + 250'000, {});
    ASSERT_TRUE(late);
    EXPECT_FALSE(late->reused);
  }
}

TEST(PortPool, SkipsWhatIsExcludedNow) {
  PortPool pool({1'000, 1'003}, 0, 1, {});
  const auto excluded = bits({{1'000, 1'001}});
  const auto lease = pool.take({}, excluded);
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->port.host(), 1'002);
  EXPECT_EQ(pool.available(), 3U) << "they stay in the pool, for later";
  EXPECT_EQ(pool.take({}, excluded)->port.host(), 1'003);
  EXPECT_FALSE(pool.take({}, excluded)) << "ends, though two ports are left";
  EXPECT_EQ(pool.take({}, {})->port.host(), 1'000);
}

TEST(PortPool, HoldsNoneThatAreExcludedForGood) {
  const auto never = bits({{32'768, 60'999}});
  PortPool pool({1'024, 65'535}, 0, 1, never);
  EXPECT_EQ(pool.total(), 64'512U - 28'232U);
  unsigned n = 0;
  while (const auto lease = pool.take({}, never)) ++n;
  EXPECT_EQ(n, pool.total());
}

}  // namespace
}  // namespace sluice::dp
