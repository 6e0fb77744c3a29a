#include "vrrp/notify.h"

#include <algorithm>

#include "test/unit/vrrp/command_fixture.h"

namespace sluice::vrrp {
namespace {

config::VrrpInstance named(const std::string& name) {
  config::VrrpInstance out;
  out.name = name;
  return out;
}

using Lists = std::vector<std::vector<std::string>>;

TEST(Notifier, RunsTheStatesOwnCommandThenNotifyWithKeepalivedsArguments) {
  config::VrrpInstance what = named("VI_1");
  what.notify.master = {"/bin/up", "now"};
  what.notify.stop = {"/bin/stop"};
  what.notify.any = {"/bin/any"};
  EXPECT_EQ(Notifier::commands_of(what, State::master, 90),
            (Lists{{"/bin/up", "now"}, {"/bin/any", "INSTANCE", "VI_1", "MASTER", "90"}}));
  EXPECT_EQ(Notifier::commands_of(what, State::backup, 90),
            (Lists{{"/bin/any", "INSTANCE", "VI_1", "BACKUP", "90"}}));
  EXPECT_EQ(Notifier::commands_of(what, State::fault, 90),
            (Lists{{"/bin/any", "INSTANCE", "VI_1", "FAULT", "90"}}));
  EXPECT_EQ(Notifier::commands_of(what, State::init, 90),
            (Lists{{"/bin/stop"}, {"/bin/any", "INSTANCE", "VI_1", "STOP", "90"}}));
  EXPECT_TRUE(Notifier::commands_of(named("VI_1"), State::fault, 90).empty());
}

/// Commands that write what they are told to `log`, one line each.
class NotifierTest : public test::CommandsFixture {
 protected:
  /// $0 is `name`, so that keepalived's arguments begin at $1.
  [[nodiscard]] std::vector<std::string> teller(const std::string& script) const {
    return {"/bin/sh", "-c", script, "notify"};
  }
  [[nodiscard]] config::VrrpInstance telling(const std::string& name) const {
    config::VrrpInstance out = named(name);
    out.notify.any = teller("echo \"$*\" >> " + file("log"));
    return out;
  }
  /// Like it, but each command waits until there is a file `go`, and leaves a file for as long as it runs.
  [[nodiscard]] config::VrrpInstance waiting(const std::string& name) const {
    config::VrrpInstance out = named(name);
    out.notify.any = teller("echo \"began $2 $3\" >> " + file("log") + "; until test -e " + file("go") +
                            "; do sleep 0.02; done; echo \"ended $2 $3\" >> " + file("log"));
    return out;
  }
  [[nodiscard]] std::size_t lines() const {
    const std::string text = read("log");
    return text.empty() ? 0 : static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  }

  Notifier notifier_{commands_};
};

TEST_F(NotifierTest, GivesNotifyKeepalivedsArguments) {
  notifier_.entered(telling("VI_1"), State::master, 90);
  ASSERT_TRUE(until([&] { return lines() == 1; }));
  EXPECT_EQ(read("log"), "INSTANCE VI_1 MASTER 90");
}

TEST_F(NotifierTest, OneInstancesCommandsRunOneAfterTheOtherInTheOrderOfItsStates) {
  const auto instance = waiting("A");
  notifier_.entered(instance, State::backup, 90);
  notifier_.entered(instance, State::master, 90);
  notifier_.entered(instance, State::fault, 90);
  ASSERT_TRUE(until([&] { return lines() == 1; }));
  for (int turn = 0; turn < 10; ++turn) loop_->run_once(std::chrono::milliseconds(10));
  EXPECT_EQ(read("log"), "began A BACKUP") << "the others wait for it";
  touch("go");
  ASSERT_TRUE(until([&] { return lines() == 6; })) << read("log");
  EXPECT_EQ(read("log"),
            "began A BACKUP\nended A BACKUP\nbegan A MASTER\nended A MASTER\nbegan A FAULT\nended A FAULT");
}

TEST_F(NotifierTest, AnInstanceDoesNotWaitForAnother) {
  notifier_.entered(waiting("A"), State::backup, 90);
  notifier_.entered(telling("B"), State::backup, 90);
  EXPECT_TRUE(until([&] { return read("log").find("INSTANCE B BACKUP 90") != std::string::npos; }));
  EXPECT_EQ(read("log").find("ended"), std::string::npos);
  touch("go");
  EXPECT_TRUE(until([&] { return lines() == 3; }));
}

TEST_F(NotifierTest, AMasterThatHeardALowerPriorityHasACommandOfItsOwn) {
  config::VrrpInstance instance = named("A");
  notifier_.heard_lower_priority(instance);  // has none
  instance.notify.master_rx_lower_pri = teller("echo heard >> " + file("log"));
  notifier_.heard_lower_priority(instance);
  ASSERT_TRUE(until([&] { return lines() == 1; }));
  EXPECT_EQ(read("log"), "heard");
}

TEST_F(NotifierTest, ACommandThatCannotBeRunOrFailsDoesNotHoldUpTheNext) {
  config::VrrpInstance instance = telling("A");
  instance.notify.backup = {file("nowhere")};
  instance.notify.master = shell("exit 1");
  notifier_.entered(instance, State::backup, 90);
  notifier_.entered(instance, State::master, 90);
  ASSERT_TRUE(until([&] { return lines() == 2; })) << read("log");
  EXPECT_EQ(read("log"), "INSTANCE A BACKUP 90\nINSTANCE A MASTER 90");
}

TEST_F(NotifierTest, AtTheEndAllThatWaitsIsStartedAtOnce) {
  auto instance = waiting("A");
  notifier_.entered(instance, State::backup, 90);
  notifier_.entered(instance, State::fault, 90);
  notifier_.entered(instance, State::init, 90);
  ASSERT_TRUE(until([&] { return lines() == 1; }));
  notifier_.start_all();
  // The loop does not run any more, and they do all the same.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (lines() < 3 && std::chrono::steady_clock::now() < end) {
  }
  EXPECT_NE(read("log").find("began A FAULT"), std::string::npos) << read("log");
  EXPECT_NE(read("log").find("began A STOP"), std::string::npos) << read("log");
  touch("go");
  EXPECT_TRUE(until([&] { return lines() == 6; }));
}

/// Of an instance that flaps while its command hangs, the newest states are told.
TEST_F(NotifierTest, KeepsTheNewestStatesOfAQueueThatGrowsTooLong) {
  const auto instance = waiting("A");
  notifier_.entered(instance, State::backup, 90);
  ASSERT_TRUE(until([&] { return lines() == 1; }));
  for (int i = 0; i < 70; ++i) notifier_.entered(instance, State::backup, 90);
  notifier_.entered(instance, State::master, 90);
  touch("go");
  ASSERT_TRUE(until([&] { return read("log").ends_with("ended A MASTER"); }));
  EXPECT_EQ(lines(), 2U * (1 + 64));
}

/// Any host of the segment can make a master hear lower priorities.
TEST_F(NotifierTest, LowerPrioritiesPushNoStateOutOfAQueueThatMovesSlowly) {
  auto instance = waiting("A");
  instance.notify.master_rx_lower_pri = teller("echo heard >> " + file("log"));
  notifier_.entered(instance, State::backup, 90);
  ASSERT_TRUE(until([&] { return lines() == 1; }));
  notifier_.entered(instance, State::master, 90);
  for (int i = 0; i < 200; ++i) notifier_.heard_lower_priority(instance);
  touch("go");
  ASSERT_TRUE(until([&] { return read("log").ends_with("heard"); }));
  EXPECT_EQ(read("log"), "began A BACKUP\nended A BACKUP\nbegan A MASTER\nended A MASTER\nheard");
}

}  // namespace
}  // namespace sluice::vrrp
