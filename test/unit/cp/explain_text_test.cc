#include "tools/sluice/explain_text.h"

#include <gmock/gmock.h>
#include <string>

#include <gtest/gtest.h>

/// What `sluice explain` prints.
namespace sluice::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

base::Endpoint at(const char* text) {
  return *base::Endpoint::parse(text);
}

config::Explanation to_service() {
  config::Explanation e;
  e.tuple = {config::Protocol::tcp, at("203.0.113.7:40000"), at("192.0.2.10:6443")};
  e.claim = config::Claim::service;
  e.held_by = "ens6";
  e.service = "k8s-api";
  e.vip = at("192.0.2.10:6443");
  e.worker = 1;
  e.towards_client = {"reachable", "192.0.2.1", "02:00:00:00:01:01", "lan", {}, 1'500};
  return e;
}

config::ExplainedServer server(const char* name, const char* endpoint, config::Standing standing) {
  config::ExplainedServer s;
  s.name = name;
  s.endpoint = at(endpoint);
  s.standing = standing;
  s.weight = 100;
  return s;
}

TEST(ExplainText, AFactALineInTheOrderOfThePath) {
  config::Explanation e = to_service();
  config::ExplainedStart& start = e.start.emplace();
  start.schedule = {config::Balance::roundrobin, {}, 2, 3, {}};
  start.servers = {server("master1", "192.0.2.11:6443", config::Standing::no_weight),
                   server("master2", "192.0.2.12:6443", config::Standing::chosen),
                   server("master3", "192.0.2.13:6443", config::Standing::full)};
  start.servers[0].weight = 0;
  start.servers[0].known = {"DOWN", "ready", "Layer4 timeout", "DOWN: Layer4 timeout", false};
  start.servers[1].connections = 12;
  start.servers[2].connections = start.servers[2].maxconn = 250;
  start.servers[2].waiting = 3;
  start.server = "master2";
  start.source = at("192.0.2.10:20011");
  start.towards_server = {"reachable", "192.0.2.12", "02:00:00:00:02:02", "lan", {7}, 9'000};
  e.others = {config::Fate::answer, "reset_sent"};
  EXPECT_EQ(
      explanation_text(e),
      "packet          tcp 203.0.113.7:40000 > 192.0.2.10:6443\n"
      "address         192.0.2.10 is on ens6\n"
      "service         k8s-api (192.0.2.10:6443)\n"
      "worker          1\n"
      "flow            none\n"
      "schedule        roundrobin: the turn is at place 3 of 3\n"
      "server          master1 192.0.2.11:6443: none: DOWN: Layer4 timeout; weight 0, 0 connections\n"
      "server          master2 192.0.2.12:6443: chosen; weight 100, 12 connections\n"
      "server          master3 192.0.2.13:6443: passed over, full; weight 100, 250 of 250 connections, "
      "3 wait for it\n"
      "a first SYN     begins a connection to master2 192.0.2.12:6443 from 192.0.2.10:20011\n"
      "towards server  to 02:00:00:00:02:02 (192.0.2.12) by port lan, VLAN 7, MTU 9000\n"
      "towards client  to 02:00:00:00:01:01 (192.0.2.1) by port lan, MTU 1500\n"
      "other segments  get a RST (reset_sent: a segment of an unknown connection, answered with a RST)\n");
}

TEST(ExplainText, SynThatACookieAnswers) {
  config::Explanation e = to_service();
  config::ExplainedStart& start = e.start.emplace();
  start.server = "master2";
  start.source = at("192.0.2.10:20011");
  start.by_cookie = true;
  EXPECT_THAT(explanation_text(e), HasSubstr("a first SYN     is answered by a SYN cookie\n"
                                             "the ACK after it begins a connection to master2"));
}

TEST(ExplainText, AFlow) {
  config::Explanation e = to_service();
  config::ExplainedFlow& flow = e.flow.emplace();
  flow.flow.server = "master2";
  flow.flow.client = e.tuple.source;
  flow.flow.vip = e.tuple.destination;
  flow.flow.local = at("192.0.2.10:20011");
  flow.flow.real = at("192.0.2.12:6443");
  flow.flow.state = "established";
  flow.flow.age_ms = 65'000;
  flow.flow.idle_ms = 250;
  flow.flow.expires_ms = 3'599'000;
  flow.bytes_from_client = 100;
  flow.bytes_from_server = 2'048;
  flow.sequence_delta = 131'072;
  flow.towards_server = {"failed", {}, {}, {}, {}, 0};
  const std::string text = explanation_text(e);
  EXPECT_THAT(text,
              HasSubstr("flow            established, begun 1m5s ago; the packet goes to the server\n"));
  EXPECT_THAT(text, HasSubstr("client side     203.0.113.7:40000 <> 192.0.2.10:6443\n"));
  EXPECT_THAT(text, HasSubstr("server side     192.0.2.10:20011 <> 192.0.2.12:6443 (master2)\n"));
  EXPECT_THAT(text, HasSubstr("last seen       250ms ago\n"));
  EXPECT_THAT(text, HasSubstr("expires         in 59m59s\n"));
  EXPECT_THAT(text, HasSubstr("from server     2.00 KiB sent\n"));
  EXPECT_THAT(text, HasSubstr("numbering       131072 is added"));
  EXPECT_THAT(text, HasSubstr("towards server  failed: the next hop does not answer"));
  EXPECT_THAT(text, Not(HasSubstr("attempt")));
  flow.connecting = 2;
  flow.retries = 3;
  flow.ending = true;
  EXPECT_THAT(explanation_text(e), HasSubstr("attempt         2 of 4 at most\n"));
  EXPECT_THAT(explanation_text(e), HasSubstr("expires         as soon as its resets can be sent"));
}

struct StartRow {
  const char* name;
  config::ExplainedStart start;
  const char* line;
};
class Start : public testing::TestWithParam<StartRow> {};
TEST_P(Start, IsTold) {
  config::Explanation e = to_service();
  e.start = GetParam().start;
  EXPECT_THAT(explanation_text(e), HasSubstr(GetParam().line));
}
config::ExplainedStart start(config::Fate fate, const char* reason, config::Obstacle obstacle = {}) {
  config::ExplainedStart s;
  s.fate = fate;
  s.reason = reason;
  s.obstacle = obstacle;
  s.connections = s.maxconn = 9;
  s.queue_ms = 5'000;
  s.waiting = 4;
  return s;
}
config::ExplainedStart of_client(const char* reason, config::Obstacle obstacle,
                                 const config::ExplainedClient& client) {
  config::ExplainedStart s = start(config::Fate::answer, reason, obstacle);
  s.client = client;
  return s;
}
INSTANTIATE_TEST_SUITE_P(
    ExplainText, Start,
    testing::Values(
        StartRow{"Waits", start(config::Fate::hold, ""),
                 "a first SYN     waits for a place at any server, for 5s at most; 4 wait there\n"},
        StartRow{"Refused", start(config::Fate::answer, "no_server"),
                 "a first SYN     is refused (no_server: the service has no usable server)\n"},
        StartRow{"Dropped", start(config::Fate::drop, "half_open_full"),
                 "a first SYN     is dropped (half_open_full: "},
        StartRow{"Newer", start(config::Fate::drop, "moonlight"), "a first SYN     is dropped (moonlight)\n"},
        StartRow{"Tried", start(config::Fate::drop, "retried"), "a first SYN     is tried elsewhere"},
        StartRow{"PortOfAnother", start(config::Fate::forward, ""),
                 ", once a connection that is over has given its source port up\n"},
        StartRow{"Queue", start(config::Fate::hold, "", config::Obstacle::queue),
                 "obstacle        others wait already"},
        StartRow{"Instance", start(config::Fate::hold, "", config::Obstacle::instance_maxconn),
                 "obstacle        global.maxconn is reached: 9 of 9 connections\n"},
        StartRow{"Service", start(config::Fate::hold, "", config::Obstacle::service_maxconn),
                 "obstacle        the service's maxconn is reached: 9 of 9 connections\n"},
        StartRow{"ClientDenied",
                 of_client("client_denied", config::Obstacle::client_denied, {"10.9.0.0/16", true}),
                 "client          kept out by 10.9.0.0/16\n"},
        StartRow{"ClientUnlisted", of_client("client_denied", config::Obstacle::client_denied, {"", true}),
                 "client          kept out, under no prefix\n"},
        StartRow{"ClientOfPrefixesAlone", of_client("", {}, {"10.0.0.0/8"}),
                 "client          let in by 10.0.0.0/8\n"},
        StartRow{"ClientUnknown", of_client("", {}, {"", false, false, 0, 20, 50, 100}),
                 "client          let in, under no prefix; not known yet\n"},
        StartRow{
            "ClientWithoutRoom", of_client("", {}, {"", false, false, 0, 20, 50, 100, true}),
            "client          let in, under no prefix; uncounted: there is no room for it in the table of "
            "clients\n"},
        StartRow{"ClientRate",
                 of_client("client_rate", config::Obstacle::client_rate, {"", false, true, 7, 20, 50, 100}),
                 "client          let in, under no prefix; 7 of 20 connections, 50 new ones in a second, 100 "
                 "at once\n"},
        StartRow{"ClientMaxconn",
                 of_client("client_maxconn", config::Obstacle::client_maxconn, {"", false, true, 20, 20}),
                 "obstacle        the client has as many connections as it may\n"},
        StartRow{"Unusable", start(config::Fate::answer, "no_server", config::Obstacle::no_usable_server),
                 "obstacle        no server takes new connections\n"}),
    [](const auto& info) { return info.param.name; });

TEST(ExplainText, ASynThatWaits) {
  config::Explanation e = to_service();
  e.held = {"master1", false, 1'000, 5'000, 3, 0};
  EXPECT_THAT(explanation_text(e),
              HasSubstr("waits           a SYN waits for a place at master1, since 1s of "
                        "5s at most; 3 wait there\n"));
  e.held->between_attempts = true;
  e.held->attempts = 2;
  EXPECT_THAT(explanation_text(e), HasSubstr("waits for the next attempt, 2 having failed\n"));
}

TEST(ExplainText, WhatIsNotSluices) {
  config::Explanation e;
  e.tuple = to_service().tuple;
  const auto told = [&](config::Claim claim) {
    e.claim = claim;
    return explanation_text(e);
  };
  EXPECT_THAT(told(config::Claim::foreign_address),
              HasSubstr("address         192.0.2.10 is on no interface of this host\n"
                        "belongs to      the kernel: 192.0.2.10 is no virtual IP, nor a local address\n"));
  EXPECT_THAT(told(config::Claim::foreign_port), HasSubstr("no service has tcp port 6443"));
  EXPECT_THAT(told(config::Claim::kernel_port), HasSubstr("port 6443 is none that sluice takes"));
  EXPECT_THAT(told(config::Claim::sent), HasSubstr("`sluice explain tcp 192.0.2.10:6443 203.0.113.7:40000`"));
}

TEST(ExplainText, AReplyWithoutFlow) {
  config::Explanation e;
  e.tuple = {config::Protocol::udp, at("[2001:db8::11]:53"), at("[2001:db8::10]:20000")};
  e.claim = config::Claim::reply;
  e.worker = 0;
  e.others = {config::Fate::drop, "no_flow"};
  const std::string text = explanation_text(e);
  EXPECT_THAT(text, HasSubstr("packet          udp [2001:db8::11]:53 > [2001:db8::10]:20000\n"));
  EXPECT_THAT(text, HasSubstr("service         none: it came as a server's reply"));
  EXPECT_THAT(text, HasSubstr("the packet      dropped (no_flow: "));
}

}  // namespace
}  // namespace sluice::cli
