#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test/unit/config/wrong.h"

namespace sluice::config {
namespace {

using testing::IsEmpty;

Config config_of(const std::string& text) {
  EXPECT_THAT(told(text), IsEmpty());
  return parse_config(text, NamedFiles::trusted).config;
}

INSTANTIATE_TEST_SUITE_P(
    Global, Wrong,
    testing::Values(
        Row{"MssWord",
            one_service(R"(,"mss":"aut")"),
            {R"(f:2:62: service "web": mss: "aut" is not known; allowed: "auto", "off" (did you mean "auto"?))"}},
        Row{"MssRange",
            one_service(R"(,"mss":87)"),
            {R"(f:2:62: service "web": mss: 87 is out of range: from 88 to 65495)"}},
        Row{"MssType",
            one_service(R"(,"mss":true)"),
            {R"(f:2:62: service "web": mss: expected "auto", "off" or a whole number from 88 to 65495, not true)"}},
        Row{"MaxconnNegative",
            global(R"("maxconn":-1)"),
            {"f:2:21: global: maxconn: -1 is out of range: from 0 to 1000000000"}},
        Row{"SpreadChecks",
            global(R"("spread_checks":51)"),
            {"f:2:27: global: spread_checks: 51 is out of range: from 0 to 50"}},
        Row{"HardStopAfter",
            global(R"("hard_stop_after":"0s")"),
            {R"(f:2:29: global: hard_stop_after: "0s" is shorter than 1ms, the shortest duration)"}},
        Row{"HardStopAfterNumber",
            global(R"("hard_stop_after":60)"),
            {R"(f:2:29: global: hard_stop_after: expected a duration with its unit, such as "10s", not 60 (did you mean "60s"?))"}},
        Row{"UnknownKey",
            global(R"("max_conn":5)"),
            {R"(f:2:11: global: unknown key "max_conn" (did you mean "maxconn"?))"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    ServiceSettings, Wrong,
    testing::Values(
        Row{"IdleRefresh",
            one_service(R"(,"idle_refresh":"all")"),
            {R"(f:2:71: service "web": idle_refresh: "all" is not known; allowed: "any", "data")"}},
        Row{"SynCookies",
            one_service(R"(,"syn_cookies":true)"),
            {R"(f:2:70: service "web": syn_cookies: true is not known; allowed: "off", "auto", "always")"}},
        Row{"NoServer",
            one_service(R"(,"no_server":"fail-open")"),
            {R"(f:2:68: service "web": no_server: "fail-open" is not known; allowed: "reset", "drop", "fail_open" (did you mean "fail_open"?))"}},
        Row{"Retries",
            one_service(R"(,"retries":101)"),
            {R"(f:2:66: service "web": retries: 101 is out of range: from 0 to 100)"}},
        Row{"RetriesNegative",
            one_service(R"(,"retries":-1)"),
            {R"(f:2:66: service "web": retries: -1 is out of range: from 0 to 100)"}},
        Row{"Redispatch",
            one_service(R"(,"redispatch":"true")"),
            {R"(f:2:69: service "web": redispatch: expected true or false, not "true" (did you mean true without quotes?))"}},
        Row{"RedispatchNumber",
            one_service(R"(,"redispatch":1)"),
            {R"(f:2:69: service "web": redispatch: expected true or false, not 1)"}},
        Row{"AllbackupsMisspelt",
            one_service(R"(,"all_backups":true)"),
            {R"(f:2:56: service "web": unknown key "all_backups" (did you mean "allbackups"?))"}},
        Row{"Maxconn",
            one_service(R"(,"maxconn":1000000001)"),
            {R"(f:2:66: service "web": maxconn: 1000000001 is out of range: from 0 to 1000000000)"}},
        Row{"MaxconnOfDefaults", defaults(R"("maxconn":5)"), {R"(f:2:13: defaults: unknown key "maxconn")"}},
        Row{"TimeoutQueue",
            one_service(R"(,"timeouts":{"queue":"10"})"),
            {R"(f:2:76: service "web": timeouts.queue: "10" has no unit: write us, ms, s, m, h or d (did you mean "10s"?))"}},
        Row{"TimeoutTunnel",
            one_service(R"(,"timeouts":{"tunnel":"0s"})"),
            {R"(f:2:77: service "web": timeouts.tunnel: "0s" is shorter than 1ms, the shortest duration)"}},
        Row{"TimeoutClientFin",
            one_service(R"(,"timeouts":{"client-fin":"1s"})"),
            {R"(f:2:68: service "web": timeouts: unknown key "client-fin" (did you mean "client_fin"?))"}},
        Row{"TimeoutServerFin",
            one_service(R"(,"timeouts":{"server_fin":"21d"})"),
            {R"(f:2:81: service "web": timeouts.server_fin: "21d" is longer than 20d, the longest duration)"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    ServerSettings, Wrong,
    testing::Values(
        Row{"Maxconn",
            server(R"("maxconn":-1)"),
            {R"(f:2:112: server "web/s": maxconn: -1 is out of range: from 0 to 1000000000)"}},
        Row{"Maxqueue",
            server(R"("maxqueue":1.5)"),
            {R"(f:2:113: server "web/s": maxqueue: expected a whole number from 0 to 1000000000, not 1.5)"}},
        Row{"Slowstart",
            server(R"("slowstart":60)"),
            {R"(f:2:114: server "web/s": slowstart: expected a duration with its unit, such as "10s", not 60 (did you mean "60s"?))"}},
        Row{"SlowstartUnit",
            server(R"("slowstart":"1 minute")"),
            {R"(f:2:114: server "web/s": slowstart: "1 minute" is not a duration: " minute" is no unit (known: us, ms, s, m, h, d))"}},
        Row{"SlowstartTooLong",
            server(R"("slowstart":"21d")"),
            {R"(f:2:114: server "web/s": slowstart: "21d" is longer than 20d, the longest duration)"}},
        Row{"Observe",
            server(R"("observe":"layer7")"),
            {R"(f:2:112: server "web/s": observe: "layer7" is not known; allowed: "none", "layer4" (did you mean "layer4"?))"}},
        Row{"ErrorLimit",
            server(R"("error_limit":0)"),
            {R"(f:2:116: server "web/s": error_limit: 0 is out of range: from 1 to 1000000)"}},
        Row{"OnError",
            server(R"("on_error":"mark_down")"),
            {R"(f:2:113: server "web/s": on_error: "mark_down" is not known; allowed: "fastinter", "fail-check", "sudden-death", "mark-down" (did you mean "mark-down"?))"}},
        Row{"OnMarkedDown",
            server(R"("on_marked_down":"shutdown")"),
            {R"(f:2:119: server "web/s": on_marked_down: "shutdown" is not known; allowed: "none", "shutdown-sessions" (did you mean "shutdown-sessions"?))"}},
        Row{"OnMarkedUp",
            server(R"("on_marked_up":true)"),
            {R"(f:2:117: server "web/s": on_marked_up: true is not known; allowed: "none", "shutdown-backup-sessions")"}},
        Row{"BackupOfDefaults",
            defaults(R"("server":{"backup":true})"),
            {R"(f:2:23: defaults.server: unknown key "backup")"}},
        Row{"Backup",
            server(R"("backup":"yes")"),
            {R"(f:2:111: server "web/s": backup: expected true or false, not "yes")"}},
        Row{"Disabled",
            server(R"("disable":true)"),
            {R"(f:2:102: server "web/s": unknown key "disable" (did you mean "disabled"?))"}},
        Row{"ObserveWithoutCheck",
            server(R"("observe":"layer4")"),
            {R"(f:2:112: server "web/s": observe: needs a health check, by which a server that it took down comes back: give "check")"}},
        Row{"ObserveWithoutCheckInService",
            one_service(R"(,"server":{"observe":"layer4"})", R"({"name":"s","address":"192.0.2.11"})"),
            {R"(f:2:76: service "web": server.observe: needs a health check, by which a server that it took down comes back: give "check")"}},
        Row{"AgentWithoutPort",
            server(R"("agent":{"interval":"1s"})"),
            {R"(f:2:110: server "web/s": agent: key "port" is missing: where the agent listens)"}},
        Row{"AgentWithoutPortInService",
            one_service(R"(,"server":{"agent":{"interval":"1s"}})", R"({"name":"s","address":"192.0.2.11"})"),
            {R"(f:2:74: service "web": server.agent: key "port" is missing: where the agent listens)"}},
        Row{"AgentPort",
            server(R"("agent":{"port":65536})"),
            {R"(f:2:118: server "web/s": agent.port: 65536 is out of range: from 0 to 65535)"}},
        Row{"AgentAddress",
            server(R"("agent":{"port":1,"address":"0.0.0.0"})"),
            {R"(f:2:130: server "web/s": agent.address: 0.0.0.0 is the unspecified address: no host has it)"}},
        Row{"AgentInterval",
            server(R"("agent":{"port":1,"interval":"1"})"),
            {R"(f:2:131: server "web/s": agent.interval: "1" has no unit: write us, ms, s, m, h or d (did you mean "1s"?))"}},
        Row{"AgentSend",
            server(R"("agent":{"port":1,"send":5})"),
            {R"(f:2:127: server "web/s": agent.send: expected a string, not 5)"}},
        Row{"AgentKey",
            server(R"("agent":{"port":1,"send_text":"x"})"),
            {R"(f:2:120: server "web/s": agent: unknown key "send_text")"}},
        Row{"Loopback",
            one_service("", R"({"name":"s","address":"127.0.0.1","port":8080})"),
            {R"(f:2:89: server "web/s": address: 127.0.0.1 is a loopback address: packets for it never leave a host, so none gets there)"}},
        Row{"MaxconnOfServer",
            server(R"("max_conn":1)"),
            {R"(f:2:102: server "web/s": unknown key "max_conn" (did you mean "maxconn"?))"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    PciDevice, Wrong,
    testing::Values(
        Row{"Word",
            ports(R"({"name":"p","device":"pci:zz"})"),
            {R"(f:1:32: port "p": device: "pci:zz" does not hold the address of a PCI device, such as "pci:0000:01:00.0")"}},
        Row{"NoFunction",
            ports(R"({"name":"p","device":"pci:01:00"})"),
            {R"(f:1:32: port "p": device: "pci:01:00" does not hold the address of a PCI device, such as "pci:0000:01:00.0")"}},
        Row{"FunctionTooLarge",
            ports(R"({"name":"p","device":"pci:0000:01:00.8"})"),
            {R"(f:1:32: port "p": device: "pci:0000:01:00.8" does not hold the address of a PCI device, such as "pci:0000:01:00.0")"}},
        Row{"Trailing",
            ports(R"({"name":"p","device":"pci:0000:01:00.0x"})"),
            {R"(f:1:32: port "p": device: "pci:0000:01:00.0x" does not hold the address of a PCI device, such as "pci:0000:01:00.0")"}}),
    name_of_row);

TEST(Settings, DefaultsAreTheModels) {
  const Config config = config_of(server("\"weight\":100"));
  EXPECT_EQ(config.global, Global{});
  const Service& service = config.services.at(0);
  EXPECT_EQ(service.timeouts, Timeouts{});
  EXPECT_EQ(service.idle_refresh, IdleRefresh::any);
  EXPECT_EQ(service.syn_cookies, SynCookies::automatic);
  EXPECT_EQ(service.no_server, NoServer::reset);
  EXPECT_EQ(service.maxconn, 0U);
  EXPECT_EQ(service.retries, 3);
  EXPECT_TRUE(service.redispatch);
  EXPECT_EQ(service.mss.limit, Mss::kAuto);
  EXPECT_FALSE(service.allbackups);
  Server blank;
  blank.name = "s";
  blank.endpoint = service.servers.at(0).endpoint;
  EXPECT_EQ(service.servers.at(0), blank);
}

TEST(Settings, OfTheInstanceAreRead) {
  const Config config = config_of(global(R"("maxconn":1000,"hard_stop_after":"1h","spread_checks":50)"));
  EXPECT_EQ(config.global, (Global{1'000, Milliseconds(3'600'000), 50}));
}

constexpr const char* kServiceSettings =
    R"("idle_refresh":"data","syn_cookies":"always","no_server":"fail_open","retries":0,"redispatch":false,"mss":1360,"allbackups":true,)"
    R"("timeouts":{"connect":"1s","queue":"2s","client":"3s","server":"4s","tunnel":"5s","client_fin":"6s",)"
    R"("server_fin":"7s","udp":"8s"})";
constexpr const char* kServerSettings =
    R"("weight":256,"maxconn":10,"maxqueue":20,"slowstart":"30s","observe":"layer4","error_limit":5,)"
    R"("on_error":"sudden-death","on_marked_down":"shutdown-sessions",)"
    R"("on_marked_up":"shutdown-backup-sessions",)"
    R"("agent":{"port":9999,"address":"127.0.0.1","interval":"5s","send":"hello\n"})";

void expect_service_settings(const Service& service) {
  EXPECT_EQ(service.idle_refresh, IdleRefresh::data);
  EXPECT_EQ(service.syn_cookies, SynCookies::always);
  EXPECT_EQ(service.no_server, NoServer::fail_open);
  EXPECT_EQ(service.retries, 0);
  EXPECT_FALSE(service.redispatch);
  EXPECT_EQ(service.mss.limit, 1'360);
  EXPECT_TRUE(service.allbackups);
  EXPECT_EQ(service.timeouts, (Timeouts{.connect = Milliseconds(1'000),
                                        .queue = Milliseconds(2'000),
                                        .client = Milliseconds(3'000),
                                        .server = Milliseconds(4'000),
                                        .tunnel = Milliseconds(5'000),
                                        .client_fin = Milliseconds(6'000),
                                        .server_fin = Milliseconds(7'000),
                                        .udp = Milliseconds(8'000)}));
}

void expect_server_settings(const Server& server) {
  EXPECT_EQ(server.weight, 256);
  EXPECT_EQ(server.maxconn, 10U);
  EXPECT_EQ(server.maxqueue, 20U);
  EXPECT_EQ(server.slowstart, Milliseconds(30'000));
  EXPECT_EQ(server.observe, Observe::layer4);
  EXPECT_EQ(server.error_limit, 5U);
  EXPECT_EQ(server.on_error, OnError::sudden_death);
  EXPECT_EQ(server.on_marked_down, OnMarkedDown::shutdown_sessions);
  EXPECT_EQ(server.on_marked_up, OnMarkedUp::shutdown_backup_sessions);
  EXPECT_EQ(server.agent,
            (Agent{9'999, *base::IpAddress::parse("127.0.0.1"), Milliseconds(5'000), "hello\n"}));
}

TEST(Settings, MssIsAWordOrANumber) {
  const auto mss = [](const std::string& value) {
    return config_of(one_service(R"(,"mss":)" + value)).services.at(0).mss.limit;
  };
  EXPECT_EQ(mss(R"("auto")"), Mss::kAuto);
  EXPECT_EQ(mss(R"("off")"), Mss::kOff);
  EXPECT_EQ(mss("88"), 88);
  EXPECT_EQ(mss("65495"), 65'495);
  const Config config = config_of(R"({"ports":[{"name":"p","device":"af_xdp:eth0"}],"defaults":{"mss":1200},)"
                                  R"("services":[{"name":"a","vip":"192.0.2.1","port":1,"mss":"auto"},)"
                                  R"({"name":"b","vip":"192.0.2.1","port":2}]})");
  EXPECT_EQ(config.services.at(0).mss.limit, Mss::kAuto) << "its own";
  EXPECT_EQ(config.services.at(1).mss.limit, 1'200);
}

TEST(Settings, OfServicesAreReadInBothPlaces) {
  expect_service_settings(config_of(defaults(kServiceSettings)).services.at(0));
  expect_service_settings(config_of(one_service("," + std::string(kServiceSettings))).services.at(0));
  EXPECT_EQ(config_of(one_service(R"(,"maxconn":7)")).services.at(0).maxconn, 7U);
}

TEST(Settings, OfServersAreReadInAllThreePlaces) {
  const std::string settings = kServerSettings;
  const std::string check = R"("check":{"type":"tcp"},)";
  const auto first = [](const std::string& text) { return config_of(text).services.at(0).servers.at(0); };
  expect_server_settings(first(defaults(check + "\"server\":{" + settings + "}")));
  expect_server_settings(first(
      one_service("," + check + "\"server\":{" + settings + "}", R"({"name":"s","address":"192.0.2.11"})")));
  expect_server_settings(first(server(check + settings)));
  const Server alone = first(server(R"("backup":true,"disabled":true)"));
  EXPECT_TRUE(alone.backup);
  EXPECT_TRUE(alone.disabled);
}

TEST(Settings, InnermostValueOfEachKeyHolds) {
  const Config config = config_of(around(
      "\n"
      R"("defaults":{"retries":9,"timeouts":{"queue":"9s","tunnel":"9s"},"server":{"maxconn":9,"maxqueue":9,)"
      R"("slowstart":"9s","agent":{"interval":"9s","send":"9"}}},)",
      service(
          R"(,"retries":8,"timeouts":{"queue":"8s"},"server":{"maxqueue":8,"agent":{"port":8,"send":"8"}})",
          R"({"name":"a","address":"192.0.2.11","maxconn":0,"slowstart":"0s","agent":{"port":0}},)"
          R"({"name":"b","address":"192.0.2.12"})")));
  const Service& service = config.services.at(0);
  EXPECT_EQ(service.retries, 8);
  EXPECT_EQ(service.timeouts.queue, Milliseconds(8'000));
  EXPECT_EQ(service.timeouts.tunnel, Milliseconds(9'000));
  const Server& a = service.servers.at(0);
  EXPECT_EQ(a.maxconn, 0U) << "takes the limit off";
  EXPECT_EQ(a.maxqueue, 8U);
  EXPECT_EQ(a.slowstart, Milliseconds(0)) << "none";
  EXPECT_EQ(a.agent.port, 0) << "none";
  const Server& b = service.servers.at(1);
  EXPECT_EQ(b.maxconn, 9U);
  EXPECT_EQ(b.slowstart, Milliseconds(9'000));
  EXPECT_EQ(b.agent, (Agent{8, std::nullopt, Milliseconds(9'000), "8"}));
}

TEST(Settings, AgentOfDefaultsMayLeaveThePortToServers) {
  EXPECT_THAT(told(defaults(R"("server":{"agent":{"interval":"1s"}})")), IsEmpty());
}

TEST(Settings, ObserveOfDefaultsIsForServersWithChecks) {
  EXPECT_THAT(told(defaults(R"("server":{"observe":"layer4"})")), IsEmpty());
}

TEST(Settings, PciDevicesComeInTheFormsOfDpdk) {
  for (const char* device : {"0000:01:00.0", "01:00.0", "10000:e1:00.7", "0000:0A:1f.1,dv_flow_en=1,x=a:b"}) {
    const Config config = config_of(ports(R"({"name":"p","device":"pci:)" + std::string(device) + "\"}"));
    EXPECT_EQ(config.ports.at(0).argument, device);
  }
}

}  // namespace
}  // namespace sluice::config
