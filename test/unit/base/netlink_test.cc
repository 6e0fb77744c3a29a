#include "base/netlink.h"

#include <chrono>
#include <functional>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <netlink/errno.h>
#include <netlink/msg.h>

namespace sluice::base {
namespace {

using std::chrono::milliseconds;

Result<NlMessage> link_message(std::uint16_t type, int flags, int index = 0) {
  auto message = make_message(type, flags);
  if (!message) return message;
  ifinfomsg header{};
  header.ifi_index = index;
  EXPECT_EQ(nlmsg_append(message->get(), &header, sizeof header, NLMSG_ALIGNTO), 0);
  return message;
}

std::vector<std::string> link_names(NetlinkSocket& socket) {
  std::vector<std::string> names;
  const auto ask = link_message(RTM_GETLINK, NLM_F_DUMP);
  const auto dumped = socket.dump(**ask, "links", [&](const nlmsghdr& answer) {
    const nlattr* name = nlmsg_find_attr(const_cast<nlmsghdr*>(&answer), sizeof(ifinfomsg), IFLA_IFNAME);
    names.emplace_back(nla_get_string(name));
  });
  EXPECT_TRUE(dumped);
  return names;
}

TEST(NetlinkSocket, DumpsAndCanBeUsedAgain) {
  auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
  for (int round = 0; round < 3; ++round) {
    const auto names = link_names(socket);
    ASSERT_FALSE(names.empty());
    EXPECT_EQ(names[0], "lo");
  }
}

TEST(NetlinkSocket, TellsWhatFailed) {
  auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
  const auto ask = link_message(RTM_GETLINK, 0, 0x7fff0000);
  const auto missing = socket.request(**ask, "link 2147418112");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message.rfind("link 2147418112: ", 0), 0U);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_FALSE(link_names(socket).empty());  // in step after a failure

  EXPECT_FALSE(NetlinkSocket::open(12345));
  EXPECT_EQ(netlink_error("x", -NLE_PERM).code, ErrorCode::permission);
}

TEST(NetlinkSocket, ADumpThatTheKernelRefusesIsAnError) {
  auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
  const auto ask = make_message(0x7fff, NLM_F_DUMP);
  EXPECT_FALSE(socket.dump(**ask, "nonsense", [](const nlmsghdr&) { FAIL(); }));
  EXPECT_FALSE(link_names(socket).empty());
}

/// In a network namespace of its own, left when the test's thread ends.
class NetlinkMonitorTest : public ::testing::Test {
 protected:
  void in_namespace(const std::function<void()>& body) {
    bool entered = false;
    std::thread thread{[&] {
      entered = ::unshare(CLONE_NEWNET) == 0;
      if (entered) body();
    }};
    thread.join();
    if (!entered) GTEST_SKIP() << "needs the right to make a network namespace";
  }
  /// Adds a bridge: an interface that needs no other.
  static Result<void> add_link(NetlinkSocket& socket, const std::string& name) {
    auto message = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nla_put_string(message->get(), IFLA_IFNAME, name.c_str());
    nlattr* info = nla_nest_start(message->get(), IFLA_LINKINFO);
    nla_put_string(message->get(), IFLA_INFO_KIND, "bridge");
    nla_nest_end(message->get(), info);
    return socket.request(**message, "interface \"" + name + "\"");
  }
  static bool until(EventLoop& loop, const std::function<bool()>& condition) {
    const auto deadline = EventLoop::Clock::now() + std::chrono::seconds{10};
    while (!condition()) {
      if (EventLoop::Clock::now() > deadline) return false;
      loop.run_once(milliseconds{50});
    }
    return true;
  }
};

TEST_F(NetlinkMonitorTest, HearsOfChanges) {
  in_namespace([] {
    const auto loop = *EventLoop::create();
    int links = 0;
    auto monitor =
        NetlinkMonitor::start(*loop, NETLINK_ROUTE, {RTNLGRP_LINK},
                              {.message = [&](const nlmsghdr& m) { links += m.nlmsg_type == RTM_NEWLINK; },
                               .resync = [] { FAIL() << "nothing was lost"; }});
    ASSERT_TRUE(monitor);
    auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
    const auto added = add_link(socket, "br-a");
    ASSERT_TRUE(added) << added.error().message;
    EXPECT_TRUE(until(*loop, [&] { return links > 0; }));
    EXPECT_EQ(add_link(socket, "br-a").error().code, ErrorCode::exists);
  });
}

TEST_F(NetlinkMonitorTest, AsksForAResyncWhenItLostNotifications) {
  in_namespace([] {
    const auto loop = *EventLoop::create();
    int resyncs = 0;
    int messages = 0;
    auto monitor = NetlinkMonitor::start(
        *loop, NETLINK_ROUTE, {RTNLGRP_LINK},
        {.message = [&](const nlmsghdr&) { ++messages; }, .resync = [&] { ++resyncs; }});
    ASSERT_TRUE(monitor);
    ASSERT_TRUE((*monitor)->set_buffer(4096));
    auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(add_link(socket, "br-" + std::to_string(i)));
    EXPECT_TRUE(until(*loop, [&] { return resyncs == 1; }));
    EXPECT_EQ((*monitor)->resyncs(), 1U);
    // and it goes on
    ASSERT_TRUE((*monitor)->set_buffer(1 << 20));
    const int before = messages;
    ASSERT_TRUE(add_link(socket, "br-last"));
    EXPECT_TRUE(until(*loop, [&] { return messages > before; }));
  });
}

/// More waits than one turn takes. Whoever applied old news to a new picture would believe in what has gone
/// since, and would never hear that it has.
TEST_F(NetlinkMonitorTest, TellsNothingOldAfterItAskedForAResync) {
  in_namespace([] {
    const auto loop = *EventLoop::create();
    bool resynced = false;
    int told_after = 0;
    auto monitor = NetlinkMonitor::start(*loop, NETLINK_ROUTE, {RTNLGRP_LINK},
                                         {.message = [&](const nlmsghdr&) { told_after += resynced ? 1 : 0; },
                                          .resync = [&] { resynced = true; }});
    ASSERT_TRUE(monitor);
    ASSERT_TRUE((*monitor)->set_buffer(1 << 20));
    auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
    ASSERT_TRUE(add_link(socket, "br-a"));
    const auto index = static_cast<int>(::if_nametoindex("br-a"));
    for (unsigned i = 0; i < 2'000; ++i) {
      const auto change = link_message(RTM_NEWLINK, 0, index);
      nla_put_u32(change->get(), IFLA_MTU, 1'400 + i % 2);
      ASSERT_TRUE(socket.request(**change, "mtu"));
    }
    EXPECT_TRUE(until(*loop, [&] { return resynced; }));
    while (loop->run_once(milliseconds{0})) {
    }
    EXPECT_EQ(told_after, 0);
  });
}

}  // namespace
}  // namespace sluice::base
