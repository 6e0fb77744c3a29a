#include "dp/kernel/next_hops.h"

#include <chrono>
#include <functional>
#include <memory>
#include <poll.h>
#include <string>

#include <gtest/gtest.h>

#include "dp/kernel/kernel_mirror.h"
#include "test/packet/network_namespace.h"

namespace sluice::dp {
namespace {

using base::Family;
using base::IpAddress;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

//   balancer (own namespace)              server (far namespace)
//   +-----------------+                   +-----------------------+
//   | lan 10.0.0.1/24 |------- veth ------| far 10.0.0.2/24       |
//   | 2001:db8::1/64  |                   | 2001:db8::2/64        |
//   +-----------------+                   +-----------------------+
/// KernelMirror and NextHops together, as the control thread runs them.
class LiveNextHopsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    near_ = std::make_unique<test::OwnNamespace>();
    far_ = std::make_unique<test::FarNamespace>();
    ASSERT_TRUE(near_->entered() && far_->entered());
    make_lan();
    auto opened = KernelMirror::open();
    ASSERT_TRUE(opened) << opened.error().message;
    mirror_ = std::move(*opened);
    hops_.set_ports({{"lan", 0}});
    hops_.set_servers({ip("10.0.0.2"), ip("2001:db8::2")});
  }
  void make_lan() {
    run("ip link add lan type veth peer name far netns " + far_->name());
    // Duplicate address detection would hold IPv6 back for a second.
    run("sysctl -qw net.ipv6.conf.lan.accept_dad=0");
    far_->run("sysctl -qw net.ipv6.conf.far.accept_dad=0");
    run("ip link set lan address 02:00:00:00:00:01 up");
    run("ip addr add 10.0.0.1/24 dev lan");
    run("ip addr add 2001:db8::1/64 dev lan nodad");
    far_->run("ip link set far address 02:00:00:00:00:02 up");
    far_->run("ip addr add 10.0.0.2/24 dev far");
    far_->run("ip addr add 2001:db8::2/64 dev far nodad");
  }
  static void run(const std::string& command) { test::OwnNamespace::run(command); }

  void step() {
    const base::Tick now = base::tick_of(base::steady_ms());
    const KernelChanges changes = mirror_->process();
    for (const NeighbourKey& key : hops_.update(mirror_->tables(), changes, now).solicit)
      mirror_->solicit(key);
  }
  /// Runs the control loop until `condition` holds; false when it does not within ten seconds.
  bool until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      step();
      if (condition()) return true;
      pollfd poll_fd{mirror_->fd(), POLLIN, 0};
      poll(&poll_fd, 1, 100);
    }
    return false;
  }
  /// The last octet of the link address by which `address` is reached; -1 when it is not.
  int reached_by(const std::string& address) {
    const IpAddress destination = ip(address);
    const auto& table = *hops_.table();
    const Adjacency* adjacency = destination.is_v4() ? table.find<Family::v4>(destination.v4())
                                                     : table.find<Family::v6>(destination.v6());
    if (adjacency == nullptr || adjacency->state != AdjacencyState::reachable) return -1;
    return std::to_integer<int>(adjacency->header[5]);
  }
  bool both_reached_by(int octet) {
    return reached_by("10.0.0.2") == octet && reached_by("2001:db8::2") == octet;
  }

  std::unique_ptr<test::OwnNamespace> near_;
  std::unique_ptr<test::FarNamespace> far_;
  std::unique_ptr<KernelMirror> mirror_;
  NextHops hops_{1, 0x5eed};
};

TEST_F(LiveNextHopsTest, ServersAreResolvedWithoutTraffic) {
  EXPECT_TRUE(until([&] { return both_reached_by(2); }));
}

TEST_F(LiveNextHopsTest, AFlushOfNeighboursIsNotFelt) {
  ASSERT_TRUE(until([&] { return both_reached_by(2); }));
  bool always = true;
  for (int i = 0; i < 20; ++i) {
    run("ip neigh flush dev lan");
    run("ip -6 neigh flush dev lan");
    step();
    always = always && both_reached_by(2);
  }
  EXPECT_TRUE(always);
  EXPECT_TRUE(until([&] {
    const Neighbour* neighbour =
        mirror_->tables().neighbour({mirror_->tables().link_named("lan")->ifindex, ip("10.0.0.2")});
    return neighbour != nullptr && neighbour->state == NeighbourState::usable;
  })) << "and the kernel knows it again";
}

TEST_F(LiveNextHopsTest, AServerWithAnotherLinkAddressIsFollowed) {
  ASSERT_TRUE(until([&] { return both_reached_by(2); }));
  far_->run("ip link set far address 02:00:00:00:00:22");
  run("ip neigh flush dev lan");
  run("ip -6 neigh flush dev lan");
  EXPECT_TRUE(until([&] { return both_reached_by(0x22); }));
}

TEST_F(LiveNextHopsTest, AnInterfaceDeletedAndMadeAnewIsFound) {
  ASSERT_TRUE(until([&] { return both_reached_by(2); }));
  run("ip link del lan");
  ASSERT_TRUE(until([&] { return reached_by("10.0.0.2") == -1 && reached_by("2001:db8::2") == -1; }));
  make_lan();
  EXPECT_TRUE(until([&] { return both_reached_by(2); }));
}

TEST_F(LiveNextHopsTest, ANeighbourOnDemand) {
  far_->run("ip addr add 10.0.0.9/24 dev far");
  Resolution resolution;
  ASSERT_TRUE(until([&] {
    resolution = hops_.table()->resolve<Family::v4>(ip("10.0.0.9").v4());
    return resolution.kind == ResolutionKind::needs_resolution;
  }));
  hops_.want(resolution.request(ip("10.0.0.9")), base::tick_of(base::steady_ms()));
  EXPECT_TRUE(until([&] { return reached_by("10.0.0.9") == 2; }));
}

TEST_F(LiveNextHopsTest, AServerThatIsNotThereFailsAndIsFoundWhenItComes) {
  hops_.set_servers({ip("10.0.0.9")});
  run("sysctl -qw net.ipv4.neigh.lan.retrans_time_ms=20");
  const auto state = [&] {
    const Adjacency* adjacency = hops_.table()->find<Family::v4>(ip("10.0.0.9").v4());
    return adjacency == nullptr ? AdjacencyState::gone : adjacency->state;
  };
  ASSERT_TRUE(until([&] { return state() == AdjacencyState::failed; }));
  far_->run("ip addr add 10.0.0.9/24 dev far");
  EXPECT_TRUE(until([&] { return reached_by("10.0.0.9") == 2; }));
}

}  // namespace
}  // namespace sluice::dp
