#include "vrrp/script_watch.h"

#include <algorithm>
#include <iterator>
#include <unistd.h>

#include "test/unit/vrrp/command_fixture.h"

namespace sluice::vrrp {
namespace {

using namespace std::chrono_literals;  // NOLINT: of a test

/// A script that succeeds as long as there is a file `fine`, and writes a line to `runs` each time.
class ScriptWatchTest : public test::CommandsFixture {
 protected:
  [[nodiscard]] config::VrrpTrackScript script() const {
    config::VrrpTrackScript out;
    out.name = "check";
    out.command = shell("echo >> " + file("runs") + "; test -e " + file("fine"));
    out.interval = 30ms;
    out.timeout = 20s;
    return out;
  }
  ScriptWatch& watch(const config::VrrpTrackScript& script, const ScriptWatch* before = nullptr) {
    auto fresh = std::make_unique<ScriptWatch>(
        *loop_, commands_, script, [this] { ++changes_; }, before);
    watch_ = std::move(fresh);
    return *watch_;
  }
  void fail() const { ASSERT_EQ(::unlink(file("fine").c_str()), 0); }
  [[nodiscard]] std::size_t runs() const {
    std::ifstream in(file("runs"));
    return static_cast<std::size_t>(
        std::count(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>(), '\n'));
  }
  /// So many more runs have begun.
  bool run(std::size_t more) {
    const std::size_t wanted = runs() + more;
    return until([&] { return runs() >= wanted; });
  }

  int changes_ = 0;
  std::unique_ptr<ScriptWatch> watch_;
};

TEST_F(ScriptWatchTest, IsNotKnownBeforeItHasRunOnce) {
  touch("fine");
  const ScriptWatch& check = watch(script());
  EXPECT_FALSE(check.known());
  EXPECT_TRUE(until([&] { return check.known(); }));
  EXPECT_TRUE(check.up());
  EXPECT_EQ(changes_, 1) << "the first look is told, though nothing turned";
  EXPECT_TRUE(run(2));
  EXPECT_EQ(changes_, 1);
}

TEST_F(ScriptWatchTest, TheFirstFailureOfAllCountsAtOnce) {
  auto wanted = script();
  wanted.fall = 3;
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(until([&] { return check.known(); }));
  EXPECT_FALSE(check.up());
  EXPECT_EQ(check.reason(), "script check exited with 1");
  EXPECT_EQ(runs(), 1U);
}

TEST_F(ScriptWatchTest, FallsAfterSoManyFailuresInARow) {
  touch("fine");
  auto wanted = script();
  wanted.fall = 3;
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(run(3));
  fail();
  const std::size_t before = runs();
  ASSERT_TRUE(until([&] { return !check.up(); }));
  EXPECT_GE(runs() - before, 2U);  // the run at work as the file went may have seen it or not
  EXPECT_LE(runs() - before, 4U);
  EXPECT_EQ(changes_, 2);
}

TEST_F(ScriptWatchTest, RisesAfterSoManySuccessesInARow) {
  auto wanted = script();
  wanted.rise = 3;
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(until([&] { return check.known(); }));
  ASSERT_FALSE(check.up());
  const std::size_t before = runs();
  touch("fine");
  ASSERT_TRUE(until([&] { return check.up(); }));
  EXPECT_GE(runs() - before, 2U);  // as above
  EXPECT_LE(runs() - before, 4U);
}

TEST_F(ScriptWatchTest, InitFailMeansDownWithoutWaitingForTheFirstRun) {
  touch("fine");
  auto wanted = script();
  wanted.init_fail = true;
  const ScriptWatch& check = watch(wanted);
  EXPECT_TRUE(check.known());
  EXPECT_FALSE(check.up());
  EXPECT_EQ(check.reason(), "script check has not succeeded yet");
  EXPECT_TRUE(until([&] { return check.up(); }));
  EXPECT_EQ(changes_, 1);
}

TEST_F(ScriptWatchTest, AScriptThatHangsFailsAndIsRunAgain) {
  auto wanted = script();
  wanted.command = shell("echo >> " + file("runs") + "; test -e " + file("fine") + " || sleep 1000");
  wanted.timeout = 200ms;
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(until([&] { return check.known(); }));
  EXPECT_FALSE(check.up());
  EXPECT_EQ(check.reason(), "script check took longer than 0.2 s and was killed");
  touch("fine");
  EXPECT_TRUE(until([&] { return check.up(); }));
}

TEST_F(ScriptWatchTest, ARunThatIsSlowPutsTheNextOneOff) {
  auto wanted = script();
  wanted.command =
      shell("echo >> " + file("runs") + "; until test -e " + file("fine") + "; do sleep 0.02; done");
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(run(1));
  const auto end = std::chrono::steady_clock::now() + 10 * wanted.interval;
  while (std::chrono::steady_clock::now() < end) loop_->run_once(10ms);
  EXPECT_EQ(runs(), 1U);
  touch("fine");
  EXPECT_TRUE(until([&] { return check.known(); }));
  EXPECT_TRUE(run(2));
}

TEST_F(ScriptWatchTest, AScriptThatCannotBeRunIsDownAndTriedAgain) {
  auto wanted = script();
  wanted.command = {file("script")};
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(until([&] { return check.known(); }));
  EXPECT_FALSE(check.up());
  EXPECT_EQ(check.reason(), "script check cannot be run: " + file("script") + ": No such file or directory");
  EXPECT_EQ(changes_, 1);
  ASSERT_EQ(::symlink("/bin/true", file("script").c_str()), 0);
  EXPECT_TRUE(until([&] { return check.up(); }));
}

TEST_F(ScriptWatchTest, ItsReasonIsThatOfTheLastFailure) {
  auto wanted = script();
  wanted.command = shell("exit $(cat " + file("code") + ")");
  std::ofstream(file("code")) << "3";
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(until([&] { return check.reason() == "script check exited with 3"; }));
  std::ofstream(file("code")) << "4";
  EXPECT_TRUE(until([&] { return check.reason() == "script check exited with 4"; }));
}

TEST_F(ScriptWatchTest, AReloadKeepsWhatIsKnownUntilTheScriptHasRunAnew) {
  auto wanted = script();
  const ScriptWatch& check = watch(wanted);
  ASSERT_TRUE(until([&] { return check.known(); }));
  ASSERT_FALSE(check.up());
  changes_ = 0;
  wanted.rise = 2;
  const ScriptWatch& after = watch(wanted, watch_.get());
  EXPECT_TRUE(after.known());
  EXPECT_FALSE(after.up());
  EXPECT_EQ(after.reason(), "script check exited with 1");
  touch("fine");
  EXPECT_TRUE(until([&] { return after.up(); }));
  EXPECT_EQ(changes_, 1);
}

TEST_F(ScriptWatchTest, AScriptThatIsWatchedNoMoreIsKilled) {
  auto wanted = script();
  wanted.command = shell("echo $$ > " + file("self") + "; exec sleep 1000");
  watch(wanted);
  ASSERT_TRUE(until([&] { return !read("self").empty(); }));
  const std::string pid = read("self");
  watch_.reset();
  EXPECT_TRUE(until([&] { return ::access(("/proc/" + pid).c_str(), F_OK) != 0; }));
  EXPECT_EQ(changes_, 0);
}

}  // namespace
}  // namespace sluice::vrrp
