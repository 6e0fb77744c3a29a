// Macvlans on ports: whose MAC addresses are ours.
#include "dp/kernel/virtual_macs.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

const base::Mac kVmac = *base::Mac::parse("00:00:5e:00:01:3d");
constexpr VlanTag kTag{base::EtherType::vlan, 7};

/// lan (1) is port 4; vrrp.61 (9), a macvlan on it, holds the vip.
class VirtualMacsTest : public testing::Test {
 protected:
  VirtualMacsTest() {
    tables_.links[1] = {1, "lan", {}, 1500, true, true, 0, {}};
    tables_.links[9] = {9, "vrrp.61", kVmac, 1500, true, true, 1, {}};
    hold(1, "192.0.2.2/24");
    hold(9, "192.0.2.10/24");
  }
  void hold(std::uint32_t ifindex, const std::string& prefix) {
    tables_.addresses.insert({ifindex, *base::Prefix::parse(prefix)});
  }
  [[nodiscard]] std::vector<VirtualMac> found() const {
    const std::vector<PortInterface> ports{{"lan", 4}};
    return virtual_macs(tables_, ports, [](const base::IpAddress& address) {
      return address == *base::IpAddress::parse("192.0.2.10") ||
             address == *base::IpAddress::parse("2001:db8::10");
    });
  }
  const std::vector<VirtualMac> ours_{{4, kVmac}};
  KernelTables tables_;
};

TEST_F(VirtualMacsTest, AMacvlanWithAServedAddressIsOurs) {
  EXPECT_EQ(found(), ours_);
  EXPECT_EQ(macs_of(found(), 4), std::vector<base::Mac>{kVmac});
  EXPECT_TRUE(macs_of(found(), 3).empty());
  hold(9, "2001:db8::10/64");
  EXPECT_EQ(found(), ours_) << "once, however many addresses it has";
}

TEST_F(VirtualMacsTest, ThatOfABackupIsNot) {
  tables_.addresses.erase({9, *base::Prefix::parse("192.0.2.10/24")});
  EXPECT_TRUE(found().empty());
  hold(9, "192.0.2.77/24");
  EXPECT_TRUE(found().empty()) << "an address that is nobody's vip";
}

TEST_F(VirtualMacsTest, OneThatIsDownIsNot) {
  tables_.links[9].up = false;
  EXPECT_TRUE(found().empty());
  tables_.links[9].up = true;
  tables_.links[1].up = false;
  EXPECT_TRUE(found().empty());
}

TEST_F(VirtualMacsTest, ItStandsOnAPortOrAVlanOfOne) {
  tables_.links[5] = {5, "lan.7", {}, 1500, true, true, 1, kTag};
  tables_.links[9].parent = 5;
  EXPECT_EQ(found(), ours_);
  tables_.links[5] = {5, "other", {}, 1500, true, true, 0, {}};
  EXPECT_TRUE(found().empty());
  tables_.links.erase(5);
  EXPECT_TRUE(found().empty());
}

TEST_F(VirtualMacsTest, AVlanInterfaceIsNoMacvlan) {
  tables_.links[9].vlan = kTag;
  EXPECT_TRUE(found().empty());
}

}  // namespace
}  // namespace sluice::dp
