#include "config/wire.h"

#include <gmock/gmock.h>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/diff.h"

namespace sluice::config {
namespace {

using testing::HasSubstr;
using testing::Not;

base::Endpoint at(const char* text) {
  return *base::Endpoint::parse(text);
}

ForwardingState example_state() {
  ForwardingService web;
  web.name = "web";
  web.vip = at("192.0.2.10:80");
  web.balance = Balance::hash;
  web.hash_key = HashKey::five_tuple;
  web.timeouts.connect = Milliseconds(1'500);
  web.local_addresses = {*base::IpAddress::parse("192.0.2.2"), *base::IpAddress::parse("192.0.2.3")};
  web.source_ports = {2'000, 3'000};
  web.timeouts.queue = Milliseconds(1);
  web.timeouts.tunnel = Milliseconds(2);
  web.timeouts.client_fin = Milliseconds(3);
  web.timeouts.server_fin = Milliseconds(4);
  web.idle_refresh = IdleRefresh::data;
  web.syn_cookies = SynCookies::off;
  web.no_server = NoServer::drop;
  web.clients = {.allow = {*base::Prefix::parse("10.0.0.0/8")},
                 .deny = {*base::Prefix::parse("10.9.0.0/16"), *base::Prefix::parse("2001:db8::/32")},
                 .rate = 1,
                 .burst = 2,
                 .maxconn = 3,
                 .table = 4,
                 .refuse = ClientRefusal::drop,
                 .prefix = 24};
  web.maxconn = 1'000'000'000;
  web.retries = 0;
  web.redispatch = false;
  web.mss.limit = 1'234;
  web.servers = {{"s1", at("192.0.2.11:8080"), 100, 10, 20, false},
                 {"s2", at("192.0.2.12:8080"), 0, 0, 0, true}};
  ForwardingService dns;
  dns.name = "dns";
  dns.vip = at("[2001:db8::53]:53");
  dns.protocol = Protocol::udp;
  dns.local_addresses = {*base::IpAddress::parse("2001:db8::53")};
  return {.generation = 0xffff'ffff'ffff'ffff,
          .maxconn = 5,
          .hard_stop_after = Milliseconds(3'600'000),
          .services = {web, dns}};
}

FlowReport example_flow() {
  FlowReport flow;
  flow.service = "web";
  flow.server = "s1";
  flow.client = at("198.51.100.7:40000");
  flow.vip = at("192.0.2.10:80");
  flow.local = at("192.0.2.10:2000");
  flow.real = at("192.0.2.11:8080");
  flow.state = "established";
  flow.worker = 3;
  flow.age_ms = 5;
  return flow;
}

DataplaneReport example_report() {
  DataplaneReport report;
  report.version = "0.1.0";
  report.generation = 7;
  report.pid = 42;
  report.hugepages = true;
  ServerReport server;
  server.name = "s1";
  server.endpoint = at("192.0.2.11:8080");
  server.next_hop = "02:00:00:00:00:01 via lan";
  server.counters.packets_in = 1ULL << 60;
  server.draining = true;
  server.maxconn = 250;
  server.failures_in_row = 3;
  server.handshakes = {1, 2, 3, 4, 5, 6};
  server.queue = {7, 8, 9, 10};
  server.transition = {21, 22, 23};
  ServiceReport service;
  service.name = "web";
  service.vip = at("192.0.2.10:80");
  service.handshakes = {11, 12, 13, 14, 15, 16};
  service.queue = {17, 18, 19, 20};
  service.clients = {24, 25, 26, 27};
  service.servers = {server};
  report.services = {service};
  PortReport port;
  port.name = "lan";
  port.mtu = 1500;
  port.rx_packets = 9;
  port.link_up = true;
  report.ports = {port};
  report.drops = {{"no_server", "The service has no server with weight.", 12}};
  WorkerReport worker;
  worker.id = 1;
  worker.handed_over = 99;
  report.workers = {worker};
  return report;
}

TEST(Wire, ApplyComesOutAsItWentIn) {
  const ForwardingState state = example_state();
  const std::string line = encode_request(ApplyRequest{state});
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  const auto request = decode_dp_request(line);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(std::get<ApplyRequest>(*request).state, state);
}

TEST(Wire, StateReplyComesOutAsItWentIn) {
  const auto state = decode_state_reply(encode_state_reply(example_state()));
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(*state, example_state());
  const auto none = decode_state_reply(encode_state_reply({}));
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(*none, ForwardingState{});
}

TEST(Wire, ReportComesOutAsItWentIn) {
  const DataplaneReport report = example_report();
  const auto decoded = decode_report_reply(encode_report_reply(report));
  ASSERT_TRUE(decoded) << decoded.error().message;
  // Text is compared: every member is in it.
  EXPECT_EQ(to_json(*decoded), to_json(report));
  const ServiceReport& service = decoded->services.at(0);
  EXPECT_EQ(service.handshakes, report.services.at(0).handshakes);
  EXPECT_EQ(service.queue, report.services.at(0).queue);
  EXPECT_EQ(service.clients, report.services.at(0).clients);
  const ServerReport& server = service.servers.at(0);
  EXPECT_EQ(server.counters.packets_in, 1ULL << 60);
  EXPECT_EQ(server.maxconn, 250U);
  EXPECT_EQ(server.failures_in_row, 3U);
  EXPECT_EQ(server.handshakes, report.services.at(0).servers.at(0).handshakes);
  EXPECT_EQ(server.queue, report.services.at(0).servers.at(0).queue);
  EXPECT_EQ(server.transition, report.services.at(0).servers.at(0).transition);
}

TEST(Wire, FlowsComeOutAsTheyWentIn) {
  FlowFilter filter;
  filter.service = "web";
  filter.client = *base::IpAddress::parse("2001:db8::7");
  filter.limit = 5;
  const auto request = decode_dp_request(encode_request(FlowsRequest{filter}));
  ASSERT_TRUE(request) << request.error().message;
  const FlowFilter& decoded = std::get<FlowsRequest>(*request).filter;
  EXPECT_EQ(decoded.service, filter.service);
  EXPECT_EQ(decoded.server, std::nullopt);
  EXPECT_EQ(decoded.client, filter.client);
  EXPECT_EQ(decoded.limit, 5U);

  const FlowList list{.flows = {example_flow()}, .total = 1'000'000};
  const auto reply = decode_flows_reply(encode_flows_reply(list));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(to_json(*reply), to_json(list));
}

TEST(Wire, KillComesOutAsItWentIn) {
  FlowFilter filter;
  filter.client = *base::IpAddress::parse("198.51.100.7");
  filter.client_port = 65'535;
  filter.state = "established";
  const auto request = decode_dp_request(encode_request(DpRequest{KillRequest{filter}}));
  ASSERT_TRUE(request) << request.error().message;
  const FlowFilter& decoded = std::get<KillRequest>(*request).filter;
  EXPECT_EQ(decoded.service, std::nullopt);
  EXPECT_EQ(decoded.client, filter.client);
  EXPECT_EQ(decoded.client_port, filter.client_port);
  EXPECT_EQ(decoded.state, filter.state);
  EXPECT_EQ(*decode_kill_reply(encode_kill_reply(1ULL << 40)), 1ULL << 40);
  EXPECT_FALSE(decode_kill_reply(R"({"ok":true})"));
}

TEST(Wire, FailuresComeOutAsTheyWentIn) {
  const auto request = decode_dp_request(encode_request(DpRequest{FailuresRequest{}}));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_TRUE(std::holds_alternative<FailuresRequest>(*request));
  const auto failures =
      decode_failures_reply(encode_failures_reply({{"web", "s1", at("192.0.2.11:8080"), 5, "refused"}}));
  ASSERT_TRUE(failures) << failures.error().message;
  ASSERT_EQ(failures->size(), 1U);
  EXPECT_EQ(failures->at(0).service, "web");
  EXPECT_EQ(failures->at(0).server, "s1");
  EXPECT_EQ(failures->at(0).endpoint, at("192.0.2.11:8080"));
  EXPECT_EQ(failures->at(0).in_row, 5U);
  EXPECT_EQ(failures->at(0).last, "refused");
  EXPECT_TRUE(decode_failures_reply(encode_failures_reply({}))->empty());
  EXPECT_FALSE(decode_failures_reply(R"({"ok":true,"failures":[{"service":"web"}]})"));
}

TEST(Wire, SignsOfLifeComeOutAsTheyWentIn) {
  const auto request = decode_dp_request(encode_request(DpRequest{AliveRequest{{"web", "dns"}}}));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(std::get<AliveRequest>(*request).services, (std::vector<std::string>{"web", "dns"}));
  EXPECT_TRUE(std::get<AliveRequest>(*decode_dp_request(R"({"op":"alive"})")).services.empty());
  AliveReport report;
  report.generation = 7;
  report.workers = {{0, 1ULL << 40}, {1, 5}};
  report.ports = {{"lan", true}, {"back", false}};
  report.services = {{"web", 3}};
  const auto alive = decode_alive_reply(encode_alive_reply(report));
  ASSERT_TRUE(alive) << alive.error().message;
  EXPECT_EQ(to_json(*alive), to_json(report));
  EXPECT_EQ(alive->workers.at(0).rounds, 1ULL << 40);
  EXPECT_FALSE(alive->ports.at(1).link_up);
  EXPECT_FALSE(decode_alive_reply(R"({"ok":true})"));
}

TEST(Wire, ExplanationsComeOutAsTheyWentIn) {
  const FiveTuple tuple{Protocol::udp, at("198.51.100.7:40000"), at("192.0.2.10:53")};
  const auto request = decode_dp_request(encode_request(ExplainRequest{tuple}));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(std::get<ExplainRequest>(*request).tuple, tuple);
  const auto asked = decode_cp_request(encode_cp_request(ExplainRequest{tuple}));
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ(std::get<ExplainRequest>(*asked).tuple, tuple);
  EXPECT_THAT(decode_dp_request(R"({"op":"explain"})").error().message, HasSubstr("tuple: is missing"));

  const HopReport hop{"reachable", "192.0.2.1", "02:00:00:00:00:01", "lan", {7, 42}, 1'500};
  Explanation explanation;
  explanation.tuple = tuple;
  explanation.generation = 7;
  explanation.claim = Claim::service;
  explanation.held_by = "lan0";
  explanation.service = "dns";
  explanation.vip = at("192.0.2.10:53");
  explanation.worker = 3;
  ExplainedFlow& flow = explanation.flow.emplace();
  flow.flow = example_flow();
  flow.to_server = false;
  flow.connecting = 2;
  flow.retries = 3;
  flow.ending = flow.strips_timestamps = true;
  flow.sequence_delta = 0x20000;
  flow.bytes_from_client = 0;
  flow.bytes_from_server = 0xffff'ffff;
  flow.towards_server = hop;
  explanation.held = {"s1", true, 1, 2, 3, 4};
  ExplainedStart& start = explanation.start.emplace();
  start.fate = Fate::hold;
  start.reason = "no_server";
  start.obstacle = Obstacle::service_maxconn;
  start.connections = start.maxconn = 9;
  start.client = {"10.0.0.0/8", true, true, 1, 2, 3, 4};
  start.schedule = {Balance::random, HashKey::five_tuple, 5, 65'537, {"s1", "s2"}};
  ExplainedServer server;
  server.name = "s1";
  server.endpoint = at("192.0.2.11:53");
  server.standing = Standing::no_weight;
  server.weight = 16;
  server.connections = 1;
  server.maxconn = 2;
  server.waiting = 3;
  server.maxqueue = 4;
  server.draining = true;
  server.known = {"DOWN 1/2", "ready", "Layer4 timeout", "DOWN 1/2: Layer4 timeout", true};
  start.servers = {server};
  start.server = "s1";
  start.source = at("192.0.2.10:20000");
  start.reuses_port = start.evicts = start.by_cookie = true;
  start.queue_ms = 5'000;
  start.waiting = 6;
  start.towards_server = hop;
  explanation.others = {Fate::answer, "reset_sent"};
  explanation.towards_client = hop;
  const auto reply = decode_explain_reply(encode_explain_reply(explanation));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(to_json(*reply), to_json(explanation));
  EXPECT_EQ(reply->start->servers.at(0).known->why_no_weight, "DOWN 1/2: Layer4 timeout");
  EXPECT_EQ(reply->flow->bytes_from_server, 0xffff'ffffU);
  EXPECT_EQ(reply->start->client->burst, 4U);
  EXPECT_EQ(reply->towards_client->vlans, hop.vlans);
  EXPECT_FALSE(decode_explain_reply(R"({"ok":true,"explanation":{"claim":"nobody's"}})"));

  const auto unknown =
      decode_explain_reply(encode_error_reply(decode_dp_request(R"({"op":"explane"})").error().message));
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(is_unknown_request(unknown.error()));
  EXPECT_FALSE(is_unknown_request(decode_dp_request(R"({"op":"explain"})").error()));
}

TEST(Wire, SmallRequests) {
  EXPECT_TRUE(std::holds_alternative<ReportRequest>(*decode_dp_request(encode_request(ReportRequest{}))));
  const std::vector<ServerName> only{{"web", "a"}, {"dns", "*"}};
  const auto some = decode_dp_request(encode_request(ReportRequest{only}));
  EXPECT_EQ(std::get<ReportRequest>(*some).only, only);
  const auto none = decode_dp_request(R"({"op": "report", "only": []})");
  EXPECT_TRUE(std::get<ReportRequest>(*none).only && std::get<ReportRequest>(*none).only->empty());
  EXPECT_FALSE(decode_dp_request(R"({"op": "report", "only": [{"service": "web"}]})"));
  EXPECT_TRUE(std::holds_alternative<StateRequest>(*decode_dp_request(encode_request(StateRequest{}))));
  EXPECT_TRUE(std::holds_alternative<FlowsRequest>(*decode_dp_request(R"({"op":"flows"})")));
  EXPECT_EQ(*decode_apply_reply(encode_apply_reply(12)), 12U);
}

TEST(Wire, RefusalBecomesTheErrorOfTheOtherSide) {
  const std::string line = encode_error_reply("server \"web/s1\": no route");
  EXPECT_EQ(decode_apply_reply(line).error().message, "server \"web/s1\": no route");
  EXPECT_EQ(decode_report_reply(line).error().message, "server \"web/s1\": no route");
  EXPECT_EQ(decode_done_reply(R"({"ok":false,"error":""})").error().message, "refused without a reason");
  EXPECT_EQ(decode_done_reply(R"({"ok":false})").error().message, "refused without a reason");
}

TEST(Wire, ShowCarriesAnyJson) {
  const auto request = decode_cp_request(encode_cp_request(ShowRequest{ShowWhat::drops, {}}));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(std::get<ShowRequest>(*request).what, ShowWhat::drops);
  const std::string line = encode_show_reply(ShowWhat::drops, to_json(example_report().drops));
  const auto json = decode_show_reply(ShowWhat::drops, line);
  ASSERT_TRUE(json) << json.error().message;
  const auto drops = from_json<std::vector<DropReport>>(*json);
  ASSERT_TRUE(drops) << drops.error().message;
  EXPECT_EQ(drops->at(0).reason, "no_server");
}

TEST(Wire, MetricsComeOutAsTheyWentIn) {
  const std::string text = "# HELP a_total \"x\"\na_total{b=\"c\\\\d\"} 1\n";
  const auto json = decode_show_reply(
      ShowWhat::metrics, encode_show_reply(ShowWhat::metrics, to_json(MetricsReport{text, true, true})));
  ASSERT_TRUE(json) << json.error().message;
  const auto report = from_json<MetricsReport>(*json);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->text, text);
  EXPECT_TRUE(report->data_plane && report->vrrp);
}

TEST(Wire, OperatorRequestsComeOutAsTheyWentIn) {
  const auto server =
      decode_cp_request(encode_cp_request(ServerRequest{"web", "s1", ServerAction::weight, 50, true}));
  ASSERT_TRUE(server) << server.error().message;
  const auto& weight = std::get<ServerRequest>(*server);
  EXPECT_EQ(weight.service, "web");
  EXPECT_EQ(weight.server, "s1");
  EXPECT_EQ(weight.action, ServerAction::weight);
  EXPECT_EQ(weight.value, 50U);
  EXPECT_TRUE(weight.percent);

  const auto waiting =
      decode_cp_request(encode_cp_request(WaitRequest{"web", "*", WaitFor::down, Milliseconds(1'500)}));
  ASSERT_TRUE(waiting) << waiting.error().message;
  const auto& wait = std::get<WaitRequest>(*waiting);
  EXPECT_EQ(wait.server, "*");
  EXPECT_EQ(wait.what, WaitFor::down);
  EXPECT_EQ(wait.timeout, Milliseconds(1'500));

  FlowFilter filter;
  filter.client_port = 40'000;
  const auto kill = decode_cp_request(encode_cp_request(KillRequest{filter}));
  ASSERT_TRUE(kill) << kill.error().message;
  EXPECT_EQ(std::get<KillRequest>(*kill).filter.client_port, 40'000);

  EXPECT_TRUE(std::holds_alternative<ReloadRequest>(*decode_cp_request(encode_cp_request(ReloadRequest{}))));
}

TEST(Wire, OperatorRepliesComeOutAsTheyWentIn) {
  EXPECT_EQ(*decode_done_reply(encode_done_reply("server web/s1 drains")), "server web/s1 drains");
  EXPECT_EQ(decode_done_reply(encode_error_reply("no")).error().message, "no");
  const ReloadReport report{{{ChangeKind::changed, "server \"web/s1\"", "weight 100 -> 50"}}, "not yet"};
  const auto reload = decode_reload_reply(encode_reload_reply(report));
  ASSERT_TRUE(reload) << reload.error().message;
  EXPECT_EQ(reload->changes, report.changes);
  EXPECT_EQ(reload->note, "not yet");
}

TEST(Wire, UnknownMembersAreIgnoredAndMissingOnesKeepTheirDefault) {
  const auto report = from_json<DataplaneReport>(R"({"generation":3,"from_the_future":{"a":[1]}})");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->generation, 3U);
  EXPECT_TRUE(report->services.empty());
}

struct Row {
  std::string name, line, error;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}
class BadRequest : public testing::TestWithParam<Row> {};

TEST_P(BadRequest, IsRefusedWithAReason) {
  const auto request = decode_dp_request(GetParam().line);
  ASSERT_FALSE(request);
  EXPECT_THAT(request.error().message, HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Wire, BadRequest,
    testing::Values(
        Row{"Empty", "", "not a JSON document"}, Row{"Garbage", "\xff\xfe", "not a JSON document"},
        Row{"Half", R"({"op":"app)", "not a JSON document"}, Row{"Array", "[]", "not a JSON object"},
        Row{"Deep", std::string(100'000, '['), "not a JSON document"},
        Row{"TwoDocuments", R"({"op":"state"}{"op":"state"})", "not a JSON document"},
        Row{"KeyTwice", R"({"op":"state","op":"report"})", "not a JSON document"},
        Row{"NoOp", "{}", "no \"op\""}, Row{"OpIsNumber", R"({"op":5})", "no \"op\""},
        Row{"UnknownOp", R"({"op":"stop"})", "unknown op \"stop\""},
        Row{"ApplyNothing", R"({"op":"apply"})", "apply: state: expected an object"},
        Row{"NoGeneration", R"({"op":"apply","state":{"services":[]}})", "generation: is missing"},
        Row{"NegativeGeneration", R"({"op":"apply","state":{"generation":-1,"services":[]}})",
            "generation: expected a whole number"},
        Row{"ServiceIsNumber", R"({"op":"apply","state":{"generation":1,"services":[5]}})",
            "services[0]: expected an object"},
        Row{"BadVip", R"({"op":"apply","state":{"generation":1,"services":[{"name":"a","vip":"x"}]}})",
            "services[0].vip: "},
        Row{"BadBalance",
            R"({"op":"apply","state":{"generation":1,"services":[{"name":"a","vip":"192.0.2.1:1","protocol":"tcp",)"
            R"("balance":"fair"}]}})",
            "services[0].balance: expected one of \"roundrobin\""},
        Row{"WeightTooLarge",
            R"({"op":"apply","state":{"generation":1,"services":[{"name":"a","vip":"192.0.2.1:1","protocol":"tcp",)"
            R"("local_addresses":["192.0.2.1"],"servers":[{"name":"s","endpoint":"192.0.2.2:1",)"
            R"("weight":4294967296}]}]}})",
            "services[0].servers[0].weight: expected a whole number from 0 to 4294967295"},
        Row{"BadNoServer",
            R"({"op":"apply","state":{"generation":1,"services":[{"name":"a","vip":"192.0.2.1:1","protocol":"tcp",)"
            R"("no_server":"wait"}]}})",
            "services[0].no_server: expected one of \"reset\""},
        Row{"BadHardStop", R"({"op":"apply","state":{"generation":1,"hard_stop_after":"1h","services":[]}})",
            "hard_stop_after: "},
        Row{"RetriesTooMany",
            R"({"op":"apply","state":{"generation":1,"services":[{"name":"a","vip":"192.0.2.1:1","protocol":"tcp",)"
            R"("retries":65536}]}})",
            "services[0].retries: expected a whole number from 0 to 65535"},
        Row{"KillNothing", R"({"op":"kill"})", "kill: filter: expected an object"},
        Row{"KillPort", R"({"op":"kill","filter":{"client_port":65536}})",
            "kill: filter: client_port: expected a whole number"},
        Row{"BadFilter", R"({"op":"flows","filter":{"client":"nobody"}})", "flows: filter: client: "}),
    [](const testing::TestParamInfo<Row>& info) { return info.param.name; });

class BadCpRequest : public testing::TestWithParam<Row> {};

TEST_P(BadCpRequest, IsRefusedWithAReason) {
  const auto request = decode_cp_request(GetParam().line);
  ASSERT_FALSE(request);
  EXPECT_THAT(request.error().message, HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Wire, BadCpRequest,
    testing::Values(
        Row{"Garbage", "\xff\xfe", "not a JSON document"}, Row{"NoOp", "{}", "no \"op\""},
        Row{"UnknownOp", R"({"op":"stop"})", "unknown op \"stop\" (known: \"show\", \"server\""},
        Row{"ShowNothing", R"({"op":"show"})", "show: what: is missing"},
        Row{"ShowUnknown", R"({"op":"show","what":"weather"})", "show: what: expected one of \"services\""},
        Row{"ShowBadFilter", R"({"op":"show","what":"flows","filter":{"client":"nobody"}})",
            "show: filter.client: "},
        Row{"ServerNameless", R"({"op":"server","service":"a","action":"drain"})",
            "server: server: is missing"},
        Row{"ServerNoAction", R"({"op":"server","service":"a","server":"s"})", "server: action: is missing"},
        Row{"ServerUnknownAction", R"({"op":"server","service":"a","server":"s","action":"hide"})",
            "server: action: expected one of \"ready\", \"drain\""},
        Row{"WeightWithoutValue", R"({"op":"server","service":"a","server":"s","action":"weight"})",
            "server: value: is missing"},
        Row{"MaxconnNegative", R"({"op":"server","service":"a","server":"s","action":"maxconn","value":-1})",
            "server: value: expected a whole number"},
        Row{"WaitForNothing", R"({"op":"wait","service":"a","server":"s"})", "wait: for: is missing"},
        Row{"KillWithoutFilter", R"({"op":"kill"})", "kill: filter: expected an object"}),
    [](const testing::TestParamInfo<Row>& info) { return info.param.name; });

TEST(Wire, MutatedLinesNeverCrash) {
  std::mt19937 random(20'261'123);
  const std::vector<std::string> lines{
      encode_request(ApplyRequest{example_state()}),
      encode_report_reply(example_report()),
      encode_failures_reply({{"web", "s1", at("192.0.2.11:8080"), 5, "refused"}}),
      encode_flows_reply({.flows = {example_flow()}, .total = 1}),
      encode_alive_reply({1, {{0, 5}}, {{"lan", true}}, {{"web", 3}}}),
      encode_cp_request(ServerRequest{"web", "s1", ServerAction::weight, 5}),
      encode_cp_request(WaitRequest{"web", "s1"}),
      encode_reload_reply({{{ChangeKind::added, "port", "x"}}, "note"})};
  for (int round = 0; round < 5'000; ++round) {
    std::string line = lines[random() % lines.size()];
    for (unsigned n = 1 + random() % 4; n > 0; --n) {
      const std::size_t place = random() % line.size();
      switch (random() % 3) {
        case 0: line[place] = static_cast<char>(random()); break;
        case 1: line.erase(place, random() % 16); break;
        default: line.insert(place, line.substr(random() % line.size(), random() % 16)); break;
      }
      if (line.empty()) line = "{";
    }
    if (const auto request = decode_dp_request(line)) {
      EXPECT_TRUE(decode_dp_request(encode_request(*request)));
    }
    (void)decode_report_reply(line);
    (void)decode_flows_reply(line);
    (void)decode_failures_reply(line);
    (void)decode_kill_reply(line);
    (void)decode_alive_reply(line);
    if (const auto request = decode_cp_request(line)) {
      EXPECT_TRUE(decode_cp_request(encode_cp_request(*request)));
    }
    (void)decode_reload_reply(line);
    (void)decode_done_reply(line);
  }
}

}  // namespace
}  // namespace sluice::config
