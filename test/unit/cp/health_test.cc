#include "cp/health.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cp/health_log.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

config::Check check(std::uint16_t rise, std::uint16_t fall) {
  config::Check check;
  check.type = config::CheckType::tcp;
  check.interval = 10s;
  check.down_interval = 5s;
  check.fast_interval = 1s;
  check.rise = rise;
  check.fall = fall;
  return check;
}

const CheckResult kPass{CheckStatus::l4_ok, "", 1ms};
const CheckResult kFail{CheckStatus::l4_refused, "Connection refused", 0ms};

/// A row: checks in ('+' pass, '-' fail), and after each: the status and the delay to the next check in
/// seconds.
struct Row {
  const char* name;
  std::uint16_t rise, fall;
  const char* checks;
  std::vector<const char*> status;
  std::vector<int> delay_s;
};

class HealthRows : public testing::TestWithParam<Row> {};

TEST_P(HealthRows, CountsAsHaproxyDoes) {
  const Row& row = GetParam();
  TimePoint now{};
  Health health(check(row.rise, row.fall), now);
  for (std::size_t i = 0; row.checks[i] != '\0'; ++i) {
    now += 10s;
    const bool was_up = health.is_up();
    const Transition transition = health.record(row.checks[i] == '+' ? kPass : kFail, now);
    SCOPED_TRACE(std::string("after check ") + std::to_string(i + 1));
    EXPECT_EQ(health.to_string(), row.status[i]);
    EXPECT_EQ(health.next_delay(), std::chrono::seconds(row.delay_s[i]));
    EXPECT_EQ(transition != Transition::none, was_up != health.is_up());
    EXPECT_EQ(health.last_check(), now);
    if (transition != Transition::none) {
      EXPECT_EQ(health.last_change(), now);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, HealthRows,
    testing::Values(
        Row{"first_failure_after_start_marks_down", 2, 3, "-", {"DOWN"}, {5}},
        Row{"first_pass_after_start_is_fully_up", 2, 3, "+", {"UP"}, {10}},
        Row{"failures_count_down_to_down", 2, 3, "+---", {"UP", "UP 2/3", "UP 1/3", "DOWN"}, {10, 1, 1, 5}},
        Row{"a_pass_between_failures_starts_anew",
            2,
            3,
            "+--+--",
            {"UP", "UP 2/3", "UP 1/3", "UP", "UP 2/3", "UP 1/3"},
            {10, 1, 1, 10, 1, 1}},
        Row{"passes_count_up_and_jump_to_the_top",
            3,
            2,
            "-+++",
            {"DOWN", "DOWN 1/3", "DOWN 2/3", "UP"},
            {5, 1, 1, 10}},
        Row{"a_failure_between_passes_starts_anew",
            3,
            2,
            "-++-+",
            {"DOWN", "DOWN 1/3", "DOWN 2/3", "DOWN", "DOWN 1/3"},
            {5, 1, 1, 5, 1}},
        Row{"rise_one_fall_one_follows_every_check",
            1,
            1,
            "+-+-",
            {"UP", "DOWN", "UP", "DOWN"},
            {10, 5, 10, 5}},
        Row{"stays_down_while_failing", 2, 2, "---", {"DOWN", "DOWN", "DOWN"}, {5, 5, 5}}),
    [](const auto& row) { return row.param.name; });

TEST(Health, IsUpBeforeTheFirstCheck) {
  const Health health(check(2, 3), TimePoint{});
  EXPECT_TRUE(health.is_up());
  EXPECT_EQ(health.to_string(), "UP");
  EXPECT_EQ(health.next_delay(), 1s) << "between fully up and fully down: fast_interval";
}

TEST(Health, WithoutCheckIsAlwaysUp) {
  const Health health(config::Check{}, TimePoint{});
  EXPECT_TRUE(health.is_up());
  EXPECT_FALSE(health.is_checked());
  EXPECT_EQ(health.to_string(), "no check");
}

TEST(Health, IntervalsDefaultToInterval) {
  config::Check plain = check(2, 2);
  plain.down_interval.reset();
  plain.fast_interval.reset();
  Health health(plain, TimePoint{});
  EXPECT_EQ(health.next_delay(), 10s);
  health.record(kFail, TimePoint{});
  EXPECT_EQ(health.next_delay(), 10s);
}

TEST(Health, AssumedDownComesBackByPasses) {
  Health health(check(2, 3), TimePoint{});
  health.assume_down(TimePoint{} + 1s);
  EXPECT_FALSE(health.is_up());
  EXPECT_EQ(health.record(kPass, TimePoint{} + 2s), Transition::none);
  EXPECT_EQ(health.record(kPass, TimePoint{} + 3s), Transition::came_up);
}

TEST(Health, CountsFailuresAndTimesDown) {
  Health health(check(1, 2), TimePoint{});
  for (const CheckResult& result : {kFail, kFail, kPass, kFail, kFail}) health.record(result, TimePoint{});
  EXPECT_EQ(health.failed_checks(), 4U);
  EXPECT_EQ(health.times_down(), 2U);
}

TEST(FirstCheckOffset, SpreadsOverTheInterval) {
  EXPECT_EQ(first_check_offset(10s, 10s, 0, 4), 0ms);
  EXPECT_EQ(first_check_offset(10s, 10s, 1, 4), 2500ms);
  EXPECT_EQ(first_check_offset(10s, 10s, 3, 4), 7500ms);
  EXPECT_EQ(first_check_offset(2s, 10s, 1, 2), 5s) << "a longer own interval is the window";
  EXPECT_EQ(first_check_offset(0ms, 500ms, 1, 2), 250ms) << "no interval of a second or more";
  EXPECT_EQ(first_check_offset(0ms, 0ms, 0, 0), 0ms);
}

TEST(HealthLog, DownLineHasHaproxysWording) {
  EXPECT_EQ(down_line({"bk", "b"}, kFail, 1, 0),
            "Server bk/b is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check "
            "duration: 0ms. 1 active and 0 backup servers left. 0 sessions "
            "active, 0 requeued, "
            "0 remaining in queue.");
}

TEST(HealthLog, TimeoutLineNamesTheStepOnly) {
  const CheckResult timeout{CheckStatus::l4_timeout, " at initial connection step of tcp-check", 2001ms};
  EXPECT_EQ(down_line({"bk", "b"}, timeout, 0, std::nullopt),
            "Server bk/b is DOWN, reason: Layer4 timeout, info: \" at initial connection step of "
            "tcp-check\", check "
            "duration: 2001ms. 0 active and 0 backup servers left.");
}

TEST(HealthLog, UpLineHasHaproxysWording) {
  EXPECT_EQ(up_line({"bk", "b"}, {CheckStatus::l4_ok, "", 0ms}, 2),
            "Server bk/b is UP, reason: Layer4 check passed, check duration: 0ms. 2 active and 0 backup "
            "servers online. "
            "0 sessions requeued, 0 total in queue.");
  EXPECT_EQ(no_server_line("bk"), "backend bk has no server available!");
}

}  // namespace
}  // namespace sluice::cp
