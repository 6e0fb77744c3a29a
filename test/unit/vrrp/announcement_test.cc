#include "vrrp/kernel/announcement.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

base::IpAddress address(std::string_view text) {
  return *base::IpAddress::parse(text);
}

constexpr base::Mac kMac{{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}};

/// As keepalived sends it: a broadcast request for the address itself, target MAC all ones.
TEST(Announcement, GratuitousArpIsABroadcastRequest) {
  EXPECT_EQ(hex(announcement_of(address("10.99.0.100"), kMac, false).frame()),
            "ffffffffffff"
            "021122334455"
            "0806"
            "0001080006040001"
            "021122334455"
            "0a630064"
            "ffffffffffff"
            "0a630064");
}

/// RFC 4861 §4.4, §7.2.6. The checksum was computed apart (scapy).
TEST(Announcement, NeighbourAdvertisementGoesToAllNodesFromTheAddress) {
  const auto frame = announcement_of(address("fd00:99::100"), kMac, false);
  EXPECT_EQ(hex(frame.frame()),
            "333300000001"
            "021122334455"
            "86dd"
            "60000000"
            "0020"
            "3aff"
            "fd000099000000000000000000000100"
            "ff020000000000000000000000000001"
            "8800"
            "f0d2"
            "20000000"
            "fd000099000000000000000000000100"
            "0201021122334455");
}

TEST(Announcement, ARouterSaysThatItIsOne) {
  const auto frame = announcement_of(address("fd00:99::100"), kMac, true);
  EXPECT_EQ(hex(frame.frame()).substr(2 * (14 + 40 + 4), 8), "a0000000");
}

}  // namespace
}  // namespace sluice::vrrp
