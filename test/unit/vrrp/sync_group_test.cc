#include "vrrp/sync_group.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test/unit/vrrp/router_fixture.h"

namespace sluice::test {
namespace {

/// Two instances of one group, `a` and `b`.
class SyncGroup : public testing::Test {
 protected:
  SyncGroup() { reset({.in_group = true}, {.in_group = true}); }

  void reset(const Parameters& a, const Parameters& b) {
    routers_ = {VirtualRouter(a, now_), VirtualRouter(b, now_)};
    states();
  }
  /// Handles an event of one, and what follows for the other.
  void handle(std::size_t member, const vrrp::Event& event) {
    note(member, routers_[member].handle(event, now_));
    follow();
  }
  void follow() {
    const VirtualRouter* members[]{&routers_[0], &routers_[1]};
    vrrp::follow(members, [&](std::size_t other, const vrrp::GroupBecame& became) {
      note(other, routers_[other].handle(became, now_));
    });
  }
  void both(const vrrp::Event& event) {
    handle(0, event);
    handle(1, event);
  }
  void hear(std::size_t member, std::uint8_t priority) {
    handle(member, AdvertReceived{priority, 1s, false});
  }
  void wait(Duration duration) {
    const Time end = now_ + duration;
    for (;;) {
      std::size_t first = 0;
      const auto a = routers_[0].deadline();
      const auto b = routers_[1].deadline();
      if (b && (!a || *b < *a)) first = 1;
      const auto next = routers_[first].deadline();
      if (!next || *next > end) break;
      now_ = *next;
      handle(first, vrrp::Timeout{});
    }
    now_ = end;
  }
  void make_masters() {
    both(vrrp::Start{});
    wait(4s);
    ASSERT_EQ(states(), "master master");
    sent_.clear();
  }
  std::string states() { return std::string(text(routers_[0].state())) + " " + text(routers_[1].state()); }
  std::string sent() { return std::exchange(sent_, {}); }

  Time now_{1'000s};
  std::vector<VirtualRouter> routers_;

 private:
  void note(std::size_t member, const vrrp::Effects& effects) {
    for (const Effect& effect : effects.all()) {
      if (effect.kind != Effect::Kind::send_advert) continue;
      sent_ += (sent_.empty() ? "" : " ") + std::string(1, static_cast<char>('a' + member)) +
               std::to_string(effect.priority);
    }
  }
  std::string sent_;
};

TEST_F(SyncGroup, BecomesMasterTogether) {
  both(vrrp::Start{});
  wait(3s);
  EXPECT_EQ(states(), "backup backup");
  wait(1s);
  EXPECT_EQ(states(), "master master");
}

TEST_F(SyncGroup, WaitsForTheMemberThatHearsAMaster) {
  both(vrrp::Start{});
  for (int i = 0; i < 10; ++i) {
    wait(1s);
    hear(1, 200);
  }
  EXPECT_EQ(states(), "backup backup");
  wait(4s);
  EXPECT_EQ(states(), "master master");
}

TEST_F(SyncGroup, WaitsForTheMemberThatHasNotStarted) {
  handle(0, vrrp::Start{});
  wait(60s);
  EXPECT_EQ(states(), "backup init");
  handle(1, vrrp::Start{});
  wait(4s);
  EXPECT_EQ(states(), "master master");
}

TEST_F(SyncGroup, GivesWayTogether) {
  make_masters();
  hear(0, 200);
  EXPECT_EQ(states(), "backup backup");
  EXPECT_EQ(sent(), "b0") << "the other network's backup need not wait";
}

TEST_F(SyncGroup, AMemberWithLessThanItsPeerHoldsAllBack) {
  make_masters();
  hear(0, 200);
  for (int i = 0; i < 20; ++i) {
    hear(0, 200);
    hear(1, 50);
    wait(1s);
    ASSERT_EQ(states(), "backup backup") << "no flapping";
  }
}

TEST_F(SyncGroup, AFaultOfOneIsAFaultOfAll) {
  make_masters();
  handle(1, vrrp::FaultChanged{true});
  EXPECT_EQ(states(), "fault fault");
  EXPECT_EQ(sent(), "b0 a0");
  EXPECT_EQ(routers_[0].reason(), Reason::group);
  EXPECT_EQ(routers_[1].reason(), Reason::tracker);
}

TEST_F(SyncGroup, RecoversTogether) {
  make_masters();
  handle(1, vrrp::FaultChanged{true});
  wait(10s);
  handle(1, vrrp::FaultChanged{false});
  EXPECT_EQ(states(), "backup backup");
  wait(4s);
  EXPECT_EQ(states(), "master master");
}

TEST_F(SyncGroup, RecoversWhenTheLastFaultIsGone) {
  make_masters();
  handle(0, vrrp::FaultChanged{true});
  handle(1, vrrp::FaultChanged{true});
  handle(0, vrrp::FaultChanged{false});
  EXPECT_EQ(states(), "fault fault");
  EXPECT_EQ(routers_[0].reason(), Reason::group);
  handle(1, vrrp::FaultChanged{false});
  EXPECT_EQ(states(), "backup backup");
}

TEST_F(SyncGroup, AFaultBeforeTheStartIsAFaultOfAll) {
  handle(0, vrrp::Start{true});
  EXPECT_EQ(states(), "fault init");
  handle(1, vrrp::Start{});
  EXPECT_EQ(states(), "fault fault");
  handle(0, vrrp::FaultChanged{false});
  EXPECT_EQ(states(), "backup backup");
}

TEST_F(SyncGroup, AYieldOfOneGivesAllAway) {
  make_masters();
  handle(0, vrrp::Yield{});
  EXPECT_EQ(states(), "backup backup");
  EXPECT_EQ(sent(), "a0 b0");
  wait(60s);
  EXPECT_EQ(states(), "backup backup");
  handle(0, vrrp::Resume{});
  wait(4s);
  EXPECT_EQ(states(), "master master");
}

TEST_F(SyncGroup, OwnersAreMasterOnceAllHaveStarted) {
  const Parameters owner{.priority = 255, .start_as_master = true, .in_group = true};
  reset(owner, owner);
  both(vrrp::Start{});
  EXPECT_EQ(states(), "master master");
  handle(0, AdvertReceived{255, 1s, true});
  EXPECT_EQ(states(), "backup backup") << "not back at once";
}

TEST_F(SyncGroup, AStoppedMemberDoesNotPullTheOthersDown) {
  make_masters();
  handle(0, vrrp::Stop{});
  EXPECT_EQ(states(), "init master");
}

TEST_F(SyncGroup, AMemberThatJoinsFollowsTheMaster) {
  make_masters();
  routers_[1] = VirtualRouter({.in_group = true}, now_);
  handle(1, vrrp::Start{});
  EXPECT_EQ(states(), "master backup") << "it looks around first";
  wait(4s);
  EXPECT_EQ(states(), "master master");
}

/// Routers that run, of which the first is master, and that a reload puts into one group.
class SyncGroupOfAReload : public SyncGroup {
 protected:
  void regroup() {
    for (VirtualRouter& router : routers_) {
      Parameters parameters = router.parameters();
      parameters.in_group = true;
      (void)router.handle(vrrp::Reconfigure{parameters}, now_);
    }
    follow();
  }
  /// The first has been master for long, while the second hears another one.
  void split() {
    reset({}, {});
    for (VirtualRouter& router : routers_) (void)router.handle(vrrp::Start{}, now_);
    for (int i = 0; i < 10; ++i) {
      wait_alone(1s);
      (void)routers_[1].handle(AdvertReceived{200, 1s, false}, now_);
    }
    ASSERT_EQ(states(), "master backup");
    sent();
  }
  void wait_alone(Duration duration) {
    now_ += duration;
    (void)routers_[0].handle(vrrp::Timeout{}, now_);
  }
};

TEST_F(SyncGroupOfAReload, AMasterGivesWayWithTheMemberThatHearsAnotherOne) {
  split();
  regroup();
  EXPECT_EQ(states(), "backup backup") << "split for good";
  EXPECT_EQ(sent(), "a0");
  for (int i = 0; i < 10; ++i) {
    wait(1s);
    hear(1, 200);
  }
  EXPECT_EQ(states(), "backup backup");
  wait(4s);
  EXPECT_EQ(states(), "master master") << "once the other one is silent";
}

TEST_F(SyncGroupOfAReload, AMasterGivesWayWithTheMemberThatHasYielded) {
  split();
  (void)routers_[1].handle(vrrp::Yield{}, now_);
  regroup();
  EXPECT_EQ(states(), "backup backup");
}

TEST_F(SyncGroupOfAReload, AMasterStaysForTheMemberThatIsStillLookingAround) {
  split();
  routers_[1] = VirtualRouter({}, now_);
  (void)routers_[1].handle(vrrp::Start{}, now_);
  regroup();
  EXPECT_EQ(states(), "master backup");
  wait(4s);
  EXPECT_EQ(states(), "master master");
}

TEST_F(SyncGroupOfAReload, MastersStayMasters) {
  make_masters();
  regroup();
  EXPECT_EQ(states(), "master master");
  EXPECT_EQ(sent(), "");
}

}  // namespace
}  // namespace sluice::test
