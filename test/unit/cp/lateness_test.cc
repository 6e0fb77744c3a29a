#include "cp/lateness.h"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart = TimePoint{} + 100h;

TEST(Lateness, SaysNothingBeforeAnythingBegan) {
  const Lateness::Summary summary = Lateness(kStart).summary(kStart + 3s);
  EXPECT_EQ(summary.count, 0U);
  EXPECT_EQ(summary.over, 3s);
  EXPECT_EQ(summary.median, 0us);
  EXPECT_EQ(summary.most, 0us);
}

TEST(Lateness, TellsPartsToAnEighthAndTheMostExactly) {
  Lateness lateness(kStart);
  for (int i = 1; i <= 1000; ++i) lateness.note(kStart + i * 1ms, i * 100us);
  const Lateness::Summary summary = lateness.summary(kStart + 2s);
  EXPECT_EQ(summary.count, 1000U);
  EXPECT_EQ(summary.over, 2s);
  EXPECT_GE(summary.median, 50ms);
  EXPECT_LE(summary.median, 50ms + 50ms / 8);
  EXPECT_GE(summary.p99, 99ms);
  EXPECT_LE(summary.p99, 100ms) << "none was later";
  EXPECT_EQ(summary.most, 100ms);
}

TEST(Lateness, OneOfAHundredDoesNotMakeTheNinetyNinth) {
  Lateness lateness(kStart);
  for (int i = 0; i < 99; ++i) lateness.note(kStart, 0us);
  lateness.note(kStart, 1s);
  EXPECT_EQ(lateness.summary(kStart).p99, 0us);
  lateness.note(kStart, 1s);
  EXPECT_EQ(lateness.summary(kStart).p99, 1s);
}

TEST(Lateness, ForgetsWhatIsAMinuteOld) {
  Lateness lateness(kStart);
  lateness.note(kStart + 4s, 300ms);
  lateness.note(kStart + 30s, 7us);
  EXPECT_EQ(lateness.summary(kStart + 59s).most, 300ms);
  EXPECT_EQ(lateness.summary(kStart + 64s).most, 7us);
  EXPECT_EQ(lateness.summary(kStart + 64s).over, 59s) << "slices of 5 s";
  lateness.note(kStart + 64s, 9us);
  EXPECT_EQ(lateness.summary(kStart + 64s).count, 2U);
  EXPECT_EQ(lateness.summary(kStart + 1h).count, 0U);
}

TEST(Lateness, TakesWhateverItIsGiven) {
  Lateness lateness(kStart);
  lateness.note(kStart, -5us);
  lateness.note(kStart, 1000h);
  EXPECT_EQ(lateness.summary(kStart).median, 0us);
  EXPECT_EQ(lateness.summary(kStart).most, 1000h);
}

}  // namespace
}  // namespace sluice::cp
