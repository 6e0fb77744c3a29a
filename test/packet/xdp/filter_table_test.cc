#include "dp/xdp/filter_table.h"

#include <gtest/gtest.h>

#include "test/packet_builder.h"

namespace sluice::dp {
namespace {

using config::Protocol;
using test::v4;
using test::v6;

bool has(const FilterTable& table, const base::IpAddress& address, Protocol protocol, std::uint16_t port,
         std::uint8_t role = FILTER_OWN) {
  const auto found = table.find(FilterKey{address, protocol, role});
  return found != table.end() && (found->second[port / 8] >> port % 8 & 1) != 0;
}

std::size_t ports_in(const FilterTable& table, const base::IpAddress& address, Protocol protocol) {
  std::size_t count = 0;
  for (std::uint32_t port = 0; port < 65'536; ++port) {
    count += has(table, address, protocol, static_cast<std::uint16_t>(port)) ? 1U : 0U;
  }
  return count;
}

TEST(FilterTable, AServiceIsOnePortOfOneProtocol) {
  const FilterTable table = compile({.services = {{v4("192.0.2.10"), Protocol::tcp, 443}}, .locals = {}});
  EXPECT_TRUE(has(table, v4("192.0.2.10"), Protocol::tcp, 443));
  EXPECT_EQ(ports_in(table, v4("192.0.2.10"), Protocol::tcp), 1U);
  EXPECT_EQ(ports_in(table, v4("192.0.2.10"), Protocol::udp), 0U);
}

TEST(FilterTable, ExcludedPortsAreLeftOutOfARange) {
  const FilterTable table =
      compile({.services = {},
               .locals = {{v6("2001:db8::1"), Protocol::udp, {1024, 65'535}, {2000, 1024, 65'535, 80}}}});
  EXPECT_EQ(ports_in(table, v6("2001:db8::1"), Protocol::udp), 65'536U - 1024 - 3);
  EXPECT_FALSE(has(table, v6("2001:db8::1"), Protocol::udp, 2000));
  EXPECT_TRUE(has(table, v6("2001:db8::1"), Protocol::udp, 2001));
}

TEST(FilterTable, AServicePortIsOursEvenWhereARangeExcludesIt) {
  const FilterTable table =
      compile({.services = {{v4("192.0.2.10"), Protocol::tcp, 6443}},
               .locals = {{v4("192.0.2.10"), Protocol::tcp, {1024, 65'535}, {6443, 22}}}});
  EXPECT_TRUE(has(table, v4("192.0.2.10"), Protocol::tcp, 6443));
}

TEST(FilterTable, SeveralRangesOfOneAddressAddUp) {
  const FilterTable table = compile({.services = {},
                                     .locals = {{v4("192.0.2.10"), Protocol::tcp, {1000, 1999}, {}},
                                                {v4("192.0.2.10"), Protocol::tcp, {1500, 2499}, {1500}}}});
  EXPECT_EQ(ports_in(table, v4("192.0.2.10"), Protocol::tcp), 1500U);
}

TEST(FilterTable, AnAddressHasEachRoleByItself) {
  const base::IpAddress both = v4("192.0.2.10");
  const FilterTable table = compile({.services = {{both, Protocol::tcp, 80}},
                                     .servers = {{both, Protocol::tcp, 8080}},
                                     .hosts = {both},
                                     .locals = {}});
  ASSERT_EQ(table.size(), 3U);
  EXPECT_TRUE(has(table, both, Protocol::tcp, 80));
  EXPECT_FALSE(has(table, both, Protocol::tcp, 8080));
  EXPECT_TRUE(has(table, both, Protocol::tcp, 8080, FILTER_SERVER));
  EXPECT_EQ(table.at({both, Protocol::tcp, FILTER_HOST}), PortBits{}) << "that it is there says all";
}

TEST(FilterTable, TheHostIsKnownForAsLongAsServersAre) {
  const base::IpAddress host = v4("203.0.113.254"), server = v4("10.0.0.1");
  const FilterTable none = compile({.services = {}, .locals = {}});
  const FilterTable some =
      compile({.services = {}, .servers = {{server, Protocol::tcp, 8080}}, .hosts = {host}, .locals = {}});
  const FilterKey of_host{host, Protocol::tcp, FILTER_HOST}, of_server{server, Protocol::tcp, FILTER_SERVER};
  EXPECT_EQ(changes_between(none, some).write, (std::vector{of_host, of_server}));
  EXPECT_EQ(changes_between(some, none).remove, (std::vector{of_server, of_host}));
}

TEST(FilterTable, MergedHasWhatEitherHas) {
  const base::IpAddress vip = v4("192.0.2.10");
  const FilterTable a = compile({.services = {{vip, Protocol::tcp, 80}}, .locals = {}});
  const FilterTable b =
      compile({.services = {{vip, Protocol::tcp, 443}, {vip, Protocol::udp, 53}}, .locals = {}});
  const FilterTable both = merged(a, b);
  EXPECT_EQ(ports_in(both, vip, Protocol::tcp), 2U);
  EXPECT_TRUE(has(both, vip, Protocol::tcp, 80) && has(both, vip, Protocol::tcp, 443));
  EXPECT_TRUE(has(both, vip, Protocol::udp, 53));
}

TEST(FilterTable, ChangesNameOnlyWhatDiffers) {
  const FilterTable before = compile({.services = {{v4("192.0.2.10"), Protocol::tcp, 80},
                                                   {v4("192.0.2.11"), Protocol::tcp, 80},
                                                   {v4("192.0.2.12"), Protocol::tcp, 80}},
                                      .locals = {}});
  const FilterTable after = compile({.services = {{v4("192.0.2.10"), Protocol::tcp, 80},
                                                  {v4("192.0.2.11"), Protocol::tcp, 81},
                                                  {v4("192.0.2.13"), Protocol::tcp, 80}},
                                     .locals = {}});
  const FilterChanges changes = changes_between(before, after);
  EXPECT_EQ(changes.write, (std::vector<FilterKey>{FilterKey{v4("192.0.2.11"), Protocol::tcp},
                                                   FilterKey{v4("192.0.2.13"), Protocol::tcp}}));
  EXPECT_EQ(changes.remove, (std::vector<FilterKey>{FilterKey{v4("192.0.2.12"), Protocol::tcp}}));
  EXPECT_TRUE(changes_between(after, after).write.empty());
}

}  // namespace
}  // namespace sluice::dp
