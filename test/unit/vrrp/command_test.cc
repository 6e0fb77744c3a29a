#include "vrrp/command.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include <gtest/gtest.h>

#include "test/unit/vrrp/command_fixture.h"

namespace sluice::vrrp {
namespace {

using namespace std::chrono_literals;  // NOLINT: of a test

class CommandsTest : public test::CommandsFixture {
 protected:
  /// Runs a shell's script to its end.
  Commands::End run(const std::string& script, std::chrono::milliseconds limit = 20s) {
    std::optional<Commands::End> end;
    const auto started = commands_.start(shell(script), limit, [&](const Commands::End& how) { end = how; });
    EXPECT_TRUE(started) << started.error().message;
    EXPECT_TRUE(until([&] { return end.has_value(); }));
    return end.value_or(Commands::End{});
  }
  /// The process with the id in the file is no more (or only its parent has not asked yet how it ended).
  bool gone(const std::string& pid_file) {
    return until([&] {
      std::ifstream stat("/proc/" + read(pid_file) + "/stat");
      std::string pid, name, state;
      return !(stat >> pid >> name >> state) || state == "Z";
    });
  }
};

TEST_F(CommandsTest, TellsHowACommandEnded) {
  EXPECT_TRUE(run("exit 0").success());
  const auto failed = run("exit 3");
  EXPECT_FALSE(failed.success());
  EXPECT_EQ(failed.text(1s), "exited with 3");
  const auto killed = run("kill -9 $$");
  EXPECT_FALSE(killed.success());
  EXPECT_EQ(killed.text(1s), "was ended by a signal");
}

TEST_F(CommandsTest, KillsACommandThatTakesTooLongWithAllThatItStarted) {
  const auto end =
      run("sleep 1000 & echo $! > " + file("child") + "; echo $$ > " + file("self") + "; wait", 300ms);
  EXPECT_TRUE(end.timed_out);
  EXPECT_FALSE(end.success());
  EXPECT_EQ(end.text(300ms), "took longer than 0.3 s and was killed");
  ASSERT_FALSE(read("child").empty());
  EXPECT_TRUE(gone("self"));
  EXPECT_TRUE(gone("child"));
}

TEST_F(CommandsTest, ACommandThatRefusesToEndIsKilledAllTheSame) {
  const auto end = run("trap '' TERM INT HUP; while :; do sleep 0.05; done", 300ms);
  EXPECT_TRUE(end.timed_out);
}

TEST_F(CommandsTest, WhatCannotBeRunIsAnErrorThatNamesIt) {
  const auto refused = [&](const std::string& path) {
    const auto started = commands_.start({path}, 1s, [](const Commands::End&) { FAIL() << "it never ran"; });
    EXPECT_FALSE(started);
    return started ? std::string() : started.error().message;
  };
  EXPECT_EQ(refused(file("nowhere")), file("nowhere") + ": No such file or directory");
  std::ofstream(file("plain")) << "text";
  EXPECT_EQ(refused(file("plain")), file("plain") + ": Permission denied");
  std::filesystem::permissions(file("plain"), std::filesystem::perms::owner_all);
  EXPECT_EQ(refused(file("plain")), file("plain") + ": Exec format error");
}

TEST_F(CommandsTest, AFloodOfOutputNeitherBlocksItNorReachesUs) {
  EXPECT_TRUE(run("head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2").success());
}

TEST_F(CommandsTest, ACommandHasNothingOpenAndNothingOfOurEnvironment) {
  const base::Fd leak(::open("/dev/null", O_RDONLY));  // not closed on exec
  ASSERT_TRUE(leak);
  ASSERT_EQ(::setenv("SLUICE_TEST_SECRET", "1", 1), 0);
  const auto end = run("for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done > " + file("open") +
                       "; test ! -e /proc/$$/fd/" + std::to_string(leak.get()) +
                       " && test -z \"$SLUICE_TEST_SECRET\" && ls /proc/$$/fd > /dev/null");
  ::unsetenv("SLUICE_TEST_SECRET");
  EXPECT_TRUE(end.success());
  EXPECT_TRUE(read("open").starts_with("/dev/null")) << read("open");
}

TEST_F(CommandsTest, ACommandStartsWithItsSignalsAsUsual) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  const auto ignored = ::signal(SIGPIPE, SIG_IGN);
  const auto end = run("kill -TERM $$; exit 0");
  const auto pipe = run("kill -PIPE $$; exit 0");
  ::signal(SIGPIPE, ignored);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(end.exit_code, -1) << "SIGTERM was blocked";
  EXPECT_EQ(pipe.exit_code, -1) << "SIGPIPE was ignored";
}

TEST_F(CommandsTest, ACancelledCommandIsKilledAndSaysNothing) {
  const auto started = commands_.start(shell("echo $$ > " + file("self") + "; exec sleep 1000"), 20s,
                                       [](const Commands::End&) { FAIL() << "it was cancelled"; });
  ASSERT_TRUE(started);
  ASSERT_TRUE(until([&] { return !read("self").empty(); }));
  commands_.cancel(*started);
  EXPECT_TRUE(gone("self"));
  commands_.cancel(*started);
  commands_.cancel(Commands::Id::none);
}

TEST_F(CommandsTest, ACommandMayStartTheNextOneAsItEnds) {
  int ended = 0;
  std::function<void(const Commands::End&)> again = [&](const Commands::End&) {
    if (++ended == 3) return;
    ASSERT_TRUE(commands_.start(shell("exit 0"), 20s, again));
  };
  ASSERT_TRUE(commands_.start(shell("exit 0"), 20s, again));
  EXPECT_TRUE(until([&] { return ended == 3; }));
}

TEST_F(CommandsTest, WhatRunsGoesOnWithoutUs) {
  {
    Commands others(*loop_);
    ASSERT_TRUE(others.start(
        shell("until test -e " + file("go") + "; do sleep 0.02; done; echo done > " + file("out")), 20s,
        [](const Commands::End&) { FAIL() << "nobody waits for it"; }));
  }
  std::ofstream(file("go")) << "1";
  EXPECT_TRUE(until([&] { return read("out") == "done"; }));
}

}  // namespace
}  // namespace sluice::vrrp
