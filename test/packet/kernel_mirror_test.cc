#include "dp/kernel/kernel_mirror.h"

#include <chrono>
#include <functional>
#include <memory>
#include <poll.h>
#include <string>

#include <gtest/gtest.h>

#include "test/packet/network_namespace.h"

namespace sluice::dp {
namespace {

using base::IpAddress;
using base::Prefix;
using Kind = NextHop::Kind;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

//   own namespace                         far namespace
//   +-----------------+                   +-----------------------+
//   | lan 10.0.0.1/24 |------- veth ------| far 10.0.0.2/24       |
//   | 2001:db8::1/64  |                   | 2001:db8::2/64        |
//   +-----------------+                   +-----------------------+
class KernelMirrorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    near_ = std::make_unique<test::OwnNamespace>();
    ASSERT_TRUE(near_->entered());
    far_ = std::make_unique<test::FarNamespace>();
    ASSERT_TRUE(far_->entered());
    make_lan();
    auto opened = KernelMirror::open();
    ASSERT_TRUE(opened) << opened.error().message;
    mirror_ = std::move(*opened);
    ASSERT_TRUE(until([&] { return mirror_->synced(); }));
  }

  void make_lan() {
    run("ip link add lan type veth peer name far netns " + far_->name());
    // Duplicate address detection would hold IPv6 addresses back for a second.
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

  /// Follows the kernel until `condition` holds; false when it does not within ten seconds.
  bool until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (true) {
      seen_ = merge(seen_, mirror_->process());
      if (condition()) return true;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd poll_fd{mirror_->fd(), POLLIN, 0};
      poll(&poll_fd, 1, static_cast<int>(left.count()));
    }
  }
  static KernelChanges merge(KernelChanges a, KernelChanges b) {
    return {a.links || b.links, a.addresses || b.addresses, a.routes || b.routes,
            a.neighbours || b.neighbours};
  }

  const KernelTables& tables() { return mirror_->tables(); }
  std::uint32_t ifindex(const std::string& name) {
    const Link* link = tables().link_named(name);
    return link == nullptr ? 0 : link->ifindex;
  }
  NeighbourState state_of(const std::string& address) {
    const Neighbour* neighbour = tables().neighbour({ifindex("lan"), ip(address)});
    return neighbour == nullptr ? NeighbourState::none : neighbour->state;
  }
  base::Mac mac_of(const std::string& address) {
    const Neighbour* neighbour = tables().neighbour({ifindex("lan"), ip(address)});
    return neighbour == nullptr ? base::Mac{} : neighbour->mac;
  }

  std::unique_ptr<test::OwnNamespace> near_;
  std::unique_ptr<test::FarNamespace> far_;
  std::unique_ptr<KernelMirror> mirror_;
  KernelChanges seen_;
};

TEST_F(KernelMirrorTest, ReportsEverythingOnceSynced) {
  ASSERT_TRUE(until([&] { return seen_.any(); }));
  EXPECT_EQ(seen_, (KernelChanges{true, true, true, true}));
}

TEST_F(KernelMirrorTest, KnowsWhatWasThereBefore) {
  const Link* lan = tables().link_named("lan");
  ASSERT_NE(lan, nullptr);
  EXPECT_EQ(lan->mac.to_string(), "02:00:00:00:00:01");
  EXPECT_EQ(lan->mtu, 1500U);
  EXPECT_TRUE(lan->up);
  EXPECT_EQ(tables().owner_of(ip("10.0.0.1")), lan->ifindex);
  EXPECT_EQ(tables().owner_of(ip("2001:db8::1")), lan->ifindex);
  EXPECT_EQ(tables().resolve(ip("10.0.0.2")), (NextHop{Kind::forward, lan->ifindex, ip("10.0.0.2"), 1500}));
  EXPECT_EQ(tables().resolve(ip("2001:db8::2")),
            (NextHop{Kind::forward, lan->ifindex, ip("2001:db8::2"), 1500}));
  EXPECT_EQ(tables().resolve(ip("10.0.0.1")).kind, Kind::local);
  EXPECT_EQ(tables().resolve(ip("2001:db8::1")).kind, Kind::local);
  EXPECT_EQ(tables().resolve(ip("10.0.0.255")).kind, Kind::local) << "broadcast is the kernel's business";
  EXPECT_EQ(tables().resolve(ip("192.0.2.1")).kind, Kind::no_route);
}

TEST_F(KernelMirrorTest, FollowsTheDefaultRoute) {
  run("ip route add default via 10.0.0.2");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("192.0.2.1")).address == ip("10.0.0.2"); }));
  run("ip route replace default via 10.0.0.3 mtu 1400");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("192.0.2.1")).address == ip("10.0.0.3"); }));
  EXPECT_EQ(tables().resolve(ip("192.0.2.1")).mtu, 1400U);
  run("ip route del default");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("192.0.2.1")).kind == Kind::no_route; }));
}

TEST_F(KernelMirrorTest, FollowsAnIpv6GatewayThatIsLinkLocal) {
  run("ip -6 route add default via fe80::2 dev lan");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("2001:db8:ffff::1")).address == ip("fe80::2"); }));
  EXPECT_EQ(tables().resolve(ip("2001:db8:ffff::1")).ifindex, ifindex("lan"));
}

TEST_F(KernelMirrorTest, FollowsAnIpv4RouteThroughAnIpv6Gateway) {
  run("ip route add 198.51.100.0/24 via inet6 fe80::2 dev lan");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("198.51.100.7")).address == ip("fe80::2"); }));
}

TEST_F(KernelMirrorTest, TakesTheLowestMetricAndFallsBackToTheNext) {
  run("ip route add 198.51.100.0/24 via 10.0.0.2 metric 10");
  run("ip route add 198.51.100.0/24 via 10.0.0.3 metric 20");
  run("ip route add 203.0.113.0/24 via 10.0.0.9");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("203.0.113.1")).kind == Kind::forward; }));
  EXPECT_EQ(tables().resolve(ip("198.51.100.1")).address, ip("10.0.0.2"));
  run("ip route del 198.51.100.0/24 metric 10");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("198.51.100.1")).address == ip("10.0.0.3"); }));
}

TEST_F(KernelMirrorTest, FollowsRefusingRoutes) {
  run("ip route add blackhole 198.51.100.0/25");
  run("ip route add unreachable 198.51.100.128/26");
  run("ip route add prohibit 198.51.100.192/26");
  run("ip -6 route add blackhole 2001:db8:dead::/48");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("2001:db8:dead::1")).kind == Kind::blackhole; }));
  EXPECT_EQ(tables().resolve(ip("198.51.100.1")).kind, Kind::blackhole);
  EXPECT_EQ(tables().resolve(ip("198.51.100.129")).kind, Kind::unreachable);
  EXPECT_EQ(tables().resolve(ip("198.51.100.193")).kind, Kind::unreachable);
}

TEST_F(KernelMirrorTest, FollowsMultipathInBothFamilies) {
  struct Row {
    const char *option, *net, *first, *second;
    std::uint32_t priority;
  };
  for (const Row& row : {Row{"", "198.51.100.0/24", "10.0.0.2", "10.0.0.3", 0},
                         Row{"-6 ", "2001:db8:f::/64", "2001:db8::2", "2001:db8::3", 1024}}) {
    const std::string ip_route = std::string("ip ") + row.option + "route ", net = row.net;
    const std::string first = row.first, second = row.second;
    const IpAddress inside = Prefix::parse(net)->address.is_v4() ? ip("198.51.100.1") : ip("2001:db8:f::1");
    run(ip_route + "add " + net + " nexthop via " + first + " nexthop via " + second);
    ASSERT_TRUE(until([&] { return tables().resolve(inside).kind == Kind::forward; })) << net;
    EXPECT_EQ(tables().resolve(inside).address, ip(first));
    const RouteKey key{*Prefix::parse(net), RouteOrigin::main_table, row.priority};
    EXPECT_EQ(tables().routes.at(key).hops.size(), 2U);
    run(ip_route + "replace " + net + " nexthop via " + second);
    ASSERT_TRUE(until([&] { return tables().resolve(inside).address == ip(second); })) << net;
    run(ip_route + "del " + net);
    ASSERT_TRUE(until([&] { return tables().resolve(inside).kind == Kind::no_route; })) << net;
  }
}

TEST_F(KernelMirrorTest, ForgetsOneWayOfAnIpv6Route) {
  run("ip -6 route add 2001:db8:f::/64 nexthop via 2001:db8::2 nexthop via 2001:db8::3");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("2001:db8:f::1")).kind == Kind::forward; }));
  run("ip -6 route del 2001:db8:f::/64 via 2001:db8::2");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("2001:db8:f::1")).address == ip("2001:db8::3"); }));
}

TEST_F(KernelMirrorTest, FollowsStaticNeighboursAndTheirRemoval) {
  run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 nud permanent dev lan");
  ASSERT_TRUE(until([&] { return mac_of("10.0.0.7").to_string() == "02:00:00:00:00:07"; }));
  EXPECT_EQ(state_of("10.0.0.7"), NeighbourState::usable);
  run("ip neigh change 10.0.0.7 lladdr 02:00:00:00:00:17 nud stale dev lan");
  ASSERT_TRUE(until([&] { return mac_of("10.0.0.7").to_string() == "02:00:00:00:00:17"; }));
  EXPECT_EQ(state_of("10.0.0.7"), NeighbourState::stale);
  run("ip neigh del 10.0.0.7 dev lan");
  ASSERT_TRUE(until([&] {
    return state_of("10.0.0.7") == NeighbourState::none || state_of("10.0.0.7") == NeighbourState::failed;
  }));
}

TEST_F(KernelMirrorTest, SolicitedNeighboursBecomeReachable) {
  for (const char* address : {"10.0.0.2", "2001:db8::2"}) {
    mirror_->solicit({ifindex("lan"), ip(address)});
    ASSERT_TRUE(until([&] { return mac_of(address).to_string() == "02:00:00:00:00:02"; })) << address;
    EXPECT_EQ(state_of(address), NeighbourState::usable);
  }
  EXPECT_EQ(mirror_->counters().refusals, 0U);
}

TEST_F(KernelMirrorTest, AStaleNeighbourIsConfirmedWhenSolicited) {
  run("sysctl -qw net.ipv4.neigh.lan.delay_first_probe_time=0");
  run("ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:99 nud stale dev lan");
  ASSERT_TRUE(until([&] { return state_of("10.0.0.2") == NeighbourState::stale; }));
  mirror_->solicit({ifindex("lan"), ip("10.0.0.2")});
  // The probes to the wrong address go unanswered until the kernel broadcasts (mcast_solicit follows
  // ucast_solicit).
  ASSERT_TRUE(until([&] { return state_of("10.0.0.2") != NeighbourState::stale; }));
}

TEST_F(KernelMirrorTest, NobodyThereBecomesFailed) {
  run("sysctl -qw net.ipv4.neigh.lan.retrans_time_ms=20");
  mirror_->solicit({ifindex("lan"), ip("10.0.0.77")});
  ASSERT_TRUE(until([&] { return state_of("10.0.0.77") == NeighbourState::failed; }));
  EXPECT_TRUE(mac_of("10.0.0.77").is_zero());
}

TEST_F(KernelMirrorTest, SolicitingOnAnInterfaceThatIsGoneIsRefusedAndCounted) {
  mirror_->solicit({9999, ip("10.0.0.2")});
  ASSERT_TRUE(until([&] { return mirror_->counters().refusals == 1; }));
}

TEST_F(KernelMirrorTest, KnowsTheTagsOfVlanInterfaces) {
  if (std::system("ip link add link lan name lan.probe type vlan id 1 2>/dev/null") != 0) {
    GTEST_SKIP() << "this kernel has no VLAN interfaces (8021q)";
  }
  run("ip link add link lan name lan.outer type vlan proto 802.1ad id 100");
  run("ip link add link lan.outer name lan.inner type vlan id 7");
  ASSERT_TRUE(until([&] { return ifindex("lan.inner") != 0; }));
  const Link* outer = tables().link_named("lan.outer");
  const Link* inner = tables().link_named("lan.inner");
  ASSERT_NE(outer, nullptr);
  EXPECT_EQ(outer->parent, ifindex("lan"));
  EXPECT_EQ(outer->vlan, (VlanTag{base::EtherType::qinq, 100}));
  EXPECT_EQ(inner->parent, outer->ifindex);
  EXPECT_EQ(inner->vlan, (VlanTag{base::EtherType::vlan, 7}));
  EXPECT_EQ(tables().link_named("lan")->parent, 0U) << "a veth's peer is not a parent";
}

TEST_F(KernelMirrorTest, NoticesIpv4RoutesThatVanishInSilenceWithTheirLink) {
  run("ip route add 198.51.100.0/24 via 10.0.0.2");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("198.51.100.1")).kind == Kind::forward; }));
  run("ip link set lan down");
  run("ip link set lan up");  // the connected route returns, the static one does not
  ASSERT_TRUE(until([&] {
    return tables().resolve(ip("10.0.0.2")).kind == Kind::forward &&
           tables().resolve(ip("198.51.100.1")).kind == Kind::no_route;
  }));
}

TEST_F(KernelMirrorTest, NoticesRoutesThatVanishWithTheirSourceAddress) {
  run("ip addr add 10.0.0.5/24 dev lan");
  run("ip route add 198.51.100.0/24 via 10.0.0.2 src 10.0.0.5");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("198.51.100.1")).kind == Kind::forward; }));
  run("ip addr del 10.0.0.5/24 dev lan");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("198.51.100.1")).kind == Kind::no_route; }));
  EXPECT_EQ(tables().owner_of(ip("10.0.0.5")), 0U);
}

TEST_F(KernelMirrorTest, SurvivesAnInterfaceDeletedAndMadeAnew) {
  run("ip route add default via 10.0.0.2");
  mirror_->solicit({ifindex("lan"), ip("10.0.0.2")});
  ASSERT_TRUE(until([&] { return state_of("10.0.0.2") == NeighbourState::usable; }));
  const std::uint32_t old_index = ifindex("lan");
  run("ip link del lan");
  ASSERT_TRUE(until([&] { return ifindex("lan") == 0; }));
  EXPECT_EQ(tables().owner_of(ip("10.0.0.1")), 0U);
  EXPECT_EQ(tables().neighbour({old_index, ip("10.0.0.2")}), nullptr);
  EXPECT_EQ(tables().resolve(ip("10.0.0.2")).kind, Kind::no_route);
  make_lan();
  run("ip route add default via 10.0.0.2");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("192.0.2.1")).kind == Kind::forward; }));
  EXPECT_NE(ifindex("lan"), old_index);
  EXPECT_EQ(tables().resolve(ip("192.0.2.1")).ifindex, ifindex("lan"));
  mirror_->solicit({ifindex("lan"), ip("10.0.0.2")});
  ASSERT_TRUE(until([&] { return state_of("10.0.0.2") == NeighbourState::usable; }));
}

TEST_F(KernelMirrorTest, RecoversFromLostNotifications) {
  // 16,384 routes come and go while nobody reads: more than the socket holds.
  run("(for i in $(seq 0 63); do for j in $(seq 0 255); do echo route add 172.$((i % 16 + 16)).$j.$((i / "
      "16))/32"
      " via 10.0.0.2; done; done) > /tmp/sluice-mirror-$$.batch; ip -batch /tmp/sluice-mirror-$$.batch;"
      " sed -i 's/add/del/' /tmp/sluice-mirror-$$.batch; ip -batch /tmp/sluice-mirror-$$.batch;"
      " rm /tmp/sluice-mirror-$$.batch; ip route add 198.51.100.0/24 via 10.0.0.2");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("198.51.100.1")).kind == Kind::forward; }));
  ASSERT_TRUE(until([&] { return tables().routes.size() < 50; })) << tables().routes.size();
  EXPECT_GT(mirror_->counters().overruns, 0U);
}

TEST_F(KernelMirrorTest, HoldsThousandsOfRoutes) {
  run("(for i in $(seq 0 31); do for j in $(seq 0 255); do echo route add 172.16.$i.$j/32 via 10.0.0.2; "
      "done; done)"
      " | ip -batch -");
  ASSERT_TRUE(until([&] { return tables().resolve(ip("172.16.31.255")).kind == Kind::forward; }));
  EXPECT_GE(tables().chosen_routes(base::Family::v4).size(), 8192U);
}

}  // namespace
}  // namespace sluice::dp
