#include "dp/flow/flow_index.h"

#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

struct Entry {
  std::uint64_t hash;
  std::uint32_t record;
  Direction direction;
};

class FullIndex : public testing::TestWithParam<std::uint32_t> {
 protected:
  FullIndex()
      : records_(GetParam()),
        buckets_(FlowIndex::main_buckets(records_) + FlowIndex::overflow_buckets(records_)),
        index_(buckets_, records_) {}
  Entry fresh(std::uint32_t record, Direction direction) { return {random_(), record, direction}; }
  bool contains(const Entry& e) const {
    return index_.find(e.hash, [&](std::uint32_t record, Direction direction) {
      return record == e.record && direction == e.direction;
    }) == e.record;
  }

  std::uint32_t records_;
  std::vector<FlowBucket> buckets_;
  FlowIndex index_;
  std::mt19937_64 random_{7};
};

TEST_P(FullIndex, TakesEveryKeyHoweverOftenOthersHaveComeAndGone) {
  std::deque<Entry> entries;
  const auto add = [&](std::uint32_t record) {
    for (const Direction d : {Direction::to_server, Direction::to_client}) {
      entries.push_back(fresh(record, d));
      ASSERT_TRUE(index_.insert(entries.back().hash, record, d));
    }
  };
  for (std::uint32_t n = 0; n < records_; ++n) add(n);
  for (std::uint32_t n = 0; n < 20 * records_ && !HasFatalFailure(); ++n) {
    const std::uint32_t record = entries.front().record;
    for (int key = 0; key < 2; ++key) {
      ASSERT_TRUE(contains(entries.front()));
      index_.erase(entries.front().hash, record, entries.front().direction);
      ASSERT_FALSE(contains(entries.front()));
      entries.pop_front();
    }
    add(record);
  }
  for (const Entry& e : entries) ASSERT_TRUE(contains(e));
  while (!entries.empty()) {
    index_.erase(entries.front().hash, entries.front().record, entries.front().direction);
    entries.pop_front();
  }
  for (const FlowBucket& bucket : buckets_) ASSERT_EQ(bucket.tags, decltype(bucket.tags){});
}

INSTANTIATE_TEST_SUITE_P(OfRecords, FullIndex, testing::Values(1U, 10U, 1'000U, 30'000U));

}  // namespace
}  // namespace sluice::dp
