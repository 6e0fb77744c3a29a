#include "cp/show.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <json/json.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

Json::Value tree_of(const std::string& text) {
  Json::Value value;
  std::string errors;
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  EXPECT_TRUE(reader->parse(text.data(), text.data() + text.size(), &value, &errors)) << errors;
  return value;
}

/// Service "web": a (checked), b (checked), z (weight 0). The data plane reports a, and one that drains.
class ShowTest : public testing::Test {
 protected:
  static config::Server server(const char* name, const char* endpoint, std::uint16_t weight) {
    config::Server server;
    server.name = name;
    server.endpoint = *base::Endpoint::parse(endpoint);
    server.weight = weight;
    server.check.type = weight > 0 ? config::CheckType::tcp : config::CheckType::none;
    return server;
  }
  static config::Config web() {
    config::Config config;
    config::Service& service = config.services.emplace_back();
    service.name = "web";
    service.vip = *base::Endpoint::parse("192.0.2.1:80");
    service.servers = {server("a", "10.0.0.1:80", 100), server("b", "10.0.0.2:80", 100),
                       server("z", "10.0.0.3:80", 0)};
    return config;
  }
  void SetUp() override {
    config::ServiceReport& service = report_.services.emplace_back();
    service.name = "web";
    service.counters.connections_new = 42;
    config::ServerReport& a = service.servers.emplace_back();
    a.name = "a";
    a.endpoint = *base::Endpoint::parse("10.0.0.1:80");
    a.weight = 100;
    a.next_hop = "02:00:00:00:00:01 via lan";
    a.counters.connections_current = 7;
    config::ServerReport& gone = service.servers.emplace_back();
    gone.name = "b";
    gone.endpoint = *base::Endpoint::parse("10.0.0.99:80");
    gone.draining = true;
  }

  void fail(std::size_t server, CheckStatus status, const char* info, TimePoint now) {
    controller_.record_check(controller_.servers(0)[server].id(), {status, info, 3ms, 0}, now);
  }

  TimePoint start_{};
  Controller controller_{web(), start_};
  config::DataplaneReport report_;
};

TEST_F(ShowTest, ServersMergeHealthAndCounters) {
  fail(0, CheckStatus::l4_refused, "Connection refused", start_ + 10s);
  const Json::Value servers = tree_of(servers_json(controller_, report_, {}, start_ + 15s));
  ASSERT_EQ(servers.size(), 4U);
  const Json::Value& a = servers[0];
  EXPECT_EQ(a["service"].asString(), "web");
  EXPECT_EQ(a["name"].asString(), "a");
  EXPECT_EQ(a["status"].asString(), "DOWN");
  EXPECT_EQ(a["configured_weight"].asUInt(), 100U);
  EXPECT_EQ(a["last_change_ms"].asUInt64(), 5000U);
  EXPECT_EQ(a["check"]["status"].asString(), "L4CON");
  EXPECT_EQ(a["check"]["info"].asString(), "Connection refused");
  EXPECT_EQ(a["check"]["age_ms"].asUInt64(), 5000U);
  EXPECT_EQ(a["counters"]["connections_current"].asUInt64(), 7U);
  EXPECT_EQ(a["next_hop"].asString(), "02:00:00:00:00:01 via lan");
}

TEST_F(ShowTest, ServerUnknownToTheDataPlaneHasZeroCounters) {
  const Json::Value servers = tree_of(servers_json(controller_, report_, {}, start_));
  EXPECT_EQ(servers[1]["endpoint"].asString(), "10.0.0.2:80");
  EXPECT_EQ(servers[1]["status"].asString(), "UP 1/3");
  EXPECT_EQ(servers[1]["check"]["status"].asString(), "INI");
  EXPECT_EQ(servers[1]["counters"]["connections_current"].asUInt64(), 0U);
}

TEST_F(ShowTest, WeightZeroIsNoStateAndDrainingIsRemoved) {
  const Json::Value servers = tree_of(servers_json(controller_, report_, {}, start_));
  EXPECT_EQ(servers[2]["status"].asString(), "no check");
  EXPECT_EQ(servers[2]["check"]["type"].asString(), "none");
  EXPECT_EQ(servers[3]["status"].asString(), "REMOVED");
  EXPECT_EQ(servers[3]["endpoint"].asString(), "10.0.0.99:80");
}

TEST_F(ShowTest, FilterNarrows) {
  config::FlowFilter filter;
  filter.server = "a";
  EXPECT_EQ(tree_of(servers_json(controller_, report_, filter, start_)).size(), 1U);
  filter.service = "other";
  EXPECT_EQ(tree_of(servers_json(controller_, report_, filter, start_)).size(), 0U);
  EXPECT_EQ(tree_of(services_json(controller_, report_, filter)).size(), 0U);
}

TEST_F(ShowTest, ServicesTellWhatTheirLimitsByClientRefused) {
  report_.services[0].clients = {.denied = 1, .over_rate = 2, .over_maxconn = 3, .untracked = 4};
  const Json::Value clients = tree_of(services_json(controller_, report_, {}))[0]["clients"];
  EXPECT_EQ(clients["denied"].asUInt64(), 1U);
  EXPECT_EQ(clients["over_rate"].asUInt64(), 2U);
  EXPECT_EQ(clients["over_maxconn"].asUInt64(), 3U);
  EXPECT_EQ(clients["untracked"].asUInt64(), 4U);
}

TEST_F(ShowTest, ServiceIsDegradedThenDown) {
  Json::Value service = tree_of(services_json(controller_, report_, {}))[0];
  EXPECT_EQ(service["status"].asString(), "UP");
  EXPECT_EQ(service["counters"]["connections_new"].asUInt64(), 42U);
  fail(0, CheckStatus::l4_timeout, "", start_);
  service = tree_of(services_json(controller_, report_, {}))[0];
  EXPECT_EQ(service["status"].asString(), "DEGRADED");
  EXPECT_EQ(service["servers_active"].asUInt(), 1U);
  EXPECT_EQ(service["servers_total"].asUInt(), 3U);
  fail(1, CheckStatus::l4_timeout, "", start_);
  EXPECT_EQ(tree_of(services_json(controller_, report_, {}))[0]["status"].asString(), "DOWN");
}

TEST_F(ShowTest, ServersTellWhatTheOperatorDidToThem) {
  config::ServerRequest request{"web", "a", config::ServerAction::weight, 50};
  ASSERT_TRUE(controller_.command(request, start_));
  request.action = config::ServerAction::maxconn;
  request.value = 7;
  ASSERT_TRUE(controller_.command(request, start_));
  request = {"web", "b", config::ServerAction::drain};
  ASSERT_TRUE(controller_.command(request, start_));
  const Json::Value servers = tree_of(servers_json(controller_, report_, {}, start_));
  EXPECT_EQ(servers[0]["weight"].asUInt(), 50U);
  EXPECT_EQ(servers[0]["user_weight"].asUInt(), 50U);
  EXPECT_EQ(servers[0]["configured_weight"].asUInt(), 100U);
  EXPECT_EQ(servers[0]["maxconn"].asUInt(), 7U);
  EXPECT_EQ(servers[0]["configured_maxconn"].asUInt(), 0U);
  EXPECT_EQ(servers[0]["admin"].asString(), "ready");
  EXPECT_EQ(servers[1]["admin"].asString(), "drain");
  EXPECT_FALSE(servers[1]["usable"].asBool());
}

TEST_F(ShowTest, AServerInMaintenanceIsNotMissed) {
  ASSERT_TRUE(controller_.command({"web", "a", config::ServerAction::maint}, start_));
  EXPECT_EQ(tree_of(services_json(controller_, report_, {}))[0]["status"].asString(), "UP");
}

TEST_F(ShowTest, HealthTellsTheCounterAndWhenTheNextCheckComes) {
  fail(0, CheckStatus::l4_refused, "Connection refused", start_ + 10s);
  const Json::Value servers = tree_of(health_json(controller_, {}, start_ + 11s));
  const Json::Value& check = servers[0]["check"];
  EXPECT_EQ(servers[0]["times_down"].asUInt64(), 1U);
  EXPECT_EQ(servers[0]["downtime_ms"].asUInt64(), 1000U);
  EXPECT_EQ(check["value"].asInt(), 0);
  EXPECT_EQ(check["rise"].asInt(), 2);
  EXPECT_EQ(check["fall"].asInt(), 3);
  EXPECT_EQ(check["delay_ms"].asUInt64(), 2000U);
  EXPECT_EQ(check["next_ms"].asUInt64(), 1000U);
  EXPECT_EQ(check["reason"].asString(), "Layer4 connection problem");
  EXPECT_FALSE(servers[2]["check"].isMember("value")) << "it has no check";
}

TEST_F(ShowTest, WhatAServerSentIsShownNotObeyed) {
  fail(0, CheckStatus::l7_invalid, "\x1b[2J\xff\"", start_);
  const std::string text = servers_json(controller_, report_, {}, start_);
  EXPECT_EQ(tree_of(text)[0]["check"]["info"].asString(), "<1B>[2J<FF><22>");
}

TEST_F(ShowTest, QueueTellsOfServicesAndTheirServers) {
  report_.services[0].queue = {.waiting = 3, .oldest_ms = 250, .entered = 10, .timed_out = 1};
  report_.services[0].servers[0].queue.waiting = 2;
  report_.services[0].servers[0].maxconn = 5;
  const Json::Value queue = tree_of(queue_json(controller_, report_, {}));
  ASSERT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue[0]["queue"]["waiting"].asUInt64(), 3U);
  EXPECT_EQ(queue[0]["queue"]["oldest_ms"].asUInt64(), 250U);
  EXPECT_EQ(queue[0]["timeout_ms"].asUInt64(), 5000U)
      << "timeouts.connect, where timeouts.queue is not given";
  ASSERT_EQ(queue[0]["servers"].size(), 3U);
  EXPECT_EQ(queue[0]["servers"][0]["queue"]["waiting"].asUInt64(), 2U);
  EXPECT_EQ(queue[0]["servers"][0]["maxconn"].asUInt(), 5U);
  EXPECT_EQ(queue[0]["servers"][0]["connections_current"].asUInt64(), 7U);
}

TEST_F(ShowTest, RepliesAreJsonWithoutAKeyTwice) {
  const auto now = start_ + 1s;
  for (const std::string& text :
       {services_json(controller_, report_, {}), servers_json(controller_, report_, {}, now),
        health_json(controller_, {}, now), queue_json(controller_, report_, {}),
        names_json(controller_.config()), info_json(controller_, {}, &report_),
        metrics_json(controller_, {}, &report_, now)}) {
    const auto shown = config::decode_show_reply(config::ShowWhat::info,
                                                 config::encode_show_reply(config::ShowWhat::info, text));
    EXPECT_TRUE(shown) << shown.error().message << "\n" << text;
  }
}

TEST_F(ShowTest, InfoTellsOfAMissingDataPlane) {
  ProcessView process;
  process.config_file = "sluice.json";
  process.data_plane_trouble = "the data plane is not there";
  const Json::Value info = tree_of(info_json(controller_, process, nullptr));
  EXPECT_FALSE(info["data_plane"]["connected"].asBool());
  EXPECT_EQ(info["data_plane"]["trouble"].asString(), "the data plane is not there");
  EXPECT_FALSE(info["data_plane"].isMember("pid"));
  EXPECT_EQ(info["generation"]["wanted"].asUInt64(), 1U);
  EXPECT_EQ(info["servers_up"].asUInt(), 3U);
}

TEST_F(ShowTest, InfoTellsHowPunctualChecksAre) {
  ProcessView process;
  process.checks = {.count = 5000, .over = 30s, .median = 150us, .p99 = 2ms, .most = 199ms};
  const Json::Value checks = tree_of(info_json(controller_, process, nullptr))["checks"];
  EXPECT_EQ(checks["begun"].asUInt64(), 5000U);
  EXPECT_EQ(checks["over_ms"].asUInt64(), 30'000U);
  EXPECT_EQ(checks["late_us"]["p50"].asUInt64(), 150U);
  EXPECT_EQ(checks["late_us"]["p99"].asUInt64(), 2000U);
  EXPECT_EQ(checks["late_us"]["max"].asUInt64(), 199'000U);
}

}  // namespace
}  // namespace sluice::cp
