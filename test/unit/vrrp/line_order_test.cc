#include "vrrp/line_order.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

constexpr InstanceId kOne{1}, kTwo{2};

struct Log {
  std::vector<std::string> lines;
  LineOrder order{[this](const KernelLine& line) { lines.push_back(line.text); }};

  void kernel(const std::string& text, InstanceId instance, bool hold) {
    order.take({base::log::Level::info, text, KernelLine::Order{instance, hold}});
  }
};
using Lines = std::vector<std::string>;

TEST(LineOrder, WhatIsDoneAboutAStateFollowsTheState) {
  Log log;
  log.kernel("setting", kOne, true);
  log.kernel("announcing", kOne, true);
  EXPECT_EQ(log.lines, Lines{});
  log.order.entered(kOne, State::backup);
  EXPECT_EQ(log.lines, Lines{}) << "not yet the state that has such orders";
  log.order.entered(kOne, State::master);
  EXPECT_EQ(log.lines, (Lines{"setting", "announcing"}));
  log.kernel("announcing again", kOne, true);
  EXPECT_EQ(log.lines.size(), 3U);
  log.kernel("removing", kOne, false);
  EXPECT_EQ(log.lines.size(), 3U);
  log.order.entered(kOne, State::fault);
  EXPECT_EQ(log.lines.back(), "removing");
  EXPECT_TRUE(log.order.empty());
}

TEST(LineOrder, InstancesDoNotWaitForEachOther) {
  Log log;
  log.order.entered(kTwo, State::master);
  log.kernel("setting one", kOne, true);
  log.kernel("setting two", kTwo, true);
  log.order.take({base::log::Level::info, "lan is up", {}});
  EXPECT_EQ(log.lines, (Lines{"setting two", "lan is up"}));
}

TEST(LineOrder, ALineThatFitsDoesNotOvertake) {
  Log log;
  log.order.entered(kOne, State::master);
  log.kernel("removing", kOne, false);
  log.kernel("setting", kOne, true);
  EXPECT_EQ(log.lines, Lines{}) << "the backup in between is yet to be told";
  log.order.entered(kOne, State::backup);
  log.order.entered(kOne, State::master);
  EXPECT_EQ(log.lines, (Lines{"removing", "setting"}));
}

TEST(LineOrder, NothingIsKeptForEver) {
  Log log;
  log.kernel("setting", kOne, true);
  log.order.flush();
  EXPECT_EQ(log.lines, Lines{"setting"});
  EXPECT_TRUE(log.order.empty());
}

}  // namespace
}  // namespace sluice::vrrp
