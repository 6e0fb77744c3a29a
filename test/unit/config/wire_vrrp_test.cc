#include "config/wire_vrrp.h"

#include <gmock/gmock.h>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

using testing::HasSubstr;
using testing::Not;

VrrpReport example_report() {
  VrrpInstanceReport instance;
  instance.name = "VI_1";
  instance.interface = "lan";
  instance.version = 3;
  instance.virtual_router_id = 61;
  instance.state = VrrpState::master;
  instance.reason = "no advert for 3.648 s";
  instance.state_ms = 1ULL << 40;
  instance.priority = 100;
  instance.effective_priority = 80;
  instance.yielded = true;
  instance.source = "192.0.2.1";
  instance.master = "192.0.2.2";
  instance.advert_ms = 1'000;
  instance.master_down_ms = 3'648;
  instance.addresses = {"192.0.2.10/24 dev lan", "192.0.2.11/32 dev lan"};
  instance.addresses_missing = {"192.0.2.11/32 dev lan"};
  instance.troubles = {{"script", "script \"chk\" exits with 1", -20}, {"link", "lan is down", 0}};
  instance.trouble_counts = {{"link", 2}, {"script", 14}};
  instance.peers = {{"192.0.2.2", 90, 1'000, 17, 250, "plain", true}};
  instance.adverts_sent = 1;
  instance.adverts_received = 2;
  instance.send_errors = 3;
  instance.became_master = 4;
  instance.became_backup = 5;
  instance.became_fault = 6;
  instance.priority_zero_sent = 7;
  instance.priority_zero_received = 8;
  instance.addresses_repaired = 9;
  instance.announcements = 10;
  instance.announce_errors = 14;
  instance.timer_late_us = 11;
  instance.timer_late_max_us = 12;
  instance.refusals = {{"ttl", "The advert has crossed a router.", 13}};
  VrrpReport report;
  report.version = "0.1.0";
  report.pid = 42;
  report.uptime_ms = 5'000;
  report.realtime = true;
  report.memory_locked = true;
  report.instances = {instance};
  report.unknown_vrid = 99;
  return report;
}

TEST(VrrpWire, ReportComesOutAsItWentIn) {
  const std::string line = encode_vrrp_report_reply(example_report());
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  const auto report = decode_vrrp_report_reply(line);
  ASSERT_TRUE(report) << report.error().message;
  // Text is compared: every member is in it.
  EXPECT_EQ(to_json(*report), to_json(example_report()));
  const VrrpInstanceReport& instance = report->instances.at(0);
  EXPECT_EQ(instance.state, VrrpState::master);
  EXPECT_EQ(instance.effective_priority, 80);
  EXPECT_EQ(instance.troubles.at(0).weight, -20);
  EXPECT_EQ(instance.peers.at(0).last_ms_ago, 250U);
  EXPECT_TRUE(instance.peers.at(0).other_addresses);
  EXPECT_EQ(instance.refusals.at(0).packets, 13U);
  EXPECT_EQ(report->unknown_vrid, 99U);
}

TEST(VrrpWire, ReportOfAnOtherVersionIsTaken) {
  const auto report = decode_vrrp_report_reply(
      R"({"ok":true,"report":{"later":1,"instances":[{"name":"VI_1","state":"BACKUP","later":[]}]}})");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->instances.at(0).state, VrrpState::backup);
  EXPECT_FALSE(decode_vrrp_report_reply(R"({"ok":true})"));
  EXPECT_FALSE(decode_vrrp_report_reply(R"({"ok":true,"report":{"instances":[{"name":"VI_1"}]}})"));
  EXPECT_EQ(decode_vrrp_report_reply(encode_error_reply("not now")).error().message, "not now");
}

TEST(VrrpWire, RequestsComeOutAsTheyWentIn) {
  const auto back = [](const VrrpRequest& request) {
    return *decode_vrrp_request(encode_vrrp_request(request));
  };
  EXPECT_EQ(std::get<YieldRequest>(back(YieldRequest{"VI_1"})).instance, "VI_1");
  EXPECT_EQ(std::get<ResumeRequest>(back(ResumeRequest{"VI_2"})).instance, "VI_2");
  EXPECT_TRUE(std::holds_alternative<ReportRequest>(back(ReportRequest{})));
  EXPECT_TRUE(std::holds_alternative<ReloadRequest>(back(ReloadRequest{})));
}

TEST(VrrpWire, BadRequestsAreRefusedWithAReason) {
  const auto error = [](std::string_view line) {
    const auto request = decode_vrrp_request(line);
    return request ? "taken" : request.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("not a JSON document"));
  EXPECT_THAT(error("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error("{}"), HasSubstr("no \"op\""));
  EXPECT_THAT(error(R"({"op":"stop"})"), HasSubstr("unknown op \"stop\" (known: \"report\", \"yield\""));
  EXPECT_THAT(error(R"({"op":"yield"})"), HasSubstr("yield: instance: is missing"));
  EXPECT_THAT(error(R"({"op":"resume","instance":5})"), HasSubstr("resume: instance: expected a string"));
}

TEST(VrrpWire, WeightsHaveBounds) {
  const auto with_weight = [](const char* weight) {
    return from_json<VrrpInstanceReport>(
        R"({"name":"a","state":"FAULT","troubles":[{"tracker":"link","weight":)" + std::string(weight) +
        "}]}");
  };
  EXPECT_EQ(with_weight("-32768")->troubles.at(0).weight, -32'768);
  EXPECT_EQ(with_weight("32767")->troubles.at(0).weight, 32'767);
  for (const char* weight : {"-32769", "32768", "1.5", "\"1\"", "1e30"}) {
    const auto report = with_weight(weight);
    ASSERT_FALSE(report) << weight;
    EXPECT_EQ(report.error().message, "troubles[0].weight: expected a whole number from -32768 to 32767");
  }
}

TEST(VrrpWire, MutatedLinesNeverCrash) {
  std::mt19937 random(112);
  const std::vector<std::string> lines{encode_vrrp_report_reply(example_report()),
                                       encode_vrrp_request(YieldRequest{"VI_1"})};
  for (int round = 0; round < 5'000; ++round) {
    std::string line = lines[random() % lines.size()];
    for (unsigned n = 1 + random() % 4; n > 0 && !line.empty(); --n) {
      const std::size_t place = random() % line.size();
      switch (random() % 3) {
        case 0: line[place] = static_cast<char>(random()); break;
        case 1: line.erase(place, random() % 16); break;
        default: line.insert(place, line.substr(random() % line.size(), random() % 16)); break;
      }
    }
    if (const auto request = decode_vrrp_request(line)) {
      EXPECT_TRUE(decode_vrrp_request(encode_vrrp_request(*request)));
    }
    if (const auto report = decode_vrrp_report_reply(line)) {
      EXPECT_TRUE(decode_vrrp_report_reply(encode_vrrp_report_reply(*report)));
    }
  }
}

}  // namespace
}  // namespace sluice::config
