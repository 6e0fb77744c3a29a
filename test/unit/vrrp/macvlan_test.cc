// The interface with the virtual router's own MAC address.
#include "vrrp/kernel/macvlan.h"

#include <map>
#include <sched.h>

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
    auto outcome = ensure_macvlan(*interfaces_, instance, parent, configured_[instance.vmac_interface]);
    interfaces_->drain();
    return outcome;
  }
  static void sysctl(const std::string& path, const std::string& value) {
    run("test \"$(cat /proc/sys/net/" + path + ")\" = " + value);
  }
  /// Adverts that another router sends with the virtual router's MAC address are heard on the parent.
  void expect_to_hear(base::Family family, const std::string& when) {
    const auto listener = open_listener(link("lan"), family);
    ASSERT_TRUE(listener) << listener.error().message;
    const test::FrameEnd far("far");
    const auto source = test::ip(family == base::Family::v4 ? "192.0.2.2" : "fe80::2");
    far.send(test::advert_frame(vmac_of(with_vmac(family)), source));
    EXPECT_TRUE(test::readable(listener->get())) << "deaf " << when;
  }

  std::map<std::string, std::uint32_t> configured_;
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

TEST_F(MacvlanTest, AdvertsWithItsMacAddressReachTheParentWhateverTheReversePathFilter) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add fe80::1/64 dev lan nodad");
  ASSERT_TRUE(ensure(with_vmac()));
  ASSERT_TRUE(ensure(with_vmac(base::Family::v6)));
  expect_to_hear(base::Family::v6, "with IPv6");
  for (const std::string filter : {"0", "1", "2"}) {
    run("echo " + filter + " > /proc/sys/net/ipv4/conf/all/rp_filter");
    expect_to_hear(base::Family::v4, "with rp_filter " + filter);
    EXPECT_EQ(drops_what_comes_back_elsewhere("vrrp.61"), filter == "1");
  }
}

TEST_F(MacvlanTest, OneThatAnotherProgramHasMadeIsSetUpTheSame) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip link add vrrp.61 link lan address 00:00:5e:00:01:3d type macvlan mode private");
  run("ip link set vrrp.61 up");
  interfaces_->drain();
  const auto outcome = ensure(with_vmac());
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(*outcome);
  expect_to_hear(base::Family::v4, "in private mode");
  sysctl("ipv4/conf/vrrp.61/arp_ignore", "1");
}

/// A switch that saw the MAC address at a backup's port would send it the master's traffic.
TEST_F(MacvlanTest, SaysNothingByItselfNotEvenOnARouter) {
  run("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  run("echo 1 > /proc/sys/net/ipv6/conf/default/forwarding");
  const test::FrameEnd far("far");
  for (const auto family : {base::Family::v4, base::Family::v6}) {
    ASSERT_TRUE(ensure(with_vmac(family)));
    const auto listener = open_listener(link("lan"), family);
    ASSERT_TRUE(listener) << listener.error().message;
    // The kernel reports each membership twice within two seconds.
    int reports = 0;
    EXPECT_TRUE(until([&] {
      for (auto frame = far.next(); !frame.empty(); frame = far.next()) {
        reports += test::FrameEnd::is_report(frame, family) ? 1 : 0;
        EXPECT_FALSE(test::FrameEnd::is_from(frame, vmac_of(with_vmac(family))))
            << testing::PrintToString(frame);
      }
      return reports >= 2;
    })) << reports;
  }
}

TEST_F(MacvlanTest, TakesNothingOfWhatRoutersAdvertise) {
  ASSERT_TRUE(ensure(with_vmac()));
  sysctl("ipv6/conf/vrrp.61/disable_ipv6", "1");
  ASSERT_TRUE(ensure(with_vmac(base::Family::v6)));
  for (const std::string off : {"disable_ipv6", "accept_ra", "autoconf", "router_solicitations"})
    sysctl("ipv6/conf/vrrp6.61/" + off, "0");
  config::VrrpInstance both = with_vmac();
  both.addresses_excluded = {{*base::Prefix::parse("2001:db8::10/64"), "vrrp.61"}};
  configured_.clear();
  ASSERT_TRUE(ensure(both));
  sysctl("ipv6/conf/vrrp.61/disable_ipv6", "0");
}

TEST_F(MacvlanTest, HasIPv6AgainWhenItsParentHas) {
  ASSERT_TRUE(ensure(with_vmac(base::Family::v6)));
  run("ip link set lan mtu 1200");
  interfaces_->drain();
  ASSERT_TRUE(ensure(with_vmac(base::Family::v6)));
  run("ip link set lan mtu 1500");
  interfaces_->drain();
  ASSERT_TRUE(ensure(with_vmac(base::Family::v6)));
  EXPECT_EQ(link("vrrp6.61").mtu, 1500U);
  EXPECT_TRUE(interfaces_->addresses(link("vrrp6.61").index).empty());
  sysctl("ipv6/conf/vrrp6.61/accept_ra", "0");
}

TEST_F(MacvlanTest, IsNotReadyBeforeItsSettingsAreMade) {
  // For this thread alone, and the rest of this process.
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  run("mount --make-rprivate / && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys");
  EXPECT_FALSE(ensure(with_vmac()));
  const auto again = ensure(with_vmac());
  run("umount /proc/sys");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message, "/proc/sys/net/ipv4/conf/vrrp.61/arp_ignore: Read-only file system");
  ASSERT_TRUE(ensure(with_vmac()));
  sysctl("ipv4/conf/vrrp.61/arp_ignore", "1");
  EXPECT_TRUE(link("vrrp.61").up);
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
