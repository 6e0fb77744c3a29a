#include "dp/control/client_notices.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::map<std::string, ServerLedger::ServiceTally> counted(const config::ClientCounters& clients) {
  return {{"web", {{}, clients}}};
}

TEST(ClientNotices, FirstAtOnceThenAMinuteApart) {
  ClientNotices notices;
  EXPECT_THAT(notices.due(counted({}), 1'000), IsEmpty());
  EXPECT_THAT(
      notices.due(counted({.denied = 3}), 2'000),
      ElementsAre("service \"web\": refused 3 connections by its limits by client: 3 denied, 0 over rate, "
                  "0 over maxconn"));
  EXPECT_THAT(notices.due(counted({.denied = 9}), 61'999), IsEmpty());
  EXPECT_THAT(
      notices.due(counted({.denied = 9, .over_rate = 2, .over_maxconn = 1}), 62'000),
      ElementsAre("service \"web\": refused 9 connections by its limits by client: 6 denied, 2 over rate, "
                  "1 over maxconn"))
      << "what came since";
  EXPECT_THAT(notices.due(counted({.denied = 9, .over_rate = 2, .over_maxconn = 1}), 900'000), IsEmpty());
}

TEST(ClientNotices, TellOfATableThatIsTooSmall) {
  ClientNotices notices;
  EXPECT_THAT(
      notices.due(counted({.untracked = 4}), 0),
      ElementsAre("service \"web\": 4 connections were let in uncounted: clients.table is full, or nearly"));
}

TEST(ClientNotices, ForgetServicesThatAreGone) {
  ClientNotices notices;
  (void)notices.due(counted({.denied = 3}), 0);
  EXPECT_THAT(notices.due({}, 1), IsEmpty());
  EXPECT_THAT(notices.due(counted({.denied = 1}), 2), testing::SizeIs(1)) << "its counters begin anew";
}

TEST(ClientNotices, CountersThatBeganAnewBetweenTwoLooksAreAnothers) {
  ClientNotices notices;
  (void)notices.due(counted({.denied = 3, .untracked = 9}), 0);
  EXPECT_THAT(notices.due(counted({.denied = 1}), 1),
              ElementsAre("service \"web\": refused 1 connections by its limits by client: 1 denied, 0 over "
                          "rate, 0 over maxconn"));
}

}  // namespace
}  // namespace sluice::dp
