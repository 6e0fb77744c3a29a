#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/diff.h"
#include "test/unit/config/wrong.h"

namespace sluice::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

Config config_of(const std::string& text) {
  EXPECT_THAT(told(text), IsEmpty());
  return parse_config(text, NamedFiles::trusted).config;
}

VrrpInstance instance_of(const std::string& more, const std::string& addresses = R"("192.0.2.10/24")") {
  return config_of(vrrp(instance(more, "VI_1", addresses))).vrrp.at(0);
}

base::IpAddress ip(const char* text) {
  return *base::IpAddress::parse(text);
}

std::vector<std::string> texts(const std::vector<VrrpAddress>& addresses) {
  std::vector<std::string> all;
  for (const VrrpAddress& address : addresses) all.push_back(address.to_string());
  return all;
}

std::vector<std::string> texts(const std::vector<Change>& changes) {
  std::vector<std::string> all;
  for (const Change& change : changes) all.push_back(to_string(change));
  return all;
}

TEST(Vrrp, DefaultsAreTheModels) {
  EXPECT_THAT(config_of(vrrp("")).vrrp, IsEmpty());
  VrrpInstance blank;
  blank.name = "VI_1";
  blank.interface = "lan";
  blank.virtual_router_id = 61;
  blank.addresses = {{*base::Prefix::parse("192.0.2.10/24"), "lan"}};
  EXPECT_EQ(instance_of(""), blank);
}

constexpr const char* kAll =
    R"(,"state":"MASTER","version":3,"priority":200,"advert_int":"250ms","down_timer_adverts":5,)"
    R"("addresses_excluded":["2001:db8::1","192.0.2.99/24 dev wan"],"startup_delay":"8s",)"
    R"("unicast_src_ip":"192.0.2.1","unicast_peer":["192.0.2.2","192.0.2.3"],"check_unicast_src":true,)"
    R"("v3_checksum_as_v2":true,"lower_prio_no_advert":true,"higher_prio_send_advert":true,)"
    R"("use_vmac":"vm0","vmac_xmit_base":true,)"
    R"("garp_master_repeat":1,"garp_master_delay":"0s","garp_master_refresh":"3s",)"
    R"("garp_master_refresh_repeat":4,"garp_lower_prio_repeat":0,"garp_lower_prio_delay":"6s",)"
    R"("garp_interval":"7ms","track_dataplane":{"weight":-1,"timeout":"2s"},)"
    R"("track_interface":["wan",{"interface":"bond0","weight":253}],)"
    R"("track_script":[{"name":"chk","script":["/bin/chk","-a","b c"],"interval":"9s","timeout":"4s",)"
    R"("rise":2,"fall":3,"weight":-253,"init_fail":true},{"name":"two","script":"/bin/two"}],)"
    R"("track_service":[{"service":"web","min_usable":2,"weight":10},{"service":"b"}],)"
    R"("notify":"/n","notify_master":["/m","x"],"notify_backup":"/b","notify_fault":"/f",)"
    R"("notify_stop":"/s","notify_master_rx_lower_pri":"/l")";
const std::string kServices =
    service("", R"({"name":"a","address":"192.0.2.21"},{"name":"b","address":"192.0.2.22"})") +
    R"(,{"name":"b","vip":"192.0.2.9","port":80,"servers":[{"name":"a","address":"192.0.2.21"}]})";

TEST(Vrrp, EveryKeyIsRead) {
  const VrrpInstance all = config_of(vrrp(instance(kAll), kServices)).vrrp.at(0);
  EXPECT_EQ(all.start, VrrpStart::master);
  EXPECT_EQ(all.version, VrrpVersion::v3);
  EXPECT_EQ(all.priority, 200);
  EXPECT_EQ(all.advert_int, 250ms);
  EXPECT_EQ(all.down_timer_adverts, 5);
  EXPECT_THAT(texts(all.addresses), ElementsAre("192.0.2.10/24 dev vm0"));
  EXPECT_THAT(texts(all.addresses_excluded), ElementsAre("2001:db8::1/128 dev vm0", "192.0.2.99/24 dev wan"));
  EXPECT_TRUE(all.preempt);
  EXPECT_EQ(all.startup_delay, 8s);
  EXPECT_EQ(all.source, ip("192.0.2.1"));
  EXPECT_THAT(all.unicast_peer, ElementsAre(ip("192.0.2.2"), ip("192.0.2.3")));
  EXPECT_TRUE(all.check_unicast_src && all.v3_checksum_as_v2 && all.lower_prio_no_advert);
  EXPECT_TRUE(all.higher_prio_send_advert && all.use_vmac && all.vmac_xmit_base);
  EXPECT_EQ(all.vmac_interface, "vm0");
  const VrrpAnnounce announce{1, 0ms, 3s, 4, 0, 6s, 7ms};
  EXPECT_EQ(all.announce, announce);
  EXPECT_EQ(all.track_dataplane, (VrrpTrackDataplane{true, -1, 2s}));
  EXPECT_THAT(all.track_interface,
              ElementsAre(VrrpTrackInterface{"wan", 0}, VrrpTrackInterface{"bond0", 253}));
  EXPECT_THAT(all.track_script,
              ElementsAre(VrrpTrackScript{"chk", {"/bin/chk", "-a", "b c"}, 9s, 4s, 2, 3, -253, true},
                          VrrpTrackScript{"two", {"/bin/two"}, 1s, std::nullopt, 1, 1, 0, false}));
  EXPECT_THAT(all.track_service, ElementsAre(VrrpTrackService{"web", 2, 10}, VrrpTrackService{"b", 1, 0}));
  VrrpNotify notify;
  notify.any = {"/n"};
  notify.master = {"/m", "x"};
  notify.backup = {"/b"};
  notify.fault = {"/f"};
  notify.stop = {"/s"};
  notify.master_rx_lower_pri = {"/l"};
  EXPECT_EQ(all.notify, notify);
}

TEST(Vrrp, KeysThatDoNotGoTogetherAreReadToo) {
  const VrrpInstance two = instance_of(
      R"(,"auth_pass":"12345678","nopreempt":true,"mcast_src_ip":"192.0.2.1","advert_int":"255s")");
  EXPECT_EQ(two.auth_pass, "12345678");
  EXPECT_FALSE(two.preempt);
  EXPECT_EQ(two.source, ip("192.0.2.1"));
  EXPECT_EQ(two.advert_int, 255s);
  EXPECT_EQ(instance_of(R"(,"preempt_delay":"1000s")").preempt_delay, 1000s);
  EXPECT_FALSE(instance_of(R"(,"track_dataplane":false)").track_dataplane.enabled);
  EXPECT_TRUE(instance_of(R"(,"track_dataplane":true)").track_dataplane.enabled);
  EXPECT_FALSE(instance_of(R"(,"use_vmac":false)").use_vmac);
  EXPECT_EQ(instance_of(R"(,"version":3,"advert_int":"10ms")").advert_int, 10ms);
  EXPECT_EQ(instance_of(R"(,"version":3,"advert_int":"40950ms")").advert_int, 40'950ms);
}

TEST(Vrrp, MasterWithoutPriorityIsTheOwnerAsInKeepalived) {
  EXPECT_EQ(instance_of(R"(,"state":"MASTER")").priority, 255);
  EXPECT_EQ(instance_of(R"(,"state":"BACKUP")").priority, 100);
}

TEST(Vrrp, FamilyAndVersionFollowTheAddresses) {
  const VrrpInstance six = instance_of("", R"("fe80::10/64","2001:db8::10/64 dev wan")");
  EXPECT_EQ(six.family, base::Family::v6);
  EXPECT_EQ(six.version, VrrpVersion::v3);
  EXPECT_THAT(texts(six.addresses), ElementsAre("fe80::10/64 dev lan", "2001:db8::10/64 dev wan"));
  EXPECT_EQ(instance_of("").version, VrrpVersion::v2);
  EXPECT_EQ(instance_of(R"(,"unicast_peer":["fe80::2"],"unicast_src_ip":"fe80::1")", R"("fe80::10")").source,
            ip("fe80::1"))
      << "peers are link-local as a rule";
}

TEST(Vrrp, AddressesWithoutLengthStandAlone) {
  EXPECT_EQ(instance_of("", R"("192.0.2.10")").addresses.at(0).prefix.length, 32);
  EXPECT_EQ(instance_of("", R"("2001:db8::10")").addresses.at(0).prefix.length, 128);
  EXPECT_EQ(instance_of("", R"("192.0.2.10/31","192.0.2.11/31")").addresses.size(), 2U);
}

TEST(Vrrp, VirtualMacInterfaceIsNamedAfterTheRouter) {
  EXPECT_EQ(instance_of(R"(,"use_vmac":true)").vmac_interface, "vrrp.61");
  EXPECT_EQ(instance_of(R"(,"use_vmac":true)").addresses.at(0).interface, "vrrp.61");
  EXPECT_EQ(instance_of(R"(,"use_vmac":true)", R"("fe80::1")").vmac_interface, "vrrp6.61");
}

TEST(Vrrp, UnicastAdvertsAreSentFromTheInterfacesOwnMacAddress) {
  EXPECT_FALSE(instance_of(R"(,"use_vmac":true)").vmac_xmit_base);
  EXPECT_TRUE(instance_of(R"(,"use_vmac":true,"unicast_peer":["192.0.2.3"])").vmac_xmit_base);
  EXPECT_FALSE(instance_of(R"(,"unicast_peer":["192.0.2.3"])").vmac_xmit_base);
}

TEST(Vrrp, OneRouterIdServesTwoFamiliesAndTwoInterfaces) {
  const Config config = config_of(vrrp(
      instance("") + "," + instance("", "VI_2", R"("fe80::1","2001:db8::1")") + "," +
      R"({"name":"VI_3","interface":"wan","virtual_router_id":61,"addresses":["198.51.100.1","192.0.2.77"]},)" +
      R"({"name":"VI_4","interface":"wan","virtual_router_id":61,"addresses":["fe80::1"]})"));
  EXPECT_EQ(config.vrrp.size(), 4U) << "and a link-local address is another one on each interface";
}

TEST(Vrrp, OwnerMayNameItsOwnAddressAsTheSource) {
  EXPECT_EQ(instance_of(R"(,"priority":255,"mcast_src_ip":"192.0.2.10")").source, ip("192.0.2.10"));
}

TEST(Vrrp, MostAddressesFillAnAdvert) {
  const auto addresses = [](unsigned count) {
    std::string list;
    for (unsigned i = 0; i < count; ++i) {
      list += (i == 0 ? "\"10.0." : ",\"10.0.") + std::to_string(i / 200) + "." +
              std::to_string(i % 200 + 1) + "\"";
    }
    return list;
  };
  EXPECT_EQ(instance_of("", addresses(255)).addresses.size(), 255U);
  EXPECT_THAT(
      told(vrrp(instance("", "VI_1", addresses(256)))),
      ElementsAre(R"(f:2:77: vrrp instance "VI_1": addresses: holds 256 addresses, but an advert has room )"
                  R"(for 255: move some to addresses_excluded)"));
}

TEST(Vrrp, MostIpv6AddressesFillAPacket) {
  const auto addresses = [](unsigned count) {
    std::string list = "\"fe80::1\"";
    for (unsigned i = 1; i < count; ++i) list += ",\"2001:db8::" + std::to_string(i) + "\"";
    return list;
  };
  EXPECT_EQ(instance_of("", addresses(90)).addresses.size(), 90U);
  EXPECT_THAT(told(vrrp(instance("", "VI_1", addresses(91)))),
              ElementsAre(R"(f:2:77: vrrp instance "VI_1": addresses: holds 91 addresses, but an advert )"
                          R"(of 1500 bytes has room for 90: move some to addresses_excluded)"));
}

TEST(Vrrp, LocalAddressesMoveWithTheVip) {
  const std::string web = service(R"(,"local_addresses":["192.0.2.5","192.0.2.6","192.0.2.10"])");
  const auto excluded = [&](const std::string& more) {
    return texts(config_of(vrrp(instance(more), web)).vrrp.at(0).addresses_excluded);
  };
  EXPECT_THAT(excluded(""), ElementsAre("192.0.2.5/32 dev lan", "192.0.2.6/32 dev lan"));
  EXPECT_THAT(excluded(R"(,"use_vmac":true)"),
              ElementsAre("192.0.2.5/32 dev vrrp.61", "192.0.2.6/32 dev vrrp.61"));
  EXPECT_THAT(excluded(R"(,"addresses_excluded":["192.0.2.6/24 dev wan"])"),
              ElementsAre("192.0.2.6/24 dev wan", "192.0.2.5/32 dev lan"))
      << "who names one decides on it";
}

TEST(Vrrp, VipInAddressesExcludedCarriesItsLocalAddresses) {
  const Config config =
      config_of(vrrp(instance(R"(,"addresses_excluded":["2001:db8::10/64"])"),
                     R"({"name":"six","vip":"2001:db8::10","port":80,"local_addresses":["2001:db8::5"]})"));
  EXPECT_THAT(texts(config.vrrp.at(0).addresses_excluded),
              ElementsAre("2001:db8::10/64 dev lan", "2001:db8::5/128 dev lan"));
}

TEST(Vrrp, LocalAddressesOfOtherVipsStay) {
  const Config config = config_of(
      vrrp(instance(""), R"({"name":"other","vip":"192.0.2.11","port":80,"local_addresses":["192.0.2.5"]})"));
  EXPECT_THAT(config.vrrp.at(0).addresses_excluded, IsEmpty());
}

TEST(Vrrp, MembersOfOneGroupShareLocalAddresses) {
  const std::string grouped = R"(,"sync_group":"G")";
  const Config config =
      config_of(vrrp(instance(grouped) + "," + instance(grouped, "VI_2", R"("192.0.2.11")", 62),
                     service(R"(,"local_addresses":["192.0.2.5","192.0.2.11"])") +
                         R"(,{"name":"b","vip":"192.0.2.11","port":81,"local_addresses":["192.0.2.5"]})"));
  EXPECT_THAT(texts(config.vrrp.at(0).addresses_excluded), ElementsAre("192.0.2.5/32 dev lan"));
  EXPECT_THAT(config.vrrp.at(1).addresses_excluded, IsEmpty());
}

TEST(Vrrp, ProgramsAreLookedAtWhenAsked) {
  const std::string text =
      vrrp(instance(R"(,"notify":"/bin/true","track_script":[{"name":"a","script":"/does/not/exist"},)"
                    R"({"name":"b","script":["/bin/sh","-c","true"]}],"notify_master":"/etc/passwd")"));
  EXPECT_THAT(told(text), IsEmpty());
  const Parsed parsed = parse_config(text, NamedFiles::checked);
  std::vector<std::string> found;
  for (const Diagnostic& diagnostic : parsed.diagnostics) found.push_back(diagnostic.text);
  EXPECT_THAT(found, ElementsAre(R"(track_script[0].script: "/does/not/exist": No such file or directory)",
                                 testing::StartsWith(R"(notify_master: "/etc/passwd": is not executable)")));
}

TEST(Vrrp, DiffNamesEveryKeyThatChanged) {
  const Config from = config_of(vrrp(instance(""), kServices));
  const Config to = config_of(vrrp(instance(kAll), kServices));
  EXPECT_THAT(
      texts(diff(from, to)),
      ElementsAre(
          R"(vrrp instance "VI_1" changed: state BACKUP -> MASTER, version 2 -> 3, priority 100 -> 200, )"
          R"(advert_int 1s -> 250ms, down_timer_adverts 3 -> 5, )"
          R"(addresses [192.0.2.10/24 dev lan] -> [192.0.2.10/24 dev vm0], )"
          R"(addresses_excluded [] -> [2001:db8::1/128 dev vm0, 192.0.2.99/24 dev wan], )"
          R"(startup_delay 0ms -> 8s, unicast_src_ip default -> 192.0.2.1, )"
          R"(unicast_peer [] -> [192.0.2.2, 192.0.2.3], check_unicast_src false -> true, )"
          R"(v3_checksum_as_v2 false -> true, lower_prio_no_advert false -> true, )"
          R"(higher_prio_send_advert false -> true, use_vmac "" -> "vm0", vmac_xmit_base false -> true, )"
          R"(garp_master_repeat 5 -> 1, garp_master_delay 5s -> 0ms, garp_master_refresh 0ms -> 3s, )"
          R"(garp_master_refresh_repeat 1 -> 4, garp_lower_prio_repeat default -> 0, )"
          R"(garp_lower_prio_delay default -> 6s, garp_interval 0ms -> 7ms, )"
          R"(track_dataplane timeout 3s -> timeout 2s weight -1, )"
          R"(track_interface [] -> [wan, bond0 weight 253], )"
          R"(track_script [] -> [chk ["/bin/chk", "-a", "b c"] interval 9s timeout 4s rise 2 fall 3 init_fail )"
          R"(weight -253, two ["/bin/two"] interval 1s timeout default rise 1 fall 1], )"
          R"(track_service [] -> [web min_usable 2 weight 10, b min_usable 1], notify [] -> ["/n"], )"
          R"(notify_master [] -> ["/m", "x"], notify_backup [] -> ["/b"], notify_fault [] -> ["/f"], )"
          R"(notify_stop [] -> ["/s"], notify_master_rx_lower_pri [] -> ["/l"])"));
  EXPECT_THAT(diff(to, to), IsEmpty());
  EXPECT_FALSE(needs_restart(from, to)) << "VRRP changes while dp runs on";
}

TEST(Vrrp, DiffTellsComingAndGoingButNoPasswords) {
  const Config from = config_of(vrrp(instance(R"(,"auth_pass":"old")") + "," +
                                     instance("", "gone", R"("192.0.2.11","192.0.2.12")", 62)));
  const Config to =
      config_of(vrrp(instance(R"(,"auth_pass":"new","nopreempt":true,"track_dataplane":false)") + "," +
                     instance("", "came", R"("192.0.2.11")", 63)));
  EXPECT_THAT(
      texts(diff(from, to)),
      ElementsAre(R"(vrrp instance "VI_1" changed: another auth_pass, nopreempt false -> true, )"
                  R"(track_dataplane timeout 3s -> false)",
                  R"(vrrp instance "came" added: virtual router 63 on lan, priority 100, 1 address)",
                  R"(vrrp instance "gone" removed: virtual router 62 on lan, priority 100, 2 addresses)"));
}

}  // namespace
}  // namespace sluice::config
