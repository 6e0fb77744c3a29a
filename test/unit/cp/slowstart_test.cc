#include "cp/slowstart.h"

#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cp/server_state.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

/// A server that just left maintenance, at time 0.
class Slowstart : public testing::Test {
 protected:
  ServerState back(std::chrono::seconds slowstart,
                   config::Balance balance = config::Balance::roundrobin) const {
    config::Server server;
    server.weight = 100;
    server.maxconn = 250;
    server.slowstart = slowstart;
    server.disabled = true;
    ServerState state(ServerId{1}, server, balance, start_);
    state.set_ready(start_);
    return state;
  }
  TimePoint start_{};
};

TEST_F(Slowstart, ShownWeightsAreHaproxysTableOverSixtySeconds) {
  // When each weight is first seen, and the weight.
  const std::vector<std::pair<int, std::uint32_t>> table{
      {0, 7},   {4, 13},  {8, 19},  {12, 25}, {15, 32}, {19, 38}, {23, 44}, {27, 50},
      {30, 57}, {34, 63}, {38, 69}, {42, 75}, {45, 82}, {49, 88}, {53, 94}, {57, 100}};
  ServerState state = back(60s);
  std::size_t row = 0;
  for (int second = 0; second < 60; ++second) {
    if (second > 0) {
      ASSERT_EQ(state.next_tick(), start_ + std::chrono::seconds(second));
      state.tick(start_ + std::chrono::seconds(second));
    }
    if (row + 1 < table.size() && table[row + 1].first == second) ++row;
    EXPECT_EQ(state.shown_weight(), table[row].second) << "at " << second << " s";
    EXPECT_EQ(state.operation(), Operation::starting);
  }
  state.tick(start_ + 60s);
  EXPECT_EQ(state.operation(), Operation::running);
  EXPECT_EQ(state.shown_weight(), 100U);
  EXPECT_EQ(state.effective_weight(), 1600U);
  EXPECT_EQ(state.next_tick(), std::nullopt);
  EXPECT_EQ(state.throttle(), std::nullopt);
}

TEST_F(Slowstart, TwelveSecondsStepAsHaproxyDid) {
  ServerState state = back(12s);
  for (const std::uint32_t weight : {7, 13, 19, 32, 38, 44, 57, 63, 69, 82, 88, 94, 100}) {
    EXPECT_EQ(state.shown_weight(), weight);
    if (state.next_tick()) state.tick(*state.next_tick());
  }
}

TEST_F(Slowstart, ThrottleIsPerCentOfTheWeight) {
  ServerState state = back(12s);
  EXPECT_EQ(state.throttle(), 6U);
  state.set_weight(1, start_);
  EXPECT_EQ(state.throttle(), 7U) << "of the sixteenths, rounded up";
  state.tick(start_ + 1s);
  state.set_weight(9, start_ + 1s);
  EXPECT_EQ(state.throttle(), 12U);
  state.set_weight(0, start_ + 1s);
  EXPECT_EQ(state.throttle(), std::nullopt);
}

TEST_F(Slowstart, MaxconnRampsFromOne) {
  ServerState state = back(60s);
  EXPECT_EQ(state.effective_maxconn(), 1U);
  state.tick(start_ + 1s);
  EXPECT_EQ(state.effective_maxconn(), 2U);
  state.tick(start_ + 4s);
  EXPECT_EQ(state.effective_maxconn(), 15U);
  state.tick(start_ + 59s);
  EXPECT_EQ(state.effective_maxconn(), 245U);
  state.tick(start_ + 60s);
  EXPECT_EQ(state.effective_maxconn(), 250U);
}

TEST_F(Slowstart, TablesOfHashedChoicesKeepTheirWeights) {
  const ServerState state = back(60s, config::Balance::source);
  EXPECT_EQ(state.effective_weight(), 1600U);
  EXPECT_EQ(state.effective_maxconn(), 1U) << "maxconn ramps for every algorithm";
}

TEST_F(Slowstart, NoneAtTheStartOfTheProcess) {
  config::Server server;
  server.slowstart = 60s;
  const ServerState state(ServerId{1}, server, config::Balance::roundrobin, start_);
  EXPECT_EQ(state.effective_weight(), 1600U);
  EXPECT_EQ(state.next_tick(), std::nullopt);
}

TEST_F(Slowstart, PartsOfASecondCountAsAWholeOne) {
  EXPECT_EQ(back(1s).effective_weight(), 100U);
  config::Server server;
  server.slowstart = 1500ms;
  server.disabled = true;
  ServerState state(ServerId{1}, server, config::Balance::roundrobin, start_);
  state.set_ready(start_);
  state.tick(start_ + 1s);
  EXPECT_EQ(state.operation(), Operation::starting);
  state.tick(start_ + 2s);
  EXPECT_EQ(state.operation(), Operation::running);
}

}  // namespace
}  // namespace sluice::cp
