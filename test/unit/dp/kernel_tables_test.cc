#include "dp/kernel/kernel_tables.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::IpAddress;
using base::Prefix;
using Kind = NextHop::Kind;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

/// A host with two links, 1 ("lan", up) and 2 ("wan", up).
class KernelTablesTest : public testing::Test {
 protected:
  KernelTablesTest() {
    tables_.links[1] = {1, "lan", {}, 1500, true, true, 0, {}};
    tables_.links[2] = {2, "wan", {}, 1400, true, true, 0, {}};
  }
  void add(const std::string& prefix, std::uint32_t ifindex, const std::string& gateway = {},
           std::uint32_t priority = 0) {
    RouteHop hop{ifindex, {}, false};
    if (!gateway.empty()) hop.gateway = ip(gateway);
    tables_.routes[{*Prefix::parse(prefix), RouteOrigin::main_table, priority}].hops.push_back(hop);
  }
  void add_local(const std::string& prefix) {
    tables_.routes[{*Prefix::parse(prefix), RouteOrigin::local_table, 0}].type = RouteType::local;
  }
  std::vector<std::string> chosen(base::Family family) {
    std::vector<std::string> prefixes;
    for (const ChosenRoute& route : tables_.chosen_routes(family)) {
      prefixes.push_back(route.destination.to_string());
    }
    return prefixes;
  }
  KernelTables tables_;
};

TEST_F(KernelTablesTest, TheLongestPrefixWins) {
  add("0.0.0.0/0", 2, "203.0.113.1");
  add("10.0.0.0/8", 1, "192.0.2.1");
  add("10.1.0.0/16", 1);
  EXPECT_EQ(tables_.resolve(ip("8.8.8.8")), (NextHop{Kind::forward, 2, ip("203.0.113.1"), 1400}));
  EXPECT_EQ(tables_.resolve(ip("10.2.0.1")), (NextHop{Kind::forward, 1, ip("192.0.2.1"), 1500}));
  EXPECT_EQ(tables_.resolve(ip("10.1.0.1")), (NextHop{Kind::forward, 1, ip("10.1.0.1"), 1500}));
  EXPECT_EQ(tables_.resolve(ip("2001:db8::1")).kind, Kind::no_route) << "families do not mix";
}

TEST_F(KernelTablesTest, ALinkThatIsDownIsPassedOver) {
  add("0.0.0.0/0", 1, "192.0.2.1", 10);
  add("0.0.0.0/0", 2, "203.0.113.1", 20);
  EXPECT_EQ(tables_.resolve(ip("8.8.8.8")).ifindex, 1U);
  tables_.links[1].up = false;
  EXPECT_EQ(tables_.resolve(ip("8.8.8.8")).ifindex, 2U);
  tables_.links.erase(2);
  EXPECT_EQ(tables_.resolve(ip("8.8.8.8")).kind, Kind::no_route);
}

TEST_F(KernelTablesTest, OfSeveralWaysTheFirstOverARunningLinkIsTaken) {
  add("0.0.0.0/0", 1, "192.0.2.1");
  add("0.0.0.0/0", 2, "203.0.113.1");
  tables_.links[1].running = false;
  EXPECT_EQ(tables_.resolve(ip("8.8.8.8")).ifindex, 2U);
  tables_.links[2].running = false;
  EXPECT_EQ(tables_.resolve(ip("8.8.8.8")).ifindex, 1U);
}

TEST_F(KernelTablesTest, TheLocalTableGoesBeforeLongerPrefixesOfTheMainTable) {
  add("10.0.0.0/24", 1);
  add("10.1.0.0/16", 1);
  add("10.1.2.0/24", 1);
  add("11.0.0.0/8", 2);
  add_local("10.1.0.0/16");
  add_local("10.1.2.3/32");
  add_local("10.0.0.1/32");
  EXPECT_EQ(tables_.resolve(ip("10.1.2.9")).kind, Kind::local);
  EXPECT_EQ(tables_.resolve(ip("10.0.0.1")).kind, Kind::local);
  EXPECT_EQ(tables_.resolve(ip("10.0.0.2")).kind, Kind::forward);
  EXPECT_EQ(chosen(base::Family::v4), (std::vector<std::string>{"10.0.0.0/24", "10.0.0.1/32", "10.1.0.0/16",
                                                                "10.1.2.3/32", "11.0.0.0/8"}));
}

TEST_F(KernelTablesTest, ARouteMtuCountsWhenSmallerThanTheLinks) {
  add("10.0.0.0/8", 1);
  auto& route = tables_.routes[{*Prefix::parse("10.0.0.0/8"), RouteOrigin::main_table, 0}];
  route.mtu = 1300;
  EXPECT_EQ(tables_.resolve(ip("10.0.0.1")).mtu, 1300U);
  route.mtu = 9000;
  EXPECT_EQ(tables_.resolve(ip("10.0.0.1")).mtu, 1500U);
}

}  // namespace
}  // namespace sluice::dp
