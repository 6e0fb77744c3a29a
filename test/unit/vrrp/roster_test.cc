#include "vrrp/roster.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

config::VrrpInstance instance(const std::string& name, std::uint8_t vrid) {
  config::VrrpInstance out;
  out.name = name;
  out.interface = "lan";
  out.virtual_router_id = vrid;
  out.addresses = {{*base::Prefix::parse("192.0.2.10/24"), "lan"}};
  return out;
}

template <typename T>
std::size_t count(const std::vector<ToSpeaker>& messages) {
  return static_cast<std::size_t>(std::ranges::count_if(
      messages, [](const ToSpeaker& message) { return std::holds_alternative<T>(message); }));
}

TEST(Roster, AdoptsWhatIsNew) {
  Roster roster;
  const auto plan = roster.replace({instance("a", 1), instance("b", 2)});
  ASSERT_TRUE(plan);
  EXPECT_EQ(count<Adopt>(plan->to_speaker), 2U);
  EXPECT_EQ(plan->to_kernel.instances.size(), 2U);
  EXPECT_EQ(plan->to_kernel.listeners.size(), 1U) << "one socket hears all of an interface and family";
  EXPECT_NE(roster.find("a")->id, roster.find("b")->id);
}

TEST(Roster, LeavesAloneWhatHasNotChanged) {
  Roster roster;
  ASSERT_TRUE(roster.replace({instance("a", 1)}));
  const InstanceId id = roster.find("a")->id;
  const auto plan = roster.replace({instance("a", 1)});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->to_speaker.empty());
  EXPECT_EQ(roster.find("a")->id, id);
}

TEST(Roster, KnowsByNameWhoHasYielded) {
  Roster roster;
  roster.recall({"b"});
  const auto plan = roster.replace({instance("a", 1), instance("b", 2)});
  ASSERT_TRUE(plan);
  EXPECT_FALSE(roster.find("a")->yielded);
  EXPECT_TRUE(roster.find("b")->yielded) << "by the process before";
  ASSERT_EQ(count<OperatorSays>(plan->to_speaker), 1U);
  const auto& says = std::get<OperatorSays>(plan->to_speaker.back());
  EXPECT_EQ(says.id, roster.find("b")->id);
  EXPECT_TRUE(says.yield);

  (void)roster.yield(*roster.find("a"), true);
  (void)roster.yield(*roster.find("b"), false);
  EXPECT_EQ(roster.yielded(), std::set<std::string>{"a"});
  const auto moved = roster.replace({instance("a", 7), instance("b", 8)});  // other routers, the same names
  ASSERT_TRUE(moved);
  EXPECT_TRUE(roster.find("a")->yielded);
  EXPECT_FALSE(roster.find("b")->yielded);
  EXPECT_EQ(count<OperatorSays>(moved->to_speaker), 1U);
}

TEST(Roster, ForgetsThatWhoIsGoneHasYielded) {
  Roster roster;
  roster.recall({"a", "gone"});
  ASSERT_TRUE(roster.replace({instance("a", 1), instance("b", 2)}));
  EXPECT_EQ(roster.yielded(), std::set<std::string>{"a"});
  ASSERT_TRUE(roster.replace({instance("b", 2)}));
  EXPECT_TRUE(roster.yielded().empty());
  ASSERT_TRUE(roster.replace({instance("a", 1), instance("b", 2)}));
  EXPECT_FALSE(roster.find("a")->yielded);
}

TEST(Roster, KeepsTheStateOfWhatHasOtherSettings) {
  Roster roster;
  ASSERT_TRUE(roster.replace({instance("a", 1)}));
  roster.find("a")->yielded = true;
  const InstanceId id = roster.find("a")->id;
  const auto orders = roster.find("a")->orders;
  auto changed = instance("a", 1);
  changed.priority = 50;
  const auto plan = roster.replace({changed});
  ASSERT_TRUE(plan);
  ASSERT_EQ(count<Change>(plan->to_speaker), 1U);
  EXPECT_EQ(plan->to_speaker.size(), 1U);
  EXPECT_EQ(roster.find("a")->id, id);
  EXPECT_EQ(roster.find("a")->orders, orders);
  EXPECT_TRUE(roster.find("a")->yielded);
  EXPECT_EQ(roster.find("a")->config.priority, 50);
}

TEST(Roster, AnotherRouterUnderTheSameNameIsANewOne) {
  Roster roster;
  ASSERT_TRUE(roster.replace({instance("a", 1)}));
  const InstanceId id = roster.find("a")->id;
  const auto plan = roster.replace({instance("a", 9)});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->to_speaker.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<Dismiss>(plan->to_speaker[0])) << "the old one lets go first";
  EXPECT_TRUE(std::holds_alternative<Adopt>(plan->to_speaker[1]));
  ASSERT_EQ(plan->gone.size(), 1U);
  EXPECT_EQ(plan->gone[0]->id, id);
  EXPECT_NE(roster.find("a")->id, id);
}

TEST(Roster, ListensOnTheInterfaceItselfAlsoWithItsOwnMacAddress) {
  Roster roster;
  auto own = instance("a", 1);
  own.use_vmac = true;
  own.vmac_interface = "vrrp.1";
  const auto plan = roster.replace({own});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->to_kernel.listeners.at(roster.find("a")->listener).interface, "lan");
}

TEST(Roster, DismissesWhatIsGone) {
  Roster roster;
  ASSERT_TRUE(roster.replace({instance("a", 1), instance("b", 2)}));
  const auto plan = roster.replace({instance("b", 2)});
  ASSERT_TRUE(plan);
  EXPECT_EQ(count<Dismiss>(plan->to_speaker), 1U);
  EXPECT_EQ(plan->to_speaker.size(), 1U);
  EXPECT_EQ(roster.find("a"), nullptr);
  EXPECT_EQ(plan->to_kernel.instances.size(), 1U);
}

TEST(Roster, HasGroupsLookAnewAfterAllOfAReload) {
  Roster roster;
  std::vector<config::VrrpInstance> three{instance("a", 1), instance("b", 2), instance("c", 3)};
  for (auto& member : three) member.sync_group = "g";
  ASSERT_TRUE(roster.replace(three));
  EXPECT_TRUE(roster.replace(three)->to_speaker.empty());
  const auto plan = roster.replace({three[1], three[2]});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->to_speaker.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<Dismiss>(plan->to_speaker[0]));
  EXPECT_TRUE(std::holds_alternative<Regroup>(plan->to_speaker[1]));
}

TEST(Roster, TellsWhatItDoesAndNothingOfNothing) {
  Roster roster;
  EXPECT_EQ(told_of(*roster.replace({instance("a", 1), instance("b", 2)})), "VRRP instances: 2 new");
  EXPECT_EQ(told_of(*roster.replace({instance("a", 1), instance("b", 2)})), "");
  auto changed = instance("a", 1);
  changed.priority = 50;
  EXPECT_EQ(told_of(*roster.replace({changed, instance("c", 3), instance("d", 4)})),
            "VRRP instances: 1 changed, 2 new, 1 stopped");
}

TEST(Roster, TakesKeepalivesDefaultsOver) {
  auto what = instance("a", 1);
  what.announce.delay = std::chrono::seconds(7);
  EXPECT_EQ(parameters_of(what).lower_prio_announce_delay, std::chrono::seconds(7));
  what.announce.lower_prio_delay = std::chrono::seconds(1);
  EXPECT_EQ(parameters_of(what).lower_prio_announce_delay, std::chrono::seconds(1));
  EXPECT_FALSE(parameters_of(what).in_group);
  what.sync_group = "g";
  EXPECT_TRUE(parameters_of(what).in_group);
}

}  // namespace
}  // namespace sluice::vrrp
