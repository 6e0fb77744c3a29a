#include "vrrp/trackers.h"

#include <algorithm>

#include "test/unit/vrrp/command_fixture.h"

namespace sluice::vrrp {
namespace {

using namespace std::chrono_literals;  // NOLINT: of a test

class TrackersTest : public test::CommandsFixture {
 protected:
  /// An instance that watches nothing but what a test adds.
  static config::VrrpInstance bare(const std::string& name = "A", std::uint8_t vrid = 61) {
    config::VrrpInstance out;
    out.name = name;
    out.interface = "lan";
    out.virtual_router_id = vrid;
    out.addresses = {{*base::Prefix::parse("192.0.2.10/24"), "lan"}};
    out.track_dataplane.enabled = false;
    return out;
  }
  [[nodiscard]] config::VrrpTrackScript script(const std::string& fine = "fine") const {
    config::VrrpTrackScript out;
    out.name = "check";
    out.command = shell("echo >> " + file("runs") + "; test -e " + file(fine));
    out.interval = 30ms;
    out.timeout = 20s;
    return out;
  }
  void configure(const std::vector<config::VrrpInstance>& wanted) {
    ASSERT_TRUE(roster_.replace(wanted));
    trackers_->replace();
  }
  const Member& member(const std::string& name = "A") { return *roster_.find(name); }
  bool ready(const std::string& name = "A") { return trackers_->ready(member(name)); }
  Tracked only(const std::string& name = "A") {
    const auto all = trackers_->tracked(member(name));
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Tracked{} : all.front();
  }
  [[nodiscard]] std::size_t looked_at(const std::string& name) const {
    return static_cast<std::size_t>(std::ranges::count(looked_, name));
  }

  Roster roster_;
  std::vector<std::string> looked_;
  std::unique_ptr<Trackers> trackers_ =
      std::make_unique<Trackers>(*loop_, commands_, files_.file("."), roster_,
                                 [this](Member& member) { looked_.push_back(member.config.name); });
};

TEST_F(TrackersTest, WhoWatchesNothingIsReadyAtOnce) {
  configure({bare()});
  EXPECT_TRUE(ready());
  EXPECT_TRUE(trackers_->tracked(member()).empty());
}

TEST_F(TrackersTest, IsNotReadyBeforeItsInterfacesHaveBeenLookedAt) {
  config::VrrpInstance wanted = bare();
  wanted.track_interface = {{"wan", -20}, {"dmz", 0}};
  configure({wanted, bare("B", 62)});
  EXPECT_FALSE(ready());
  trackers_->interface_is({.name = "wan", .exists = true, .up = true, .running = true});
  EXPECT_FALSE(ready()) << "one of two";
  trackers_->interface_is({.name = "dmz"});
  EXPECT_TRUE(ready());
  const auto tracked = trackers_->tracked(member());
  ASSERT_EQ(tracked.size(), 2U);
  EXPECT_TRUE(tracked[0].up);
  EXPECT_EQ(tracked[0].weight, -20);
  EXPECT_EQ(tracked[0].kind, TrackerKind::interface);
  EXPECT_FALSE(tracked[1].up);
  EXPECT_EQ(tracked[1].reason, "tracked interface dmz does not exist");
  EXPECT_EQ(looked_at("A"), 2U);
  EXPECT_EQ(looked_at("B"), 0U) << "it watches neither";
}

TEST_F(TrackersTest, SaysWhatIsWrongWithAnInterface) {
  config::VrrpInstance wanted = bare();
  wanted.track_interface = {{"wan", 0}};
  configure({wanted});
  trackers_->interface_is({.name = "wan", .exists = true});
  EXPECT_EQ(only().reason, "tracked interface wan is down");
  trackers_->interface_is({.name = "wan", .exists = true, .up = true});
  EXPECT_EQ(only().reason, "tracked interface wan has no link");
  trackers_->interface_is({.name = "wan", .exists = true, .up = true, .running = true});
  EXPECT_TRUE(only().up);
}

TEST_F(TrackersTest, IsNotReadyBeforeItsScriptHasRun) {
  config::VrrpInstance wanted = bare();
  wanted.track_script = {script()};
  wanted.track_script[0].weight = -30;
  configure({wanted});
  EXPECT_FALSE(ready());
  ASSERT_TRUE(until([&] { return ready(); }));
  EXPECT_GE(looked_at("A"), 1U);
  const Tracked seen = only();
  EXPECT_FALSE(seen.up);
  EXPECT_EQ(seen.kind, TrackerKind::script);
  EXPECT_EQ(seen.weight, -30);
  EXPECT_EQ(seen.reason, "script check exited with 1");
  looked_.clear();
  touch("fine");
  EXPECT_TRUE(until([&] { return only().up; }));
  EXPECT_EQ(looked_at("A"), 1U);
}

/// By name and instance: two instances may each have a "check".
TEST_F(TrackersTest, ScriptsOfTwoInstancesAreTwo) {
  config::VrrpInstance a = bare(), b = bare("B", 62);
  a.track_script = {script("fine")};
  b.track_script = {script("other")};
  touch("fine");
  configure({a, b});
  ASSERT_TRUE(until([&] { return ready("A") && ready("B"); }));
  EXPECT_TRUE(only("A").up);
  EXPECT_FALSE(only("B").up);
}

TEST_F(TrackersTest, AReloadKeepsWhatIsKnownOfAScript) {
  config::VrrpInstance wanted = bare();
  wanted.track_script = {script()};
  configure({wanted});
  ASSERT_TRUE(until([&] { return ready(); }));
  ASSERT_FALSE(only().up);
  wanted.priority = 50;  // nothing about the script
  configure({wanted});
  EXPECT_TRUE(ready());
  EXPECT_FALSE(only().up);
  wanted.track_script[0].interval = 40ms;
  configure({wanted});
  EXPECT_TRUE(ready());
  EXPECT_FALSE(only().up);
  EXPECT_EQ(only().reason, "script check exited with 1");
  touch("fine");
  EXPECT_TRUE(until([&] { return only().up; }));
}

TEST_F(TrackersTest, AReloadKeepsWhatIsKnownOfAnInterfaceAndForgetsWhatNobodyWatches) {
  config::VrrpInstance wanted = bare();
  wanted.track_interface = {{"wan", 0}};
  configure({wanted});
  trackers_->interface_is({.name = "wan", .exists = true, .up = true, .running = true});
  wanted.priority = 50;
  configure({wanted});
  EXPECT_TRUE(ready());
  configure({bare()});
  configure({wanted});
  EXPECT_FALSE(ready()) << "it may have changed while nobody looked";
}

TEST_F(TrackersTest, AScriptThatAReloadTakesAwayRunsNoMore) {
  config::VrrpInstance wanted = bare();
  wanted.track_script = {script()};
  configure({wanted});
  ASSERT_TRUE(until([&] { return ready(); }));
  configure({bare()});
  EXPECT_TRUE(trackers_->tracked(member()).empty());
  looked_.clear();
  touch("fine");
  const auto end = std::chrono::steady_clock::now() + 10 * script().interval;
  while (std::chrono::steady_clock::now() < end) loop_->run_once(10ms);
  EXPECT_EQ(looked_at("A"), 0U);
}

TEST_F(TrackersTest, ADataPlaneThatIsNotThereIsAFaultOnceItWasLookedFor) {
  config::VrrpInstance wanted = bare();
  wanted.track_dataplane.enabled = true;
  configure({wanted});
  EXPECT_FALSE(ready());
  ASSERT_TRUE(until([&] { return ready(); }));
  EXPECT_GE(looked_at("A"), 1U);
  const Tracked seen = only();
  EXPECT_EQ(seen.kind, TrackerKind::dataplane);
  EXPECT_FALSE(seen.up);
  EXPECT_FALSE(seen.reason.empty());
  configure({bare()});
  EXPECT_TRUE(ready());
  EXPECT_TRUE(trackers_->tracked(member()).empty());
}

TEST_F(TrackersTest, AServiceThatNobodyKnowsHasNoUsableServers) {
  config::VrrpInstance wanted = bare();
  wanted.track_service = {{"web", 2, -40}};
  configure({wanted});
  ASSERT_TRUE(until([&] { return ready(); }));
  const Tracked seen = only();
  EXPECT_EQ(seen.kind, TrackerKind::service);
  EXPECT_EQ(seen.weight, -40);
  EXPECT_FALSE(seen.up);
  EXPECT_EQ(seen.reason, "service web has 0 usable servers, fewer than 2");
}

}  // namespace
}  // namespace sluice::vrrp
