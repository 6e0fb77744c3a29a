#include "vrrp/tracking.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using vrrp::RiseAndFall;
using vrrp::Tracked;
using vrrp::TrackerKind;

Tracked up(std::int16_t weight) {
  return {.kind = TrackerKind::script, .weight = weight, .up = true};
}
Tracked down(std::int16_t weight, std::string reason = "it fails") {
  return {.kind = TrackerKind::script, .weight = weight, .up = false, .reason = std::move(reason)};
}

struct Row {
  const char* name;
  std::uint8_t priority;
  std::vector<Tracked> tracked;
  bool faulty;
  int effective;
  bool weights_count = true;
};
class Judge : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(
    Rows, Judge,
    testing::Values(
        Row{"NothingTracked", 100, {}, false, 100}, Row{"WithoutWeightUp", 100, {up(0)}, false, 100},
        Row{"WithoutWeightDown", 100, {down(0)}, true, 100},
        Row{"OneOfManyDown", 100, {up(0), down(0), up(0)}, true, 100},
        Row{"PositiveUp", 100, {up(20)}, false, 120}, Row{"PositiveDown", 100, {down(20)}, false, 100},
        Row{"NegativeUp", 100, {up(-20)}, false, 100}, Row{"NegativeDown", 65, {down(-20)}, false, 45},
        Row{"AddUp", 100, {up(20), down(-30), up(7), down(9), up(-50)}, false, 97},
        Row{"NotBelow1", 100, {down(-253)}, false, 1}, Row{"NotAbove254", 100, {up(253)}, false, 254},
        Row{"TheSumCountsNotTheSteps", 100, {up(253), down(-253)}, false, 100},
        Row{"TheOwnersStays", 255, {down(-100), up(-3)}, false, 255},
        Row{"TheOwnerMayFail", 255, {down(0)}, true, 255},
        Row{"WeightAndFault", 100, {down(-20), down(0)}, true, 80},
        Row{"InAGroupWeightsDoNothing", 100, {up(20), down(-30)}, false, 100, false},
        Row{"InAGroupFaultsCount", 100, {down(0)}, true, 100, false}),
    [](const auto& info) { return info.param.name; });

TEST_P(Judge, AddsWeightsAndFindsFaults) {
  const Row& row = GetParam();
  const auto verdict = vrrp::judge(row.priority, row.tracked, row.weights_count);
  EXPECT_EQ(verdict.faulty, row.faulty);
  EXPECT_EQ(verdict.priority, row.effective);
}

TEST(Judging, TellsAllThatIsDown) {
  const Tracked link{.kind = TrackerKind::link, .up = false, .reason = "interface lan is down"};
  const std::vector<Tracked> tracked{link, up(5), down(-20, "script chk: exit code 1")};
  const auto verdict = vrrp::judge(100, tracked, true);
  ASSERT_EQ(verdict.troubles.size(), 2U);
  EXPECT_EQ(verdict.troubles[0].tracker, "link");
  EXPECT_EQ(verdict.troubles[0].reason, "interface lan is down");
  EXPECT_EQ(verdict.troubles[0].weight, 0);
  EXPECT_EQ(verdict.troubles[1].tracker, "script");
  EXPECT_EQ(verdict.troubles[1].weight, -20);
}

/// "+" and "-" for results, "U" and "D" for what becomes of them.
std::string course(RiseAndFall state, std::string_view results) {
  std::string out(1, state.up() ? 'U' : 'D');
  for (const char c : results) {
    const bool before = state.up();
    const bool changed = state.saw(c == '+');
    EXPECT_EQ(changed, state.up() != before);
    out += state.up() ? 'U' : 'D';
  }
  return out;
}

TEST(RiseAndFallOfScripts, OneResultIsEnoughByDefault) {
  EXPECT_EQ(course(RiseAndFall(1, 1, false), "+-+--++"), "UUDUDDUU");
}

TEST(RiseAndFallOfScripts, FallFailuresInARowBringItDown) {
  EXPECT_EQ(course(RiseAndFall(1, 3, false), "+--+---"), "UUUUUUUD");
}

TEST(RiseAndFallOfScripts, RiseSuccessesInARowBringItUp) {
  EXPECT_EQ(course(RiseAndFall(3, 1, false), "+-++-+++"), "UUDDDDDDU");
}

TEST(RiseAndFallOfScripts, KeepalivedTheFirstFailureBringsItDown) {
  EXPECT_EQ(course(RiseAndFall(2, 3, false), "-++"), "UDDU");
}

TEST(RiseAndFallOfScripts, KeepalivedInitFailIsDownUntilRise) {
  EXPECT_EQ(course(RiseAndFall(2, 3, true), "+-++"), "DDDDU");
}

TEST(RiseAndFallOfScripts, AReloadLeavesItAsItIs) {
  RiseAndFall state(1, 1, false);
  state.set(3, 5);
  EXPECT_TRUE(state.up());
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(state.saw(false));
  EXPECT_TRUE(state.saw(false));
  state.set(2, 2);
  EXPECT_FALSE(state.up());
}

}  // namespace
}  // namespace sluice::test
