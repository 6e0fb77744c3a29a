#include "tools/sluice/show_vrrp.h"

#include <gmock/gmock.h>
#include <string>

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using config::VrrpInstanceReport;
using config::VrrpReport;
using config::VrrpState;
using testing::HasSubstr;
using testing::Not;

VrrpInstanceReport instance(const std::string& name, VrrpState state) {
  VrrpInstanceReport report;
  report.name = name;
  report.interface = "lan";
  report.virtual_router_id = 61;
  report.state = state;
  report.state_ms = 200'000;
  report.priority = report.effective_priority = 100;
  report.addresses = {"192.0.2.10/24 dev lan", "192.0.2.11/32 dev lan"};
  return report;
}

VrrpReport of(std::vector<VrrpInstanceReport> instances) {
  VrrpReport report;
  report.instances = std::move(instances);
  report.realtime = report.memory_locked = true;
  return report;
}

TEST(ShowVrrp, TellsWhoHasTheAddressesAndWhy) {
  VrrpInstanceReport here = instance("VI_1", VrrpState::master);
  here.reason = "no advert for 3.648 s";
  here.adverts_sent = 1'234;
  VrrpInstanceReport there = instance("VI_2", VrrpState::backup);
  there.master = "192.0.2.2";
  there.yielded = true;
  there.adverts_received = 7;
  here.timer_late_max_us = 80;
  there.timer_late_max_us = 12'345;
  EXPECT_EQ(vrrp_text(of({here, there})),
            "INSTANCE  INTERFACE  VRID  STATE             FOR  PRIORITY  MASTER     ADDRESSES   SENT  "
            "RECEIVED  LATE  "
            "REASON\n"
            "VI_1      lan          61  MASTER          3m20s       100  this host          2  1,234         "
            "0  80us  "
            "no advert for 3.648 s\n"
            "VI_2      lan          61  BACKUP yielded  3m20s       100  192.0.2.2          2      0         "
            "7  12ms  "
            "-\n");
}

TEST(ShowVrrp, TellsWhatStandsInTheWay) {
  VrrpInstanceReport fault = instance("VI_1", VrrpState::fault);
  fault.effective_priority = 80;
  fault.troubles = {{"link", "interface lan is down", 0}, {"script", "script \"chk\" exits with 1", -20}};
  fault.refusals = {{"ttl", "The advert has crossed a router.", 13}, {"auth", "Unused.", 0}};
  fault.send_errors = 2;
  fault.announce_errors = 4;
  fault.addresses_repaired = 3;
  fault.addresses_missing = fault.addresses;
  const std::string text = vrrp_text(of({fault}));
  EXPECT_THAT(text, HasSubstr("80/100"));
  EXPECT_THAT(text, HasSubstr("VI_1: interface lan is down\n"
                              "VI_1: priority -20: script \"chk\" exits with 1\n"
                              "VI_1: addresses were taken away by others and put back 3 times\n"
                              "VI_1: 2 adverts could not be sent\n"
                              "VI_1: 4 announcements of addresses could not be sent\n"
                              "VI_1: 13 adverts were refused (ttl): The advert has crossed a router.\n"));
  EXPECT_THAT(text, Not(HasSubstr("Unused")));
  EXPECT_THAT(text, Not(HasSubstr("is not on the interface"))) << "only a master is to have them";
}

TEST(ShowVrrp, TellsOfAMasterWithoutItsAddresses) {
  VrrpInstanceReport master = instance("VI_1", VrrpState::master);
  master.addresses_missing = {"192.0.2.11/32 dev lan"};
  const std::string text = vrrp_text(of({master}));
  EXPECT_THAT(text, HasSubstr("1/2"));
  EXPECT_THAT(text, HasSubstr("VI_1: 192.0.2.11/32 dev lan is not on the interface\n"));
}

TEST(ShowVrrp, TellsWhatMakesAdvertsLate) {
  VrrpReport report = of({instance("VI_1", VrrpState::init)});
  report.realtime = report.memory_locked = false;
  report.unknown_vrid = 5;
  const std::string text = vrrp_text(report);
  EXPECT_THAT(text, HasSubstr("5 adverts were of virtual routers that are not configured here.\n"));
  EXPECT_THAT(text, HasSubstr("Timers run without real-time priority"));
  EXPECT_THAT(text, HasSubstr("Memory is not locked"));
}

TEST(ShowVrrp, NothingConfiguredIsSaid) {
  EXPECT_EQ(vrrp_text({}), "No VRRP instances are configured.\n");
}

}  // namespace
}  // namespace sluice::cli
