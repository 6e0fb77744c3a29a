#include "dp/fragments.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

/// A worker's table, its identifications and a clock.
class Tracker {
 public:
  Fragments::Found add(std::uint32_t id, FragmentPlace place) {
    std::optional<FragmentTag> first;
    if (place.offset == 0) {
      first.emplace();
      first->ports = {base::Be16{static_cast<std::uint16_t>(id)}, base::Be16{53}};
      first->proto = base::IpProto::udp;
    }
    return table.add({base::Ipv4::from_host(1), base::Ipv4::from_host(2), id, base::IpProto::udp},
                     id * 0x9e3779b97f4a7c15U, place, first, ids, now);
  }
  /// All that is due; by reason.
  std::vector<DropReason> take_all() {
    std::vector<DropReason> reasons;
    for (auto due = table.take_out(now); due.place != kNoIndex; due = table.take_out(now)) {
      reasons.push_back(due.reason);
    }
    return reasons;
  }

  Fragments table;
  DatagramIds ids{0, 1};
  base::Tick now{1'000};
};

/// A fragment in a row: where it lies, and what is to become of it.
struct Step {
  FragmentPlace place;
  Verdict verdict;
  DropReason reason = DropReason::none;
};
constexpr auto kPasses = Verdict::pending;
constexpr auto kWaits = Verdict::keep;
constexpr auto kDropped = Verdict::drop;

struct Row {
  std::string name;
  std::vector<Step> steps;
  std::size_t datagrams;  ///< remembered at the end
};

class FragmentsRows : public testing::TestWithParam<Row> {};

TEST_P(FragmentsRows, Fit) {
  Tracker t;
  for (const Step& step : GetParam().steps) {
    const auto got = t.add(1, step.place);
    EXPECT_EQ(got.verdict, step.verdict) << step.place.offset;
    EXPECT_EQ(info(got.reason).name, info(step.reason).name) << step.place.offset;
  }
  EXPECT_EQ(t.table.datagrams(), GetParam().datagrams);
}

constexpr auto kOverlap = DropReason::fragment_overlap;
constexpr auto kDuplicate = DropReason::fragment_duplicate;
constexpr auto kMalformed = DropReason::fragment_malformed;

INSTANTIATE_TEST_SUITE_P(
    Fragments, FragmentsRows,
    testing::ValuesIn(std::vector<Row>{
        {"in_order", {{{0, 16, true}, kPasses}, {{16, 8, true}, kPasses}, {{24, 5, false}, kPasses}}, 0},
        {"first_last", {{{24, 5, false}, kWaits}, {{16, 8, true}, kWaits}, {{0, 16, true}, kPasses}}, 0},
        {"last_before_middle",
         {{{0, 16, true}, kPasses}, {{24, 5, false}, kPasses}, {{16, 8, true}, kPasses}},
         0},
        {"one_missing", {{{0, 16, true}, kPasses}, {{24, 5, false}, kPasses}}, 1},
        {"duplicate_first", {{{0, 16, true}, kPasses}, {{0, 16, true}, kDropped, kDuplicate}}, 1},
        {"duplicate_last",
         {{{0, 16, true}, kPasses}, {{24, 5, false}, kPasses}, {{24, 5, false}, kDropped, kDuplicate}},
         1},
        {"overlaps_the_one_before",
         {{{0, 16, true}, kPasses}, {{8, 16, true}, kDropped, kOverlap}, {{16, 8, true}, kDropped, kOverlap}},
         1},
        {"overlaps_the_one_behind", {{{16, 16, true}, kWaits}, {{0, 24, true}, kDropped, kOverlap}}, 1},
        {"lies_within", {{{0, 32, true}, kPasses}, {{8, 8, true}, kDropped, kOverlap}}, 1},
        {"encloses", {{{8, 8, true}, kWaits}, {{0, 32, true}, kDropped, kOverlap}}, 1},
        {"longer_at_the_same_place", {{{0, 16, true}, kPasses}, {{0, 24, true}, kDropped, kOverlap}}, 1},
        {"two_ends", {{{24, 8, false}, kWaits}, {{32, 8, false}, kDropped, kOverlap}}, 1},
        {"end_before_others", {{{24, 8, true}, kWaits}, {{8, 8, false}, kDropped, kOverlap}}, 1},
        {"more_behind_the_end", {{{24, 8, false}, kWaits}, {{32, 8, true}, kDropped, kOverlap}}, 1},
        {"the_end_is_none", {{{24, 8, false}, kWaits}, {{24, 8, true}, kDropped, kOverlap}}, 1},
        {"no_multiple_of_eight", {{{0, 15, true}, kDropped, kMalformed}}, 0},
        {"empty", {{{8, 0, false}, kDropped, kMalformed}}, 0},
        {"beyond_the_longest", {{{65'528, 8, false}, kDropped, kMalformed}}, 0},
        {"the_longest", {{{65'528, 7, false}, kWaits}}, 1},
    }),
    [](const auto& row) { return row.param.name; });

TEST(Fragments, TellsTheFirstsPortsAndOneIdentification) {
  Tracker t;
  EXPECT_EQ(t.add(7, {16, 8, false}).verdict, Verdict::keep);
  const auto first = t.add(7, {0, 8, true});
  ASSERT_TRUE(first.tag.known);
  EXPECT_EQ(first.tag.ports.src.host(), 7);
  const auto waited = t.table.take_out(t.now);
  ASSERT_NE(waited.place, kNoIndex);
  EXPECT_EQ(waited.tag.ports, first.tag.ports);
  EXPECT_EQ(waited.tag.id, first.tag.id);
  EXPECT_EQ(t.table.take_out(t.now).place, kNoIndex);
  EXPECT_EQ(t.add(7, {8, 8, true}).tag.id, first.tag.id);
  EXPECT_NE(t.add(8, {0, 8, true}).tag.id, first.tag.id);
}

TEST(Fragments, AreBoundedInOneDatagram) {
  Tracker t;
  for (std::uint32_t n = 1; n <= Fragments::kWaitingOfOne; ++n) {
    ASSERT_EQ(t.add(1, {n * 16, 8, true}).verdict, Verdict::keep);
  }
  EXPECT_EQ(t.add(1, {8, 8, true}).reason, DropReason::fragment_limit);
  EXPECT_EQ(t.add(1, {0, 8, true}).verdict, Verdict::pending);
  EXPECT_EQ(t.take_all(), std::vector<DropReason>(Fragments::kWaitingOfOne, DropReason::none));
  for (std::uint32_t n = Fragments::kWaitingOfOne + 2; n < Fragments::kPieces; ++n) {
    ASSERT_EQ(t.add(1, {n * 16, 8, true}).verdict, Verdict::pending) << n;
  }
  EXPECT_EQ(t.add(1, {40'000, 8, true}).reason, DropReason::fragment_limit);
  EXPECT_EQ(t.add(1, {24, 8, true}).reason, DropReason::fragment_limit) << "nothing more of that one";
}

TEST(Fragments, OldestThatWaitGiveWay) {
  Tracker t;
  for (std::uint32_t n = 0; n < Fragments::kWaiting; ++n) {
    ASSERT_EQ(t.add(n, {8, 8, true}).verdict, Verdict::keep);
  }
  EXPECT_EQ(t.add(10'000, {8, 8, true}).verdict, Verdict::keep);
  EXPECT_EQ(t.take_all(), std::vector{DropReason::fragment_limit});
  EXPECT_EQ(t.add(0, {0, 8, true}).verdict, Verdict::pending);
  EXPECT_TRUE(t.take_all().empty()) << "number 0 was the oldest";
  EXPECT_EQ(t.add(1, {0, 8, true}).verdict, Verdict::pending);
  EXPECT_EQ(t.take_all(), std::vector{DropReason::none});
}

TEST(Fragments, InventedOnesGiveWayToThoseWithTheirFirst) {
  Tracker t;
  ASSERT_EQ(t.add(1, {0, 8, true}).verdict, Verdict::pending);
  for (std::uint32_t n = 10; n < 50'000; ++n) {
    ASSERT_EQ(t.add(n, {8, 8, true}).verdict, Verdict::keep) << n;
    if (n % 32 == 0) (void)t.take_all();
  }
  EXPECT_LE(t.table.datagrams(), Fragments::kDatagrams);
  EXPECT_EQ(t.add(1, {8, 8, false}).verdict, Verdict::pending) << "remembered through it all";
}

TEST(Fragments, OverlappingOnesGiveWayFirst) {
  Tracker t;
  for (std::uint32_t id = 1; id <= Fragments::kDatagrams; ++id) {
    t.add(id, {16, 16, true});
    t.add(id, {16, 24, true});
    (void)t.take_all();
  }
  // Two legal ones, last fragments first.
  for (const std::uint32_t id : {5'001U, 5'002U}) EXPECT_EQ(t.add(id, {16, 8, false}).verdict, kWaits);
  for (const std::uint32_t id : {5'001U, 5'002U}) EXPECT_EQ(t.add(id, {0, 16, true}).verdict, kPasses);
  EXPECT_EQ(t.take_all(), std::vector<DropReason>(2, DropReason::none));
}

TEST(Fragments, InventedOnesUseUpNoIdentification) {
  Tracker t;
  const auto before = t.add(1, {0, 16, true}).tag.id.host();
  for (std::uint32_t id = 2; id < 40'000; ++id) {
    t.add(id, {16, 8, true});
    (void)t.take_all();
  }
  EXPECT_EQ(t.add(50'000, {0, 16, true}).tag.id.host(), before + 1);
}

TEST(Fragments, NobodyTakesThemOut) {
  Tracker t;
  std::set<std::uint16_t> places;
  for (std::uint32_t n = 0; n < 5'000; ++n) {
    const auto got = t.add(n, {8, 8, true});
    if (got.verdict == Verdict::keep) {
      EXPECT_TRUE(places.insert(got.place).second) << "a place is given to one at a time";
    }
  }
  EXPECT_EQ(places.size(), std::size_t{Fragments::kPlaces});
  EXPECT_EQ(t.table.kept(), Fragments::kPlaces);
  EXPECT_EQ(t.take_all().size(), std::size_t{Fragments::kPlaces - Fragments::kWaiting});
  EXPECT_EQ(t.add(9'999, {8, 8, true}).verdict, Verdict::keep);
}

TEST(Fragments, ManyFirstsPushOutTheOldest) {
  Tracker t;
  for (std::uint32_t n = 0; n < Fragments::kDatagrams + 10U; ++n) {
    ASSERT_EQ(t.add(n, {0, 8, true}).verdict, Verdict::pending);
  }
  EXPECT_EQ(t.table.datagrams(), Fragments::kDatagrams);
  EXPECT_EQ(t.add(500, {8, 8, false}).verdict, Verdict::pending);
  EXPECT_EQ(t.add(3, {8, 8, false}).verdict, Verdict::keep);
}

TEST(Fragments, AreForgottenInTime) {
  Tracker t;
  EXPECT_EQ(t.add(1, {8, 8, true}).verdict, Verdict::keep);
  EXPECT_EQ(t.add(2, {0, 8, true}).verdict, Verdict::pending);
  t.now = t.now + (Fragments::kPatienceMs - 1);
  EXPECT_TRUE(t.take_all().empty());
  EXPECT_EQ(t.add(3, {8, 8, true}).verdict, Verdict::keep);
  t.now = t.now + 1;
  // Asked before anybody has taken out: the same identification is another datagram's by now.
  EXPECT_EQ(t.add(2, {8, 8, false}).verdict, Verdict::keep);
  EXPECT_EQ(t.take_all(), std::vector{DropReason::fragment_timeout});
  EXPECT_EQ(t.table.datagrams(), 2) << "of 2 and 3";
  EXPECT_EQ(t.table.kept(), 2);
}

TEST(Fragments, TimeComesRound) {
  Tracker t;
  t.now = {0xffff'ff00};
  EXPECT_EQ(t.add(1, {8, 8, true}).verdict, Verdict::keep);
  t.now = t.now + 1'000;
  EXPECT_TRUE(t.take_all().empty());
  t.now = t.now + Fragments::kPatienceMs;
  EXPECT_EQ(t.take_all(), std::vector{DropReason::fragment_timeout});
}

TEST(DatagramIds, WorkersNeverGiveOutTheSame) {
  for (const unsigned workers : {1U, 3U, 4U, 7U}) {
    std::set<std::uint16_t> seen;
    for (unsigned worker = 0; worker < workers; ++worker) {
      DatagramIds ids(worker, workers);
      for (unsigned n = 0; n < 0x8000 / workers; ++n) {
        ASSERT_TRUE(seen.insert(ids.whole().host()).second);
        ASSERT_TRUE(seen.insert(ids.fragmented().host()).second);
      }
    }
    EXPECT_EQ(seen.size(), 2 * std::size_t{0x8000 / workers} * workers);
  }
}

}  // namespace
}  // namespace sluice::dp
