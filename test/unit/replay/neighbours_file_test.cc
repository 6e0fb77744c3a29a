#include "tools/replay/neighbours_file.h"

#include <gtest/gtest.h>

namespace sluice::replay {
namespace {

base::IpAddress ip(std::string_view text) {
  return *base::IpAddress::parse(text);
}

TEST(NeighboursFile, ReadsNeighboursAndRoutes) {
  const auto file = parse_neighbours(
      "# a comment\n"
      "\n"
      "192.0.2.11   52:54:00:00:00:0b  lan  # another\n"
      "192.0.2.1\t52:54:00:00:00:01 wan vlan 7 8 mtu 9000\r\n"
      "2001:db8::12 incomplete lan mtu 1280 vlan 9\n"
      "192.0.2.13 failed lan\n"
      "198.51.100.0/24 via 192.0.2.1\n"
      "default via 192.0.2.1\n"
      "default via 2001:db8::12",
      "n.txt");
  ASSERT_TRUE(file.has_value()) << file.error().message;
  ASSERT_EQ(file->neighbours.size(), 4U);
  using State = NamedNeighbour::State;
  const NamedNeighbour& server = file->neighbours[0];
  EXPECT_EQ(server.address, ip("192.0.2.11"));
  EXPECT_EQ(server.mac, *base::Mac::parse("52:54:00:00:00:0b"));
  EXPECT_EQ(server.port, "lan");
  EXPECT_EQ(server.mtu, 0);
  EXPECT_TRUE(server.tags.empty());
  const NamedNeighbour& router = file->neighbours[1];
  EXPECT_EQ(router.tags, (std::vector<std::uint16_t>{7, 8}));
  EXPECT_EQ(router.mtu, 9000);
  EXPECT_EQ(file->neighbours[2].state, State::incomplete);
  EXPECT_EQ(file->neighbours[2].tags, (std::vector<std::uint16_t>{9}));
  EXPECT_EQ(file->neighbours[3].state, State::failed);
  ASSERT_EQ(file->routes.size(), 3U);
  EXPECT_EQ(file->routes[0].destination, *base::Prefix::parse("198.51.100.0/24"));
  EXPECT_EQ(file->routes[1].destination.length, 0);
  EXPECT_TRUE(file->routes[1].destination.address.is_v4());
  EXPECT_FALSE(file->routes[2].destination.address.is_v4());
}

struct WrongRow {
  const char* name;
  const char* text;
  const char* told;
};
void PrintTo(const WrongRow& row, std::ostream* out) {
  *out << row.name;
}
class NeighboursFileWrong : public testing::TestWithParam<WrongRow> {};

TEST_P(NeighboursFileWrong, IsToldWithItsLine) {
  const auto file = parse_neighbours(GetParam().text, "n.txt");
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().message, GetParam().told);
}

const WrongRow kWrong[] = {
    {"too_few_words", "\n192.0.2.1 lan\n",
     "n.txt:2: expected ADDRESS MAC PORT [vlan ID [ID]] [mtu BYTES], or PREFIX via ADDRESS"},
    {"no_mac", "192.0.2.1 lan wan", "n.txt:1: \"lan\": expected a MAC address, \"incomplete\" or \"failed\""},
    {"unknown_key", "192.0.2.1 02:00:00:00:00:01 lan speed 10",
     "n.txt:1: \"speed\": expected \"vlan\" or \"mtu\""},
    {"vlan_without_id", "192.0.2.1 02:00:00:00:00:01 lan vlan", "n.txt:1: \"vlan\": say which"},
    {"vlan_without_id_before_mtu", "192.0.2.1 02:00:00:00:00:01 lan vlan mtu 9000",
     "n.txt:1: \"vlan\": say which"},
    {"vlan_id_too_large", "192.0.2.1 02:00:00:00:00:01 lan vlan 4095",
     "n.txt:1: vlan \"4095\": expected a number from 1 to 4094"},
    {"mtu_too_small", "192.0.2.1 02:00:00:00:00:01 lan mtu 67",
     "n.txt:1: mtu \"67\": expected a number from 68 to 65535"},
    {"twice", "192.0.2.1 02:00:00:00:00:01 lan\n192.0.2.1 02:00:00:00:00:02 lan",
     "n.txt:2: 192.0.2.1 stands in the file before"},
    {"unknown_gateway", "default via 192.0.2.1",
     "n.txt:1: via 192.0.2.1: no line of the file says how that is reached"},
    {"two_families", "192.0.2.0/24 via 2001:db8::1",
     "n.txt:1: 192.0.2.0/24 via 2001:db8::1: both must be of one family"},
};
INSTANTIATE_TEST_SUITE_P(Rows, NeighboursFileWrong, testing::ValuesIn(kWrong),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sluice::replay
