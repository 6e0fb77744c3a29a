#include "cp/health.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cp/server_state.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

config::Server server(std::uint16_t rise, std::uint16_t fall) {
  config::Server server;
  config::Check& check = server.check;
  check.type = config::CheckType::tcp;
  check.interval = 10s;
  check.down_interval = 5s;
  check.fast_interval = 1s;
  check.rise = rise;
  check.fall = fall;
  return server;
}

ServerState state_of(const config::Server& server) {
  return {ServerId{1}, server, config::Balance::roundrobin, TimePoint{}};
}

const CheckResult kPass{CheckStatus::l4_ok, "", 1ms, 0};
const CheckResult kFail{CheckStatus::l4_refused, "Connection refused", 0ms, 0};

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
  ServerState state = state_of(server(row.rise, row.fall));
  for (std::size_t i = 0; row.checks[i] != '\0'; ++i) {
    now += 10s;
    const bool was_up = state.is_up();
    const bool told = !state.record_check(row.checks[i] == '+' ? kPass : kFail, now).empty();
    SCOPED_TRACE(std::string("after check ") + std::to_string(i + 1));
    EXPECT_EQ(state.status(), row.status[i]);
    EXPECT_EQ(state.check_delay(), std::chrono::seconds(row.delay_s[i]));
    EXPECT_EQ(told, was_up != state.is_up());
    EXPECT_EQ(state.check().last_check(), now);
    if (told) {
      EXPECT_EQ(state.last_change(), now);
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

TEST(Health, IsUpBeforeTheFirstCheckYetNotFully) {
  const ServerState state = state_of(server(2, 3));
  EXPECT_TRUE(state.is_up());
  EXPECT_EQ(state.status(), "UP 1/3");
  EXPECT_EQ(state.check_delay(), 1s) << "between fully up and fully down: fast_interval";
}

TEST(Health, WithoutCheckIsAlwaysUp) {
  const ServerState state = state_of(config::Server{});
  EXPECT_TRUE(state.is_up());
  EXPECT_FALSE(state.wants_checks());
  EXPECT_EQ(state.status(), "no check");
}

TEST(Health, IntervalsDefaultToInterval) {
  config::Server plain = server(2, 2);
  plain.check.down_interval.reset();
  plain.check.fast_interval.reset();
  ServerState state = state_of(plain);
  EXPECT_EQ(state.check_delay(), 10s);
  state.record_check(kFail, TimePoint{});
  EXPECT_EQ(state.check_delay(), 10s);
}

TEST(Health, AssumedDownComesBackByPasses) {
  ServerState state = state_of(server(2, 3));
  state.assume_down(TimePoint{} + 1s);
  EXPECT_FALSE(state.is_up());
  EXPECT_TRUE(state.record_check(kPass, TimePoint{} + 2s).empty());
  EXPECT_FALSE(state.is_up());
  EXPECT_EQ(state.record_check(kPass, TimePoint{} + 3s).size(), 1U);
  EXPECT_TRUE(state.is_up());
}

TEST(Health, CountsFailuresThatMatterAndTimesDown) {
  ServerState state = state_of(server(1, 2));
  for (const CheckResult& result : {kFail, kFail, kPass, kFail, kFail})
    state.record_check(result, TimePoint{});
  EXPECT_EQ(state.check().failed_checks(), 3U) << "one fell on a server that was fully down";
  EXPECT_EQ(state.times_down(), 2U);
}

TEST(Health, NewBoundsKeepWhatWasCounted) {
  Health health(true, 2, 3, TimePoint{});
  health.set_full();
  health.configure(true, 5, 1);
  EXPECT_TRUE(health.is_full());
  health.set_zero();
  health.configure(true, 1, 1);
  EXPECT_TRUE(health.is_zero());
  health.configure(true, 2, 3);
  health.set_full();
  health.record(kFail, TimePoint{});
  health.configure(true, 4, 1);
  EXPECT_TRUE(health.permits());
  health.configure(false, 2, 3);
  health.set_zero();
  EXPECT_TRUE(health.permits()) << "a check that is not there holds nothing back";
  health.configure(true, 2, 3);
  EXPECT_EQ(health.value(), 2) << "a new check starts where a new server does";
}

TEST(FirstCheckOffset, SpreadsOverTheInterval) {
  EXPECT_EQ(first_check_offset(10s, 10s, 0, 4), 0ms);
  EXPECT_EQ(first_check_offset(10s, 10s, 1, 4), 2500ms);
  EXPECT_EQ(first_check_offset(10s, 10s, 3, 4), 7500ms);
  EXPECT_EQ(first_check_offset(2s, 10s, 1, 2), 5s) << "a longer own interval is the window";
  EXPECT_EQ(first_check_offset(0ms, 500ms, 1, 2), 250ms) << "no interval of a second or more";
  EXPECT_EQ(first_check_offset(0ms, 0ms, 0, 0), 0ms);
}

}  // namespace
}  // namespace sluice::cp
