#include "cp/check/check_clock.h"

#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using After = Behaviour::After;
using config::CheckType;

/// Timeouts so far apart that a slow machine does not confuse them.
class CheckClockTest : public ProbeTest {
 protected:
  static config::Check check(CheckType type) {
    config::Check check = check_of(type, 1h);
    check.interval = 1h;
    return check;
  }
};

TEST_F(CheckClockTest, WithATimeoutTheHandshakeBelongsToTheConnect) {
  const FakeServer silent(io_, {"", After::hold});
  connect_timeout_ = 100ms;
  EXPECT_EQ(run(check(CheckType::tls), silent.port()).status, CheckStatus::l6_timeout);
}

TEST_F(CheckClockTest, WhatFollowsTheConnectHasTheTimeoutToItself) {
  const FakeServer silent(io_, {"", After::hold});
  config::Check http = check(CheckType::http);
  http.timeout = 100ms;
  connect_timeout_ = 1h;
  EXPECT_EQ(run(http, silent.port()).status, CheckStatus::l7_timeout);
  // More than the connect may take: it is over.
  http.timeout = 300ms;
  connect_timeout_ = 200ms;
  const CheckResult late = run(http, silent.port());
  EXPECT_EQ(late.status, CheckStatus::l7_timeout);
  EXPECT_GE(late.duration, 300ms);
}

TEST_F(CheckClockTest, AConnectMayTakeNoLongerThanTheInterval) {
  const FakeServer silent(io_, {"", After::hold});
  config::Check tls = check(CheckType::tls);
  tls.interval = 100ms;
  connect_timeout_ = 1h;
  EXPECT_EQ(run(tls, silent.port()).status, CheckStatus::l6_timeout);
}

TEST_F(CheckClockTest, WithoutATimeoutTheIntervalBoundsAll) {
  const FakeServer silent(io_, {"", After::hold});
  config::Check tls = check(CheckType::tls);
  tls.timeout.reset();
  tls.interval = 300ms;
  connect_timeout_ = 10ms;
  const CheckResult late = run(tls, silent.port());
  EXPECT_EQ(late.status, CheckStatus::l6_timeout);
  EXPECT_GE(late.duration, 300ms) << "timeouts.connect plays no part";
}

}  // namespace
}  // namespace sluice::cp
