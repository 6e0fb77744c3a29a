#include "dp/maglev.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

/// Servers by name and weight; the verbs change them and build.
class Pool {
 public:
  explicit Pool(const std::vector<std::uint32_t>& weights) {
    for (std::size_t i = 0; i < weights.size(); ++i) add("server" + std::to_string(i), weights[i]);
  }
  static Pool equal(std::size_t count) { return Pool(std::vector<std::uint32_t>(count, 100)); }

  void add(const std::string& name, std::uint32_t weight) {
    names_.push_back(name);
    weights_.push_back(weight);
  }
  void set_weight(std::size_t server, std::uint32_t weight) { weights_[server] = weight; }
  void remove(std::size_t server) {
    names_.erase(names_.begin() + static_cast<std::ptrdiff_t>(server));
    weights_.erase(weights_.begin() + static_cast<std::ptrdiff_t>(server));
  }
  void reverse() {
    std::ranges::reverse(names_);
    std::ranges::reverse(weights_);
  }

  [[nodiscard]] std::vector<std::uint16_t> build(std::uint32_t slots = kMaglevSlots) const {
    std::vector<MaglevBackend> backends;
    for (std::size_t i = 0; i < names_.size(); ++i) backends.push_back({names_[i], weights_[i]});
    return build_maglev(backends, slots);
  }
  /// The table by names, comparable between pools of different servers.
  [[nodiscard]] std::vector<std::string> owners(std::uint32_t slots = kMaglevSlots) const {
    std::vector<std::string> owners;
    for (const std::uint16_t server : build(slots)) owners.push_back(names_.at(server));
    return owners;
  }
  [[nodiscard]] std::vector<std::uint32_t> shares(std::uint32_t slots = kMaglevSlots) const {
    std::vector<std::uint32_t> shares(names_.size());
    for (const std::uint16_t server : build(slots)) ++shares.at(server);
    return shares;
  }
  [[nodiscard]] double exact_share(std::size_t server, std::uint32_t slots = kMaglevSlots) const {
    const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    return weights_[server] * double{1} * slots / total;
  }

 private:
  std::vector<std::string> names_;
  std::vector<std::uint32_t> weights_;
};

std::uint64_t fnv1a(const std::vector<std::uint16_t>& table) {
  std::uint64_t h = 0xcbf2'9ce4'8422'2325;
  for (const std::uint16_t entry : table) {
    h = (h ^ (entry & 0xffU)) * 0x0000'0100'0000'01b3;
    h = (h ^ (entry >> 8)) * 0x0000'0100'0000'01b3;
  }
  return h;
}

std::size_t moved(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < before.size(); ++i) count += before[i] != after[i] ? 1 : 0;
  return count;
}

struct SharesRow {
  const char* name;
  std::vector<std::uint32_t> weights;
  std::uint32_t slots = kMaglevSlots;
};

class MaglevShares : public testing::TestWithParam<SharesRow> {};

TEST_P(MaglevShares, FollowWeightsWithinOnePercent) {
  const Pool pool(GetParam().weights);
  const std::vector<std::uint32_t> shares = pool.shares(GetParam().slots);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double exact = pool.exact_share(i, GetParam().slots);
    EXPECT_NEAR(shares[i], exact, std::max(2.0, exact * 0.01)) << "server" << i << " of " << shares.size();
  }
}

std::vector<std::uint32_t> heavy_and_light(std::size_t light) {
  std::vector<std::uint32_t> weights(light, 1);
  weights.push_back(256);
  return weights;
}

std::vector<std::uint32_t> one_to(std::uint32_t last) {
  std::vector<std::uint32_t> weights(last);
  std::iota(weights.begin(), weights.end(), 1U);
  return weights;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, MaglevShares,
    testing::Values(SharesRow{"one_backend", {1}}, SharesRow{"two_equal", {100, 100}},
                    SharesRow{"three_to_one", {3, 1}}, SharesRow{"one_to_256", {1, 256}},
                    SharesRow{"uneven", {100, 50, 25, 7}}, SharesRow{"some_drained", {0, 5, 0, 3}},
                    SharesRow{"all_weights_1_to_256", one_to(256)},
                    SharesRow{"heavy_beside_ten_light", heavy_and_light(10)},
                    SharesRow{"heavy_beside_999_light", heavy_and_light(999)},
                    SharesRow{"huge_weights", {4'000'000'000, 4'294'967'295, 1'000'000'000}},
                    SharesRow{"hundred_equal", std::vector<std::uint32_t>(100, 100)},
                    SharesRow{"thousand_equal", std::vector<std::uint32_t>(1000, 1)},
                    SharesRow{"small_table", {2, 1, 1}, 251},
                    SharesRow{"as_many_backends_as_slots", std::vector<std::uint32_t>(251, 1), 251},
                    SharesRow{"two_slots", {1, 1}, 2}),
    [](const auto& row) { return row.param.name; });

TEST(Maglev, IsEmptyWithoutWeights) {
  EXPECT_TRUE(build_maglev({}).empty());
  EXPECT_TRUE(Pool({0, 0, 0}).build().empty());
}

TEST(Maglev, GivesEverySlotToTheOnlyBackend) {
  EXPECT_EQ(Pool({0, 7, 0}).build(), std::vector<std::uint16_t>(kMaglevSlots, 1));
}

TEST(Maglev, GivesNoSlotTwiceWhenBackendsOutnumberSlots) {
  const std::vector<std::uint32_t> shares = Pool::equal(1000).shares(251);
  EXPECT_EQ(std::ranges::count(shares, 1U), 251);
  EXPECT_EQ(std::ranges::count(shares, 0U), 749);
}

TEST(Maglev, BuildsTheSameTableEverywhere) {
  // Recorded from this function's first version. Hosts of different versions share flows by these tables: a
  // change of these values moves nearly every flow at an upgrade.
  EXPECT_EQ(fnv1a(Pool::equal(3).build()), 8666967979242597655U);
  EXPECT_EQ(fnv1a(Pool::equal(100).build()), 11536798971934479699U);
  EXPECT_EQ(fnv1a(Pool({100, 50, 25, 7}).build()), 10098772246036625228U);
  EXPECT_EQ(fnv1a(Pool::equal(5).build(251)), 8954800930744970413U);
}

TEST(Maglev, DoesNotDependOnTheOrderOfBackends) {
  Pool pool(one_to(20));
  const auto before = pool.owners();
  pool.reverse();
  EXPECT_EQ(moved(before, pool.owners()), 0U);
}

TEST(Maglev, DoesNotDependOnTheScaleOfWeights) {
  EXPECT_EQ(Pool({3, 1, 2}).build(), Pool({300, 100, 200}).build());
}

// Disruption. "Ideal" is what any scheme must move; what Maglev moves beyond it stays below 1 % of the table.

TEST(Maglev, MovesLittleBesidesTheSlotsOfARemovedBackend) {
  for (const std::size_t count : {3U, 10U, 100U, 1000U}) {
    Pool pool = Pool::equal(count);
    const auto before = pool.owners();
    const std::size_t removed = count / 2;
    const auto ideal =
        static_cast<std::size_t>(std::ranges::count(before, "server" + std::to_string(removed)));
    pool.remove(removed);
    const auto after = pool.owners();
    EXPECT_LE(moved(before, after), ideal + kMaglevSlots / 100) << "1 of " << count << " removed";
  }
}

TEST(Maglev, RestoresTheTableWhenABackendReturns) {
  Pool pool = Pool::equal(10);
  const auto before = pool.owners();
  pool.set_weight(4, 0);
  EXPECT_GT(moved(before, pool.owners()), kMaglevSlots / 11);
  pool.set_weight(4, 100);
  EXPECT_EQ(moved(before, pool.owners()), 0U);
}

TEST(Maglev, DrainedEqualsRemoved) {
  Pool drained = Pool::equal(10);
  drained.set_weight(4, 0);
  Pool removed = Pool::equal(10);
  removed.remove(4);
  EXPECT_EQ(drained.owners(), removed.owners());
}

TEST(Maglev, MovesLittleBesidesTheShareThatAWeightGains) {
  for (const std::uint32_t weight : {101U, 125U, 200U, 50U, 1U}) {
    Pool pool = Pool::equal(10);
    const auto before = pool.owners();
    const double share_before = pool.exact_share(3);
    pool.set_weight(3, weight);
    const double ideal = std::abs(pool.exact_share(3) - share_before);
    EXPECT_LE(static_cast<double>(moved(before, pool.owners())), ideal + kMaglevSlots * 0.01)
        << "weight " << weight;
  }
}

}  // namespace
}  // namespace sluice::dp
