// The interface with the virtual router's own MAC address.
#include "vrrp/kernel/macvlan.h"

#include "test/unit/vrrp/kernel_fixture.h"

namespace sluice::vrrp {
namespace {

config::VrrpInstance with_vmac(base::Family family = base::Family::v4) {
  config::VrrpInstance out;
  out.name = "A";
  out.interface = "lan";
  out.family = family;
  out.virtual_router_id = 61;
  out.use_vmac = true;
  out.vmac_interface = family == base::Family::v4 ? "vrrp.61" : "vrrp6.61";
  return out;
}

TEST(Macvlan, HasTheMacAddressOfTheVirtualRouter) {
  EXPECT_EQ(vmac_of(with_vmac()).to_string(), "00:00:5e:00:01:3d");
  EXPECT_EQ(vmac_of(with_vmac(base::Family::v6)).to_string(), "00:00:5e:00:02:3d");
}

TEST(Macvlan, TakesTheAddressesOfTheInstancesInterfaceAndNoOthers) {
  const config::VrrpAddress own{*base::Prefix::parse("192.0.2.10/24"), "lan"};
  const config::VrrpAddress other{*base::Prefix::parse("198.51.100.10/24"), "wan"};
  config::VrrpInstance instance = with_vmac();
  const auto placed = placed_addresses(instance, {own, other});
  ASSERT_EQ(placed.size(), 2U);
  EXPECT_EQ(placed[0].to_string(), "192.0.2.10/24 dev vrrp.61");
  EXPECT_EQ(placed[1], other);
  instance.use_vmac = false;
  EXPECT_EQ(placed_addresses(instance, {own, other}), (std::vector{own, other}));
}

class MacvlanTest : public test::InterfacesFixture {
 protected:
  base::Result<bool> ensure(const config::VrrpInstance& instance) {
    const Interface parent = link("lan");
    auto outcome = ensure_macvlan(*interfaces_, instance, parent);
    interfaces_->drain();
    return outcome;
  }
  static void sysctl(const std::string& path, const std::string& value) {
    run("test \"$(cat /proc/sys/net/" + path + ")\" = " + value);
  }
};

TEST_F(MacvlanTest, IsMadeOnceUpAndOnItsParent) {
  const auto made = ensure(with_vmac());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(*made);
  const Interface macvlan = link("vrrp.61");
  EXPECT_EQ(macvlan.kind, "macvlan");
  EXPECT_EQ(macvlan.mac, vmac_of(with_vmac()));
  EXPECT_EQ(macvlan.parent, link("lan").index);
  EXPECT_TRUE(macvlan.up);
  EXPECT_TRUE(interfaces_->addresses(macvlan.index).empty()) << "a link-local address of all hosts";
  const auto again = ensure(with_vmac());
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
  EXPECT_EQ(link("vrrp.61").index, macvlan.index);
}

TEST_F(MacvlanTest, BothInterfacesAnswerForTheirOwnAddressesAlone) {
  ASSERT_TRUE(ensure(with_vmac()));
  sysctl("ipv4/conf/vrrp.61/arp_ignore", "1");
  sysctl("ipv4/conf/vrrp.61/accept_local", "1");
  sysctl("ipv4/conf/vrrp.61/rp_filter", "0");
  sysctl("ipv4/conf/lan/arp_ignore", "1");
  sysctl("ipv4/conf/lan/arp_filter", "1");
}

TEST_F(MacvlanTest, TwoFamiliesOfOneRouterHaveOneEach) {
  ASSERT_TRUE(ensure(with_vmac()));
  const auto second = ensure(with_vmac(base::Family::v6));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(*second);
  EXPECT_TRUE(link("vrrp.61").up);
  EXPECT_TRUE(link("vrrp6.61").up);
}

TEST_F(MacvlanTest, IsBroughtUpAgain) {
  ASSERT_TRUE(ensure(with_vmac()));
  run("ip link set vrrp.61 down");
  const auto again = ensure(with_vmac());
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
  EXPECT_TRUE(link("vrrp.61").up);
}

TEST_F(MacvlanTest, IsMadeAnewOnAParentThatWasMadeAnew) {
  ASSERT_TRUE(ensure(with_vmac()));
  run("ip link delete lan");
  interfaces_->drain();
  EXPECT_EQ(interfaces_->by_name("vrrp.61"), nullptr);
  add_pair("lan", "far");
  const auto again = ensure(with_vmac());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(*again);
  EXPECT_EQ(link("vrrp.61").parent, link("lan").index);
}

TEST_F(MacvlanTest, OneOfAnotherConfigurationIsReplaced) {
  add_pair("wan", "wan-far");
  run("ip link add vrrp.61 link wan address 00:00:5e:00:01:07 type macvlan mode private");
  interfaces_->drain();
  const auto made = ensure(with_vmac());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(*made);
  EXPECT_EQ(link("vrrp.61").mac, vmac_of(with_vmac()));
  EXPECT_EQ(link("vrrp.61").parent, link("lan").index);
}

TEST_F(MacvlanTest, LeavesAnInterfaceOfThatNameAloneThatIsNone) {
  add_pair("vrrp.61", "other");
  interfaces_->drain();
  const auto made = ensure(with_vmac());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::ErrorCode::exists);
  EXPECT_EQ(made.error().message, "interface vrrp.61: exists, and is none of ours; set vmac_interface");
  EXPECT_EQ(link("vrrp.61").kind, "veth");
}

}  // namespace
}  // namespace sluice::vrrp
