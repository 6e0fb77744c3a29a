#include "dp/kernel/next_hops.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::Family;
using base::IpAddress;
using base::Mac;
using base::Tick;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}
Mac mac(const std::string& text) {
  return *Mac::parse(text);
}

constexpr std::uint32_t kLan = 3, kWan = 4, kManagement = 9;

/// A balancer with two ports, lan (port 0) and wan (port 1), a management interface that is no port of ours,
/// and a kernel whose tables the test writes.
class NextHopsTest : public testing::Test {
 protected:
  NextHopsTest() {
    link(kLan, "lan", "02:00:00:00:00:03");
    link(kWan, "wan", "02:00:00:00:00:04");
    link(kManagement, "mgmt", "02:00:00:00:00:09");
    route("10.0.0.0/24", kLan);
    route("2001:db8::/64", kLan);
    hops_.set_ports({{"lan", 0}, {"wan", 1}});
    run();
    advance(NextHops::kEpochMs);  // so that routes may change at once
  }

  void link(std::uint32_t ifindex, const std::string& name, const std::string& address) {
    kernel_.links[ifindex] = {ifindex, name, mac(address), 1500, true, true, 0, {}};
    changes_.links = true;
  }
  void route(const std::string& prefix, std::uint32_t ifindex, const std::string& gateway = {},
             std::uint32_t mtu = 0) {
    RouteHop hop{ifindex, {}, false};
    if (!gateway.empty()) hop.gateway = ip(gateway);
    kernel_.routes[{*base::Prefix::parse(prefix), RouteOrigin::main_table, 0}] = {
        RouteType::unicast, mtu, {hop}};
    changes_.routes = true;
  }
  void neighbour(const std::string& address, NeighbourState state, const std::string& link_address = {},
                 std::uint32_t ifindex = kLan) {
    kernel_.neighbours[{ifindex, ip(address)}] = {state, link_address.empty() ? Mac{} : mac(link_address)};
    changes_.neighbours = true;
  }
  void forget(const std::string& address) {
    kernel_.neighbours.erase({kLan, ip(address)});
    changes_.neighbours = true;
  }
  /// Brings the table up to date; true when it changed.
  bool run() {
    update_ = hops_.update(kernel_, changes_, now_);
    changes_ = {};
    return update_.changed;
  }
  /// Lets time pass, with an update every 100 ms as in life.
  void advance(std::uint32_t ms) {
    for (std::uint32_t passed = 0; passed < ms; passed += 100) {
      now_ = now_ + 100;
      run();
      for (const NeighbourKey& key : update_.solicit) solicited_.push_back(key.address);
    }
  }
  Resolution resolve(const std::string& destination) {
    const IpAddress address = ip(destination);
    return address.is_v4() ? hops_.table()->resolve<Family::v4>(address.v4())
                           : hops_.table()->resolve<Family::v6>(address.v6());
  }
  Adjacency adjacency(const std::string& destination) {
    const Resolution resolution = resolve(destination);
    EXPECT_EQ(resolution.kind, ResolutionKind::adjacency) << destination;
    return hops_.table()->adjacency(resolution.id);
  }
  void want(const std::string& destination) {
    hops_.want(resolve(destination).request(ip(destination)), now_);
    run();
  }
  bool asked(const std::string& address) {
    return std::ranges::find(update_.solicit, ip(address), &NeighbourKey::address) != update_.solicit.end();
  }
  static std::string hex(const Adjacency& adjacency) {
    std::array<std::byte, kMaxLinkHeader> bytes{};
    adjacency.write(bytes, base::EtherType::ipv4);
    std::string text;
    for (std::size_t i = 0; i < adjacency.header_length; ++i) {
      constexpr const char* kDigits = "0123456789abcdef";
      text += kDigits[std::to_integer<unsigned>(bytes[i]) >> 4];
      text += kDigits[std::to_integer<unsigned>(bytes[i]) & 0xf];
    }
    return text;
  }

  KernelTables kernel_;
  KernelChanges changes_{true, true, true, true};
  NextHops hops_{2, 0x5eed};
  Tick now_{1'000'000};
  NextHops::Update update_;
  std::vector<IpAddress> solicited_;
};

TEST_F(NextHopsTest, AnUnknownOnLinkDestinationNeedsResolution) {
  const Resolution resolution = resolve("10.0.0.7");
  EXPECT_EQ(resolution.kind, ResolutionKind::needs_resolution);
  EXPECT_EQ(resolution.request(ip("10.0.0.7")), (NeighbourRequest{kLan, 0, ip("10.0.0.7")}));
  EXPECT_EQ(resolve("192.0.2.1").kind, ResolutionKind::no_route);
}

TEST_F(NextHopsTest, AWantedNeighbourIsAskedForAndBecomesReachable) {
  for (const char* address : {"10.0.0.7", "2001:db8::7"}) {
    want(address);
    EXPECT_TRUE(asked(address));
    EXPECT_EQ(adjacency(address).state, AdjacencyState::incomplete);
    neighbour(address, NeighbourState::incomplete);
    EXPECT_FALSE(run()) << "nothing new for workers";
    neighbour(address, NeighbourState::usable, "02:00:00:00:00:77");
    EXPECT_TRUE(run());
    EXPECT_EQ(adjacency(address).state, AdjacencyState::reachable);
    EXPECT_EQ(adjacency(address).port, 0);
    EXPECT_EQ(adjacency(address).mtu, 1500);
    EXPECT_EQ(hex(adjacency(address)), "0200000000770200000000030800");
  }
}

TEST_F(NextHopsTest, TheHeaderCarriesTheNextHopsOwnTypeUnlessToldOtherwise) {
  neighbour("2001:db8::7", NeighbourState::usable, "02:00:00:00:00:77");
  want("2001:db8::7");
  std::array<std::byte, kMaxLinkHeader> bytes{};
  adjacency("2001:db8::7").write(bytes, base::EtherType::ipv6);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 14, adjacency("2001:db8::7").header.begin()));
}

TEST_F(NextHopsTest, ARouteNamesTheAdjacencyOfItsGateway) {
  neighbour("10.0.0.254", NeighbourState::usable, "02:00:00:00:00:fe");
  route("0.0.0.0/0", kLan, "10.0.0.254");
  run();
  EXPECT_EQ(adjacency("8.8.8.8").header[5], std::byte{0xfe});
  EXPECT_EQ(resolve("8.8.8.8").id, resolve("10.0.0.254").id) << "the gateway itself is the same next hop";
}

TEST_F(NextHopsTest, AnIpv4RouteMayGoThroughAnIpv6Gateway) {
  neighbour("fe80::1", NeighbourState::usable, "02:00:00:00:00:fe");
  route("0.0.0.0/0", kLan, "fe80::1");
  run();
  EXPECT_EQ(hex(adjacency("8.8.8.8")), "0200000000fe0200000000030800");
}

TEST_F(NextHopsTest, VlanInterfacesLeaveByTheirParentsPortWithTagsOutermostFirst) {
  link(10, "lan.100", "02:00:00:00:00:10");
  kernel_.links[10].parent = kLan;
  kernel_.links[10].vlan = VlanTag{base::EtherType::qinq, 100};
  link(11, "lan.100.7", "02:00:00:00:00:11");
  kernel_.links[11].parent = 10;
  kernel_.links[11].vlan = VlanTag{base::EtherType::vlan, 7};
  kernel_.links[11].mtu = 1492;
  route("10.7.0.0/24", 11);
  neighbour("10.7.0.2", NeighbourState::usable, "02:00:00:00:00:77", 11);
  run();
  want("10.7.0.2");
  EXPECT_EQ(hex(adjacency("10.7.0.2")), "02000000007702000000001188a80064810000070800");
  EXPECT_EQ(adjacency("10.7.0.2").port, 0);
  EXPECT_EQ(adjacency("10.7.0.2").mtu, 1492);
  kernel_.links[kLan].up = false;
  changes_.links = true;
  advance(100);
  EXPECT_EQ(resolve("10.7.0.2").kind, ResolutionKind::foreign) << "no way out through a parent that is down";
}

TEST_F(NextHopsTest, ARouteWithItsOwnMtuHasItsOwnAdjacency) {
  neighbour("10.0.0.254", NeighbourState::usable, "02:00:00:00:00:fe");
  route("0.0.0.0/0", kLan, "10.0.0.254");
  route("198.51.100.0/24", kLan, "10.0.0.254", 1280);
  route("203.0.113.0/24", kLan, {}, 1300);
  run();
  EXPECT_EQ(adjacency("8.8.8.8").mtu, 1500);
  EXPECT_EQ(adjacency("198.51.100.1").mtu, 1280);
  want("203.0.113.1");
  EXPECT_EQ(adjacency("203.0.113.1").mtu, 1300);
}

TEST_F(NextHopsTest, OtherKindsOfRoutesAnswerForThemselves) {
  route("198.51.100.0/24", kManagement, "10.9.9.9");
  kernel_.routes[{*base::Prefix::parse("192.0.2.0/25"), RouteOrigin::main_table, 0}].type =
      RouteType::blackhole;
  kernel_.routes[{*base::Prefix::parse("192.0.2.128/25"), RouteOrigin::main_table, 0}].type =
      RouteType::unreachable;
  kernel_.routes[{*base::Prefix::parse("10.0.0.1/32"), RouteOrigin::local_table, 0}].type = RouteType::local;
  run();
  EXPECT_EQ(resolve("198.51.100.1").kind, ResolutionKind::foreign);
  EXPECT_EQ(resolve("192.0.2.1").kind, ResolutionKind::blackhole);
  EXPECT_EQ(resolve("192.0.2.129").kind, ResolutionKind::unreachable);
  EXPECT_EQ(resolve("10.0.0.1").kind, ResolutionKind::local);
  EXPECT_EQ(hops_.table()->find<Family::v4>(ip("10.0.0.1").v4()), nullptr);
}

TEST_F(NextHopsTest, TheEpochMovesWithRoutesAndNotWithNeighbours) {
  const std::uint32_t before = hops_.table()->epoch();
  advance(NextHops::kEpochMs);
  neighbour("10.0.0.7", NeighbourState::usable, "02:00:00:00:00:77");
  want("10.0.0.7");
  EXPECT_EQ(hops_.table()->epoch(), before);
  const auto* neighbours_before = hops_.table()->routing<Family::v4>().neighbours.get();
  route("0.0.0.0/0", kLan, "10.0.0.7");
  EXPECT_TRUE(run());
  EXPECT_EQ(hops_.table()->epoch(), before + 1);
  EXPECT_EQ(hops_.table()->routing<Family::v4>().neighbours.get(), neighbours_before) << "not built anew";
}

TEST_F(NextHopsTest, ANeighbourChangeSharesTheRoutesOfTheTableBefore) {
  want("10.0.0.7");
  const auto old_table = hops_.table();
  neighbour("10.0.0.7", NeighbourState::usable, "02:00:00:00:00:77");
  EXPECT_TRUE(run());
  EXPECT_NE(hops_.table(), old_table);
  EXPECT_EQ(hops_.table()->routing<Family::v4>().routes, old_table->routing<Family::v4>().routes);
  EXPECT_EQ(hops_.table()->routing<Family::v4>().neighbours, old_table->routing<Family::v4>().neighbours);
}

TEST_F(NextHopsTest, NothingNewLeavesTheTableAlone) {
  const auto before = hops_.table();
  changes_ = {true, true, true, true};
  advance(2'000);
  EXPECT_EQ(hops_.table(), before);
}

TEST_F(NextHopsTest, RouteChangesInQuickSuccessionMoveTheEpochAtMostTenTimesASecond) {
  advance(NextHops::kEpochMs);
  const std::uint32_t before = hops_.table()->epoch();
  for (int i = 0; i < 90; ++i) {
    now_ = now_ + 1;
    route("0.0.0.0/0", kLan, "10.0.0." + std::to_string(i + 1));
    run();
  }
  EXPECT_EQ(hops_.table()->epoch(), before + 1);
  advance(NextHops::kEpochMs);
  EXPECT_EQ(hops_.table()->epoch(), before + 2);
  EXPECT_EQ(resolve("8.8.8.8").id, resolve("10.0.0.90").id) << "the last word counts";
}

TEST_F(NextHopsTest, ServersAreAskedForUnbiddenAndKeptFresh) {
  hops_.set_servers({ip("10.0.0.20"), ip("10.0.0.20")});
  run();
  EXPECT_TRUE(asked("10.0.0.20"));
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  run();
  advance(3'600'000);
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable) << "never aged out";
  EXPECT_EQ(std::ranges::count(solicited_, ip("10.0.0.20")), 0) << "the kernel sees to it";
  neighbour("10.0.0.20", NeighbourState::stale, "02:00:00:00:00:20");
  run();
  EXPECT_TRUE(asked("10.0.0.20"));
}

TEST_F(NextHopsTest, AServersGatewayIsKeptFreshAlsoAfterARouteChange) {
  route("198.51.100.0/24", kLan, "10.0.0.1");
  hops_.set_servers({ip("198.51.100.20")});
  advance(100);
  route("198.51.100.0/24", kLan, "10.0.0.2");
  advance(100);
  advance(NextHops::kInUseMs + 1'000);
  solicited_.clear();
  advance(NextHops::kSolicitMs);
  EXPECT_EQ(std::ranges::count(solicited_, ip("10.0.0.1")), 0);
  EXPECT_EQ(std::ranges::count(solicited_, ip("10.0.0.2")), 1);
}

TEST_F(NextHopsTest, AFailedNeighbourIsAskedForOnceASecondWhileInUse) {
  hops_.set_servers({ip("10.0.0.20")});
  run();
  neighbour("10.0.0.20", NeighbourState::incomplete);
  run();
  neighbour("10.0.0.20", NeighbourState::failed);
  run();
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::failed);
  solicited_.clear();
  advance(10'000);
  EXPECT_EQ(solicited_.size(), 10U);
}

TEST_F(NextHopsTest, RetryingDoesNotHideThatTheNeighbourFailed) {
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.20", NeighbourState::incomplete);
  run();
  neighbour("10.0.0.20", NeighbourState::failed);
  run();
  neighbour("10.0.0.20", NeighbourState::incomplete);
  run();
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::failed);
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  run();
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable);
}

TEST_F(NextHopsTest, AnOldFailureIsNotHeldAgainstANewFlow) {
  neighbour("10.0.0.7", NeighbourState::failed);
  run();
  want("10.0.0.7");
  EXPECT_EQ(adjacency("10.0.0.7").state, AdjacencyState::incomplete) << "queue, do not refuse";
  EXPECT_TRUE(asked("10.0.0.7"));
}

TEST_F(NextHopsTest, AForgottenNeighbourIsUsedOnWhileTheKernelAsksAnew) {
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  run();
  forget("10.0.0.20");
  run();
  EXPECT_TRUE(asked("10.0.0.20"));
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable);
  neighbour("10.0.0.20", NeighbourState::incomplete);
  run();
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable);
  advance(NextHops::kProbingMs);
  neighbour("10.0.0.20", NeighbourState::failed);
  run();
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::failed);
}

TEST_F(NextHopsTest, ANeighbourFlushedAgainAndAgainIsNoFailedOne) {
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  run();
  for (int i = 0; i < 10;
       ++i) {  // what `ip neigh flush` shows of itself, faster than the kernel gets an answer
    neighbour("10.0.0.20", NeighbourState::failed);
    run();
    EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable);
    neighbour("10.0.0.20", NeighbourState::incomplete);
    advance(100);
    EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable);
  }
}

TEST_F(NextHopsTest, ANeighbourThatFailsAndStaysAwayIsRefusedAfterTheKernelsProbes) {
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  run();
  neighbour("10.0.0.20", NeighbourState::failed);
  run();
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::reachable);
  advance(NextHops::kProbingMs + NextHops::kSweepMs);
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::failed);
}

TEST_F(NextHopsTest, AForgottenNeighbourThatStaysAwayIsNotUsedForEver) {
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  run();
  forget("10.0.0.20");
  run();
  advance(NextHops::kHoldMs + NextHops::kSweepMs);
  EXPECT_EQ(adjacency("10.0.0.20").state, AdjacencyState::incomplete);
}

TEST_F(NextHopsTest, ANewLinkAddressIsTakenOverAtOnce) {
  neighbour("10.0.0.7", NeighbourState::usable, "02:00:00:00:00:77");
  want("10.0.0.7");
  neighbour("10.0.0.7", NeighbourState::stale, "02:00:00:00:00:78");
  EXPECT_TRUE(run());
  EXPECT_EQ(adjacency("10.0.0.7").header[5], std::byte{0x78});
}

TEST_F(NextHopsTest, UnusedNeighboursGoAndUsedOnesStay) {
  for (const char* address : {"10.0.0.7", "10.0.0.8"}) {
    neighbour(address, NeighbourState::usable, "02:00:00:00:00:77");
    want(address);
  }
  const AdjacencyId used = resolve("10.0.0.7").id;
  const AdjacencyId unused = resolve("10.0.0.8").id;
  const std::uint32_t epoch = hops_.table()->epoch();
  for (std::int32_t passed = 0; passed <= NextHops::kIdleMs; passed += 30'000) {
    hops_.use(1).touch(used, now_);
    advance(30'000);
  }
  EXPECT_EQ(resolve("10.0.0.7").id, used);
  EXPECT_EQ(resolve("10.0.0.8").kind, ResolutionKind::needs_resolution);
  EXPECT_EQ(hops_.table()->adjacency(unused).state, AdjacencyState::gone);
  EXPECT_NE(hops_.table()->epoch(), epoch) << "flows that kept the id look again";
}

TEST_F(NextHopsTest, AFreedIdRestsBeforeItIsAnothers) {
  want("10.0.0.7");
  const AdjacencyId id = resolve("10.0.0.7").id;
  advance(NextHops::kUnresolvedIdleMs + NextHops::kSweepMs);
  EXPECT_EQ(hops_.table()->adjacency(id).state, AdjacencyState::gone);
  want("10.0.0.8");
  EXPECT_NE(resolve("10.0.0.8").id, id);
  advance(NextHops::kIdGraceMs);
  want("10.0.0.9");
  EXPECT_EQ(resolve("10.0.0.9").id, id);
}

TEST_F(NextHopsTest, AFloodOfInventedNeighboursIsBoundedAndHarmsNoOther) {
  route("10.64.0.0/10", kLan);
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.7", NeighbourState::usable, "02:00:00:00:00:77");
  advance(100);
  want("10.0.0.7");
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    hops_.want({kLan, 0, base::Ipv4::from_host(0x0a400000U + i)}, now_);
  }
  run();
  EXPECT_EQ(update_.solicit.size(), NextHops::kSolicitBatch);
  EXPECT_GT(hops_.refused(), 0U);
  EXPECT_LE(hops_.report().size(), NextHops::kMaxUnresolved + 2);
  EXPECT_EQ(adjacency("10.0.0.7").state, AdjacencyState::reachable);
  EXPECT_NE(adjacency("10.0.0.20").state, AdjacencyState::gone);
  advance(NextHops::kMinStayMs);
  const std::uint64_t refused = hops_.refused();
  want("10.64.255.1");
  EXPECT_EQ(hops_.refused(), refused) << "one that stayed long enough gives way";
  EXPECT_EQ(adjacency("10.64.255.1").state, AdjacencyState::incomplete);
}

TEST_F(NextHopsTest, AnInterfaceMadeAnewIsFoundByItsName) {
  hops_.set_servers({ip("10.0.0.20")});
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20");
  advance(100);
  const AdjacencyId old_id = resolve("10.0.0.20").id;
  kernel_.links.erase(kLan);
  kernel_.routes.clear();
  kernel_.neighbours.clear();
  changes_ = {true, true, true, true};
  advance(100);
  EXPECT_EQ(resolve("10.0.0.20").kind, ResolutionKind::no_route);
  EXPECT_EQ(hops_.table()->adjacency(old_id).state, AdjacencyState::gone);
  link(33, "lan", "02:00:00:00:00:33");
  route("10.0.0.0/24", 33);
  neighbour("10.0.0.20", NeighbourState::usable, "02:00:00:00:00:20", 33);
  advance(100);
  EXPECT_EQ(hex(adjacency("10.0.0.20")), "0200000000200200000000330800");
}

TEST_F(NextHopsTest, TimeMayWrapWithoutConsequence) {
  hops_.set_servers({ip("10.0.0.20")});
  now_ = {0xffff'ff00U};
  neighbour("10.0.0.7", NeighbourState::usable, "02:00:00:00:00:77");
  advance(100);
  want("10.0.0.7");
  hops_.use(0).touch(resolve("10.0.0.7").id, now_);
  advance(5'000);
  EXPECT_EQ(adjacency("10.0.0.7").state, AdjacencyState::reachable);
  EXPECT_GE(std::ranges::count(solicited_, ip("10.0.0.20")), 5);
}

TEST(NeighbourIndex, FindsAllAndNothingElse) {
  std::vector<NeighbourIndex<Family::v6>::Entry> entries;
  for (std::uint16_t i = 0; i < 5'000; ++i) {
    base::Ipv6 address = base::Ipv6::parse("2001:db8::").value_or({});
    address.bytes[15] = static_cast<std::uint8_t>(i);
    address.bytes[14] = static_cast<std::uint8_t>(i >> 8);
    entries.push_back({7, 0, i, address});
  }
  const NeighbourIndex<Family::v6> index(entries, 99);
  for (const auto& entry : entries) {
    EXPECT_EQ(index.find(7, 0, entry.address), entry.id);
    EXPECT_EQ(index.find(8, 0, entry.address), kNoAdjacency);
    EXPECT_EQ(index.find(7, 1400, entry.address), kNoAdjacency);
  }
}

}  // namespace
}  // namespace sluice::dp
