#include "vrrp/dataplane_health.h"

#include <chrono>

#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

using std::chrono::milliseconds;

/// A data plane that is asked every 200 ms, and patience of 3 s.
class Health : public ::testing::Test {
 protected:
  static constexpr milliseconds kStep{200}, kPatience{3'000};

  void connect() { health.connected(now); }
  void advance(milliseconds by) {
    for (milliseconds passed{0}; passed < by; passed += kStep) {
      now += kStep;
      health.look(now);
    }
  }
  /// Both workers, as many rounds as told; link as told.
  void answer(std::uint64_t first, std::uint64_t second, bool link = true) {
    config::AliveReport report;
    report.workers = {{0, first}, {1, second}};
    report.ports = {{"lan", link}};
    report.services = {{"web", 2}};
    health.answered(report, now);
  }
  [[nodiscard]] std::string trouble() const { return health.trouble(kPatience, now).value_or(""); }

  Time now{std::chrono::seconds(1'000)};
  DataplaneHealth health{now};
};

TEST_F(Health, IsUnknownUntilItHasAnsweredOrIsKnownToBeGone) {
  EXPECT_FALSE(health.known(kPatience, now));
  connect();
  EXPECT_FALSE(health.known(kPatience, now));
  answer(1, 1);
  EXPECT_TRUE(health.known(kPatience, now));
  EXPECT_EQ(trouble(), "");
  DataplaneHealth other(now);
  other.disconnected("connection refused");
  EXPECT_TRUE(other.known(kPatience, now));
}

TEST_F(Health, OneThatHangsFromTheStartIsKnownToHang) {
  connect();
  advance(kPatience);
  EXPECT_FALSE(health.known(kPatience, now)) << "it may yet answer";
  advance(kStep);
  EXPECT_TRUE(health.known(kPatience, now)) << "else its instances would be judged by nobody";
  EXPECT_EQ(trouble(), "the data plane has not answered for 3.0 s");
}

TEST_F(Health, WhatWasAnsweredDoesNotAnswerAnotherQuestion) {
  connect();
  answer(1, 1);
  health.asks_anew();  // a reload tracks one more service
  EXPECT_FALSE(health.known(kPatience, now));
  answer(2, 2);
  EXPECT_TRUE(health.known(kPatience, now));
}

TEST_F(Health, AnEndedConnectionIsBelievedAtOnce) {
  connect();
  answer(1, 1);
  health.disconnected("it has closed the connection");
  EXPECT_EQ(trouble(), "the data plane is not running (it has closed the connection)");
  connect();
  answer(1, 1);
  EXPECT_EQ(trouble(), "");
}

TEST_F(Health, SilenceIsTroubleAfterTheTimeoutAndNotBefore) {
  connect();
  answer(1, 1);
  advance(kPatience);
  EXPECT_EQ(trouble(), "");
  advance(kStep);
  EXPECT_EQ(trouble(), "the data plane has not answered for 3.0 s");
  answer(2, 2);
  EXPECT_EQ(trouble(), "");
}

TEST_F(Health, AWorkerThatDoesNotAdvanceIsTrouble) {
  connect();
  std::uint64_t rounds = 1;
  for (; now < Time{std::chrono::seconds(1'003)}; ++rounds) {
    answer(rounds, 7);
    advance(kStep);
  }
  EXPECT_EQ(trouble(), "");
  advance(2 * kStep);
  answer(rounds, 7);
  EXPECT_EQ(trouble(), "worker 1 of the data plane has not advanced for 3.0 s");
  answer(rounds, 8);
  EXPECT_EQ(trouble(), "");
}

TEST_F(Health, APortWithoutLinkIsTroubleAtOnce) {
  connect();
  answer(1, 1, false);
  EXPECT_EQ(trouble(), "port lan of the data plane has no link");
  answer(2, 2, true);
  EXPECT_EQ(trouble(), "");
}

TEST_F(Health, TimeInWhichWeWereStoppedOurselvesIsNotHeldAgainstIt) {
  connect();
  answer(1, 1);
  now += std::chrono::seconds(60);  // SIGSTOP
  health.look(now);
  EXPECT_EQ(trouble(), "");
  answer(1, 1);  // the answer to the question of a minute ago
  EXPECT_EQ(trouble(), "");
  advance(kPatience + kStep);
  EXPECT_EQ(trouble(), "the data plane has not answered for 3.0 s");
}

TEST_F(Health, ARestartedDataPlaneBeginsAnew) {
  connect();
  answer(1'000, 1'000);
  health.disconnected("gone");
  advance(kPatience + kStep);
  connect();
  answer(1'000, 1'000);
  EXPECT_EQ(trouble(), "");
}

TEST_F(Health, CountsUsableServersOnlyWhileItAnswers) {
  EXPECT_EQ(health.usable("web"), std::nullopt);
  connect();
  answer(1, 1);
  EXPECT_EQ(health.usable("web"), 2U);
  EXPECT_EQ(health.usable("other"), std::nullopt);
  health.disconnected("gone");
  EXPECT_EQ(health.usable("web"), std::nullopt);
}

}  // namespace
}  // namespace sluice::vrrp
