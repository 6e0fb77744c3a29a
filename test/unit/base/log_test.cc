#include "base/log.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

using ::testing::MatchesRegex;

/// What `body` writes to stderr.
template <typename F>
std::string stderr_of(F body) {
  ::testing::internal::CaptureStderr();
  body();
  return ::testing::internal::GetCapturedStderr();
}

TEST(Log, WritesTimeProgramLevelText) {
  ::unsetenv("JOURNAL_STREAM");
  const std::string text = stderr_of([] {
    log::init("sluice-dp", log::Level::info);
    log::info("port {}: {} queues", "lan", 2);
  });
  EXPECT_THAT(text, MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+ sluice-dp info: "
                                 "port lan: 2 queues\n"));
}

TEST(Log, LeavesOutWhatIsBelowTheLevel) {
  ::unsetenv("JOURNAL_STREAM");
  const std::string text = stderr_of([] {
    log::init("x", log::Level::warn);
    log::debug("d");
    log::info("i");
    log::warn("w");
    log::error("e");
  });
  EXPECT_THAT(text, MatchesRegex("[^\n]* x warn: w\n[^\n]* x error: e\n"));
  EXPECT_FALSE(log::enabled(log::Level::info));
  EXPECT_TRUE(log::enabled(log::Level::error));
}

TEST(Log, GivesTheJournalPriorities) {
  const std::string text = stderr_of([] {
    struct stat status {};
    ASSERT_EQ(::fstat(STDERR_FILENO, &status), 0);
    const std::string stream = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    ASSERT_EQ(::setenv("JOURNAL_STREAM", stream.c_str(), 1), 0);
    log::init("sluice-cp", log::Level::debug);
    log::debug("d");
    log::info("i");
    log::warn("w");
    log::error("e");
  });
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_EQ(text, "<7>sluice-cp: d\n<6>sluice-cp: i\n<4>sluice-cp: w\n<3>sluice-cp: e\n");
}

TEST(Log, KeepsTheTimeWhenStderrIsNoLongerTheJournal) {
  ASSERT_EQ(::setenv("JOURNAL_STREAM", "1:1", 1), 0);
  const std::string text = stderr_of([] {
    log::init("sluice-cp", log::Level::info);
    log::info("i");
  });
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_THAT(text, MatchesRegex("[0-9]+-[^\n]* sluice-cp info: i\n"));
}

TEST(Log, ReadsItsLevels) {
  EXPECT_EQ(*log::parse_level("debug"), log::Level::debug);
  EXPECT_EQ(*log::parse_level("error"), log::Level::error);
  EXPECT_EQ(log::parse_level("loud").error().message,
            "log level \"loud\": must be debug, info, warn or error");
}

TEST(RateLimited, LetsNThroughEachSecondAndCountsTheRest) {
  log::RateLimited limit{2};
  EXPECT_EQ(limit.pass(5000)->suppressed, 0U);
  EXPECT_EQ(limit.pass(5500)->note(), "");
  EXPECT_FALSE(limit.pass(5600));
  EXPECT_FALSE(limit.pass(5999));
  const auto next = limit.pass(6000);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->note(), " (2 more suppressed)");
  EXPECT_EQ(limit.pass(6000)->suppressed, 0U);
  EXPECT_FALSE(limit.pass(6001));
}

}  // namespace
}  // namespace sluice::base
