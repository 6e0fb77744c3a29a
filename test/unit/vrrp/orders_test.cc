#include "vrrp/orders.h"

#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

using Burst = Effect::Burst;

TEST(Orders, BeginUndecided) {
  const Orders orders;
  EXPECT_FALSE(orders.view().decided);
  EXPECT_FALSE(orders.view().hold);
}

TEST(Orders, KeepWhatIsHeldAndEachCountApart) {
  Orders orders;
  orders.decided();
  orders.hold(true);
  orders.announce(Burst::full);
  orders.announce(Burst::full);
  orders.announce(Burst::lower_priority);
  auto view = orders.view();
  EXPECT_TRUE(view.decided);
  EXPECT_TRUE(view.hold);
  EXPECT_EQ(view.full, 2);
  EXPECT_EQ(view.refresh, 0);
  EXPECT_EQ(view.lower_priority, 1);
  orders.hold(false);
  view = orders.view();
  EXPECT_TRUE(view.decided);
  EXPECT_FALSE(view.hold);
  EXPECT_EQ(view.full, 2);
}

TEST(Orders, CountsWrapWithoutTouchingTheirNeighbours) {
  Orders orders;
  orders.hold(true);
  for (int i = 0; i < 0x10000; ++i) {
    orders.announce(Burst::full);
    orders.announce(Burst::refresh);
    orders.announce(Burst::lower_priority);
  }
  const auto view = orders.view();
  EXPECT_TRUE(view.hold);
  EXPECT_FALSE(view.decided);
  EXPECT_EQ(view.full, 0);
  EXPECT_EQ(view.refresh, 0);
  EXPECT_EQ(view.lower_priority, 0);
}

}  // namespace
}  // namespace sluice::vrrp
