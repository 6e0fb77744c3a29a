// Several routers against each other: see lan_simulation.h for what must hold at each moment.
#include <algorithm>

#include <gtest/gtest.h>

#include "test/unit/vrrp/lan_simulation.h"

namespace sluice::test {
namespace {

Parameters v2(std::uint8_t priority) {
  return {.version = 2, .priority = priority};
}
Parameters v3(std::uint8_t priority, Duration interval) {
  return {.version = 3, .priority = priority, .advert_int = interval};
}
Parameters with(Parameters p, auto&& change) {
  change(p);
  return p;
}

std::vector<LanSetup> setups() {
  const auto stays = [](Parameters& p) { p.preempt = false; };
  const auto waits = [](Parameters& p) { p.preempt_delay = 20s; };
  const auto quiet = [](Parameters& p) { p.lower_prio_no_advert = true; };
  const auto polite = [](Parameters& p) { p.higher_prio_send_advert = true; };
  const auto owns = [](Parameters& p) { p.start_as_master = true; };
  return {
      {"Two", {v2(90), v2(80)}},
      {"TwoOfTheSamePriority", {v2(100), v2(100)}},
      {"Three", {v2(50), v2(150), v2(100)}},
      {"ThreeOfTheSamePriority", {v2(100), v2(100), v2(100)}},
      {"TwoThatDoNotPreempt", {with(v2(90), stays), with(v2(80), stays)}},
      {"OneThatDoesNotPreempt", {with(v2(90), stays), v2(80)}},
      {"PreemptDelay", {with(v2(90), waits), with(v2(80), waits)}},
      {"NoAdvertForALowerPriority", {with(v2(90), quiet), with(v2(80), quiet)}},
      {"OneMoreAdvertForAHigherPriority", {with(v2(90), polite), with(v2(80), polite)}},
      {"AnOwner", {with(v2(255), owns), v2(80)}},
      {"TwoOwners", {with(v2(255), owns), with(v2(255), owns)}},
      {"TenMilliseconds", {v3(90, 10ms), v3(80, 10ms)}, 1, 1ms},
      {"DifferentIntervals", {v3(90, 100ms), v3(80, 1s), v3(100, 2s)}},
      {"AGroup", {v2(90), v2(80)}, 2},
      {"AGroupOfThreeOnThree", {v3(90, 100ms), v3(80, 100ms), v3(85, 100ms)}, 3},
      {"AGroupOfTheSamePriority", {v2(100), v2(100)}, 2},
  };
}

class Election : public testing::TestWithParam<LanSetup> {};
INSTANTIATE_TEST_SUITE_P(Lans, Election, testing::ValuesIn(setups()),
                         [](const auto& info) { return info.param.name; });

/// 100,000 steps in all for each setup.
constexpr int kRounds = 100, kSteps = 1'000;

TEST_P(Election, EndsWithOneMaster) {
  const LanSetup& setup = GetParam();
  std::uint8_t highest = 0;
  for (const Parameters& p : setup.hosts) highest = std::max(highest, p.priority);
  const bool preempt = std::ranges::all_of(setup.hosts, &Parameters::preempt);
  std::uint64_t changes = 0;
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    Lan lan(setup, round);
    for (int step = 0; step < kSteps && lan.failure().empty(); ++step) lan.step();
    lan.settle();
    ASSERT_EQ(lan.failure(), "") << "seed " << round;
    const auto master = lan.master(0);
    ASSERT_TRUE(master) << "seed " << round << " " << lan.describe();
    for (std::size_t s = 1; s < setup.segments; ++s) {
      ASSERT_EQ(lan.master(s), master) << "seed " << round << " " << lan.describe();
    }
    if (preempt) {
      ASSERT_EQ(lan.priority(*master), highest) << "seed " << round << " " << lan.describe();
    }
    changes += lan.changes_of_master();
  }
  EXPECT_GT(changes, kRounds * 10U) << "the simulation is too quiet to show anything";
}

}  // namespace
}  // namespace sluice::test
