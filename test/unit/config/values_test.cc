#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/cpu_list.h"
#include "config/diff.h"
#include "config/duration.h"
#include "config/forwarding.h"
#include "config/names.h"
#include "config/parse.h"
#include "config/source_map.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Config parsed(const std::string& text) {
  const Parsed result = parse_config(text, NamedFiles::trusted);
  for (const Diagnostic& diagnostic : result.diagnostics) ADD_FAILURE() << format(diagnostic, "text");
  return result.config;
}

constexpr const char* kBefore = R"({
  "ports": [{"name": "lan", "device": "af_xdp:eth0"}],
  "services": [
    {"name": "web", "vip": "192.0.2.10", "port": 80,
     "servers": [{"name": "s1", "address": "192.0.2.11"}, {"name": "s2", "address": "192.0.2.12"}]},
    {"name": "old", "vip": "192.0.2.10", "port": 81}]})";

constexpr const char* kAfter = R"({
  "ports": [{"name": "lan", "device": "af_xdp:eth1"}, {"name": "wan", "device": "vdev:net_null0"}],
  "dataplane": {"workers": 2},
  "services": [
    {"name": "new", "vip": "2001:db8::1", "port": 53, "protocol": "udp",
     "servers": [{"name": "n", "address": "2001:db8::2"}]},
    {"name": "web", "vip": "192.0.2.10", "port": 80, "balance": "first", "timeouts": {"udp": "90s"},
     "servers": [{"name": "s3", "address": "192.0.2.13", "weight": 5},
                 {"name": "s1", "address": "192.0.2.11", "weight": 50, "check": {"down_interval": "1s"}}]}]})";

std::vector<std::string> texts(const std::vector<Change>& changes) {
  std::vector<std::string> all;
  for (const Change& change : changes) all.push_back(to_string(change));
  return all;
}

TEST(Diff, OfTheSameIsEmpty) {
  EXPECT_THAT(diff(parsed(kBefore), parsed(kBefore)), IsEmpty());
  EXPECT_FALSE(needs_restart(parsed(kBefore), parsed(kBefore)));
}

TEST(Diff, TellsWhatCameWentAndChanged) {
  EXPECT_THAT(texts(diff(parsed(kBefore), parsed(kAfter))),
              ElementsAre("dataplane changed: workers 1 -> 2",
                          R"(port "lan" changed: device "af_xdp:eth0" -> "af_xdp:eth1")",
                          R"(port "wan" added: vdev:net_null0)",
                          R"(service "new" added: [2001:db8::1]:53/udp, 1 server)",
                          R"(service "web" changed: balance roundrobin -> first, timeouts.udp 2m -> 90s)",
                          R"(server "web/s3" added: 192.0.2.13:80, weight 5)",
                          R"(server "web/s1" changed: weight 100 -> 50, check.down_interval default -> 1s)",
                          R"(server "web/s2" removed: 192.0.2.12:80, weight 100)",
                          R"(service "old" removed: 192.0.2.10:81/tcp, 0 servers)"));
  EXPECT_TRUE(needs_restart(parsed(kBefore), parsed(kAfter)));
}

std::string one_server(const std::string& global, const std::string& service, const std::string& server) {
  return R"({"ports": [{"name": "lan", "device": "af_xdp:eth0"}], "global": {)" + global +
         R"(}, "services": [{"name": "web", "vip": "192.0.2.10", "port": 80)" + service +
         R"(, "servers": [{"name": "s", "address": "192.0.2.11")" + server + "}]}]}";
}

TEST(Diff, NamesEveryKeyThatChanged) {
  const Config from = parsed(one_server("", "", ""));
  const Config to = parsed(one_server(
      R"("maxconn": 9, "hard_stop_after": "1h", "spread_checks": 5)",
      R"(, "idle_refresh": "data", "no_server": "drop",
         "clients": {"allow": ["10.0.0.0/8", "192.0.2.7"], "deny": ["10.9.0.0/16"], "rate": 5, "burst": 6,
                     "maxconn": 7, "table": 99, "refuse": "drop", "ipv4_prefix": 24}, "maxconn": 8, "retries": 1,
         "redispatch": false,
         "mss": "off", "allbackups": true, "timeouts": {"queue": "1s", "tunnel": "2s", "client_fin": "3s", "server_fin": "4s"})",
      R"(, "maxconn": 7, "maxqueue": 6, "slowstart": "60s", "backup": true, "disabled": true, "observe": "layer4",
         "error_limit": 5, "on_error": "mark-down", "on_marked_down": "shutdown-sessions",
         "on_marked_up": "shutdown-backup-sessions",
         "agent": {"port": 9, "address": "192.0.2.99", "interval": "1s", "send": "a\n"},
         "check": {"type": "https", "port": 81, "address": "192.0.2.98", "method": "HEAD", "path": "/a", "host": "h",
                   "status": [200, "300-301"], "body": {"regex": "x", "not": true}, "verify": false, "ca_file": "/a",
                   "certificate_file": "/c", "key_file": "/k", "sni": "i"})"));
  EXPECT_THAT(
      texts(diff(from, to)),
      ElementsAre(
          "global changed: maxconn 0 -> 9, hard_stop_after default -> 1h, spread_checks 0 -> 5",
          R"(service "web" changed: timeouts.queue default -> 1s, timeouts.tunnel default -> 2s, )"
          R"(timeouts.client_fin default -> 3s, timeouts.server_fin default -> 4s, idle_refresh any -> data, )"
          R"(no_server reset -> drop, clients.allow 2 added [10.0.0.0/8, 192.0.2.7/32], )"
          R"(clients.deny 1 added [10.9.0.0/16], clients.rate 0 -> 5, clients.burst 0 -> 6, clients.maxconn 0 -> 7, )"
          R"(clients.table 65536 -> 99, clients.refuse reset -> drop, clients.ipv4_prefix 32 -> 24, )"
          R"(maxconn 0 -> 8, retries 3 -> 1, redispatch true -> false, )"
          R"(mss auto -> off, allbackups false -> true)",
          R"(server "web/s" changed: maxconn 0 -> 7, maxqueue 0 -> 6, slowstart 0ms -> 1m, backup false -> true, )"
          R"(disabled false -> true, observe none -> layer4, error_limit 10 -> 5, on_error fail-check -> mark-down, )"
          R"(on_marked_down none -> shutdown-sessions, on_marked_up none -> shutdown-backup-sessions, )"
          R"(check.type none -> https, check.address default -> 192.0.2.98, check.port 0 -> 81, )"
          R"(check.method "GET" -> "HEAD", check.path "/" -> "/a", check.host "" -> "h", )"
          R"(check.status [200-399] -> [200 300-301], check.body default -> not regex "x", )"
          R"(check.verify true -> false, check.ca_file "" -> "/a", check.certificate_file "" -> "/c", )"
          R"(check.key_file "" -> "/k", check.sni "" -> "i", agent.port 0 -> 9, )"
          R"(agent.address default -> 192.0.2.99, agent.interval 2s -> 1s, agent.send "" -> 0x610a)"));
  EXPECT_FALSE(needs_restart(from, to));
}

TEST(Diff, CountsNetworksAndNamesThreeOfThem) {
  const auto with = [](const std::string& networks) {
    return parsed(one_server("", R"(, "clients": {"deny": [)" + networks + "]}", ""));
  };
  const auto change = [&](const std::string& from, const std::string& to) {
    return texts(diff(with(from), with(to)));
  };
  EXPECT_THAT(
      change(R"("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.9")",
             R"("10.0.0.8", "10.0.0.9", "10.0.0.7", "10.0.0.6")"),
      ElementsAre(R"(service "web" changed: clients.deny 3 added [10.0.0.6/32, 10.0.0.7/32, 10.0.0.8/32] )"
                  R"(and 4 removed [10.0.0.1/32, 10.0.0.2/32, 10.0.0.3/32, ...])"));
  EXPECT_THAT(change(R"("10.0.0.1", "10.0.0.0/8")", R"("10.0.0.1")"),
              ElementsAre(R"(service "web" changed: clients.deny 1 removed [10.0.0.0/8])"));
  EXPECT_THAT(change(R"("10.0.0.1", "10.0.0.0/8")", R"("10.0.0.0/8", "10.0.0.1")"), IsEmpty())
      << "another order means nothing";
}

TEST(Diff, TableOfClientsHoldsOnceTheyAreCounted) {
  const auto with = [](const std::string& clients) {
    return parsed(one_server("", R"(, "clients": {)" + clients + "}", ""));
  };
  EXPECT_FALSE(needs_restart(with(R"("table": 16)"), with(R"("table": 99, "rate": 5)")))
      << "not counted before";
  EXPECT_FALSE(needs_restart(with(R"("table": 16, "rate": 5)"), with(R"("table": 99)"))) << "not any more";
  EXPECT_FALSE(needs_restart(with(R"("table": 16, "rate": 5)"), with(R"("table": 16, "maxconn": 5)")));
  const Config from = with(R"("table": 16, "rate": 5)"), to = with(R"("table": 99, "rate": 6)");
  EXPECT_TRUE(needs_restart(from, to));
  EXPECT_THAT(texts(restart_changes(from, to)),
              ElementsAre(R"(service "web" changed: clients.table 16 -> 99)"));
  Config moved = to;
  moved.services[0].vip.port = 81;
  EXPECT_FALSE(needs_restart(from, moved)) << "another endpoint has a table of its own";
  Config other_mode = to;
  other_mode.services[0].mode = Mode::dnat;
  EXPECT_FALSE(needs_restart(from, other_mode)) << "so has another mode";
  EXPECT_THAT(texts(restart_changes(from, with(R"("table": 16, "rate": 5, "ipv4_prefix": 24)"))),
              ElementsAre(R"(service "web" changed: clients.ipv4_prefix 32 -> 24)"));
}

TEST(Diff, NamesPortsInAnotherOrder) {
  Config from = parsed(kBefore);
  from.ports.push_back(from.ports.front());
  from.ports.back().name = "other";
  Config to = from;
  std::swap(to.ports.front(), to.ports.back());
  EXPECT_TRUE(needs_restart(from, to));
  EXPECT_THAT(texts(diff(from, to)), ElementsAre("ports changed: in another order"));
}

TEST(Diff, TellsChecksOfOtherTypesApart) {
  const auto with = [](const std::string& check) {
    return parsed(one_server("", "", ", \"check\": {" + check + "}"));
  };
  const auto change = [&](const std::string& from, const std::string& to) {
    return texts(diff(with(from), with(to)));
  };
  EXPECT_THAT(change(R"("type": "tcp")", R"("type": "tcp", "linger": true)"),
              ElementsAre(R"(server "web/s" changed: check.linger false -> true)"));
  EXPECT_THAT(
      change(R"("type": "tcp-check")",
             R"("type": "tcp-check", "steps": [{"connect": {"port": 25, "tls": true, "linger": true}},
                {"expect": {"string": "220", "min_recv": 3}, "comment": "greeting"}, {"send": "QUIT\r\n"},
                {"send_binary": "41"}, {"expect": {"binary": "0a"}}])"),
      ElementsAre(R"(server "web/s" changed: check.steps [] -> [connect port 25 tls linger, )"
                  R"(expect min_recv 3 string "220" comment "greeting", send 0x515549540d0a, send "A", )"
                  R"(expect binary 0x0a])"));
  EXPECT_THAT(change(R"("type": "dns", "query": "a")", R"("type": "dns", "query": "b", "query_type": "NS")"),
              ElementsAre(R"(server "web/s" changed: check.query "a" -> "b", check.query_type "A" -> "NS")"));
  EXPECT_THAT(
      change(R"("type": "udp", "send": "a")", R"("type": "udp", "expect": {"string": "b"})"),
      ElementsAre(R"(server "web/s" changed: check.send "a" -> "", check.expect default -> string "b")"));
  EXPECT_THAT(change(R"("type": "external", "command": "/a")", R"("type": "external", "command": "/b")"),
              ElementsAre(R"(server "web/s" changed: check.command "/a" -> "/b")"));
}

TEST(Diff, TellsAnotherOrderOfServers) {
  const auto with = [](const std::string& order) {
    std::string servers;
    for (const char name : order) {
      servers += (servers.empty() ? "" : ",") + std::string(R"({"name": ")") + name +
                 R"(", "address": "192.0.2.)" + std::to_string(name) + "\"}";
    }
    return parsed(R"({"ports": [{"name": "lan", "device": "af_xdp:eth0"}],
                      "services": [{"name": "web", "vip": "192.0.2.10", "port": 80, "servers": [)" +
                  servers + "]}]}");
  };
  EXPECT_THAT(texts(diff(with("abc"), with("acb"))),
              ElementsAre(R"(service "web" changed: servers in another order)"));
  EXPECT_THAT(texts(diff(with("abc"), with("ac"))),
              ElementsAre(testing::StartsWith(R"(server "web/b" removed)")));
  EXPECT_THAT(texts(diff(with("ac"), with("abc"))),
              ElementsAre(testing::StartsWith(R"(server "web/b" added)")));
}

ForwardingServer weighing(const Server& server, std::uint32_t weight) {
  return {server.name, server.endpoint, weight};
}

TEST(Diff, OfForwardingStatesLooksPastTheGeneration) {
  const Config config = parsed(kBefore);
  const auto all = [](const Service&, const Server& server) { return weighing(server, server.weight); };
  const auto full = forwarding_of(config, 1, all);
  const auto same = forwarding_of(config, 2, all);
  const auto down = forwarding_of(config, 3, [](const Service&, const Server& server) {
    return weighing(server, server.name == "s2" ? 0 : server.weight);
  });
  EXPECT_THAT(diff(full, same), IsEmpty());
  EXPECT_THAT(texts(diff(full, down)), ElementsAre(R"(server "web/s2" changed: weight 100 -> 0)"));
  ForwardingState limited = full;
  limited.maxconn = 5;
  limited.services[0].servers[0].maxconn = 3;
  limited.services[0].servers[0].maxqueue = 2;
  limited.services[0].servers[0].shutdowns = 2;
  EXPECT_THAT(texts(diff(full, limited)),
              ElementsAre("global changed: maxconn 0 -> 5",
                          R"(server "web/s1" changed: maxconn 0 -> 3, maxqueue 0 -> 2, )"
                          R"(shutdowns 0 -> 2)"));
}

TEST(Forwarding, CarriesEverythingThatDpNeeds) {
  const Config config = parsed(kAfter);
  const auto state = forwarding_of(config, 9, [](const Service& service, const Server& server) {
    return weighing(server, service.name == "web" ? server.weight * 2U : 1U);
  });
  EXPECT_EQ(state.generation, 9U);
  ASSERT_EQ(state.services.size(), 2U);
  const ForwardingService& dns = state.services[0];
  EXPECT_EQ(dns.protocol, Protocol::udp);
  EXPECT_EQ(dns.vip.to_string(), "[2001:db8::1]:53");
  ASSERT_EQ(dns.local_addresses.size(), 1U) << "the vip itself by default";
  EXPECT_EQ(dns.local_addresses[0], dns.vip.address);
  EXPECT_EQ(dns.servers[0].endpoint.to_string(), "[2001:db8::2]:53") << "the service's port by default";
  const ForwardingService& web = state.services[1];
  EXPECT_EQ(web.balance, Balance::first);
  EXPECT_EQ(web.timeouts.udp, Milliseconds(90'000));
  EXPECT_EQ(web.servers[0].weight, 10U);
}

TEST(Forwarding, CarriesTheLimits) {
  const Config config = parsed(one_server(
      R"("maxconn": 9, "hard_stop_after": "1h")",
      R"(, "idle_refresh": "data", "no_server": "drop", "clients": {"deny": ["10.0.0.0/8"], "rate": 5},
          "maxconn": 8, "retries": 1, "redispatch": false, "mss": 1300)",
      ""));
  const auto state = forwarding_of(
      config, 1, [](const Service&, const Server& server) { return weighing(server, server.weight); });
  EXPECT_EQ(state.maxconn, 9U);
  EXPECT_EQ(state.hard_stop_after, Milliseconds(3'600'000));
  const ForwardingService& web = state.services.at(0);
  EXPECT_EQ(web.idle_refresh, IdleRefresh::data);
  EXPECT_EQ(web.no_server, NoServer::drop);
  EXPECT_EQ(web.clients, config.services[0].clients);
  EXPECT_EQ(web.clients.burst, 5U);
  EXPECT_EQ(web.maxconn, 8U);
  EXPECT_EQ(web.retries, 1);
  EXPECT_FALSE(web.redispatch);
  EXPECT_EQ(web.mss.limit, 1'300);
}

TEST(Mss, ReadsWhatItWrites) {
  for (const char* text : {"auto", "off", "88", "1400", "65495"})
    EXPECT_EQ(Mss::parse(text)->to_string(), text);
  for (const char* text : {"", "AUTO", "0", "87", "65496", "65535", "65536", "14 00", "-1", "1400x"}) {
    EXPECT_FALSE(Mss::parse(text)) << text;
  }
}

TEST(Duration, ReadsEveryUnit) {
  EXPECT_EQ(*parse_duration("2000us"), Milliseconds(2));
  EXPECT_EQ(*parse_duration("1ms"), Milliseconds(1));
  EXPECT_EQ(*parse_duration("10s"), Milliseconds(10'000));
  EXPECT_EQ(*parse_duration("2m"), Milliseconds(120'000));
  EXPECT_EQ(*parse_duration("1h"), Milliseconds(3'600'000));
  EXPECT_EQ(*parse_duration("20d"), kLongestDuration);
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text : {"", "s", "5", "5 s", "-5s", "+5s", "1.5s", "5S", "0ms", "999us", "1500us", "21d",
                           "5weeks", "99999999999999999999s", "18446744073709551615d", "1728000001ms"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Duration, TextReadsBackAsTheSame) {
  for (const std::int64_t count :
       {1, 999, 1'000, 1'500, 60'000, 90'000, 3'600'000, 86'400'000, 1'728'000'000}) {
    const Milliseconds duration(count);
    EXPECT_EQ(*parse_duration(duration_text(duration)), duration) << duration_text(duration);
  }
  EXPECT_EQ(duration_text(Milliseconds(90'000)), "90s");
  EXPECT_EQ(duration_text(Milliseconds(3'600'000)), "1h");
  EXPECT_EQ(duration_text(Milliseconds(0)), "0ms");
}

TEST(CpuList, ReadsRangesAndSingles) {
  EXPECT_THAT(*parse_cpu_list("2-5,8"), ElementsAre(2, 3, 4, 5, 8));
  EXPECT_THAT(*parse_cpu_list("3,1,2-3"), ElementsAre(1, 2, 3));
  EXPECT_THAT(*parse_cpu_list("1023"), ElementsAre(1023));
  EXPECT_THAT(*parse_cpu_list(""), IsEmpty());
  EXPECT_EQ(cpu_list_text({}), "");
  EXPECT_EQ(cpu_list_text({3}), "3");
  EXPECT_EQ(cpu_list_text({0, 1, 4, 6, 7, 8}), "0-1,4,6-8");
}

TEST(CpuList, RefusesWhatIsNone) {
  for (const char* text : {",", "1,", ",1", "1-", "-1", "5-2", "1-2-3", "1024", "a", "1 ,2", "0x1"}) {
    EXPECT_FALSE(parse_cpu_list(text)) << text;
  }
}

template <typename E>
void expect_names_read_back() {
  for (const auto& [value, name] : kNames<E>) {
    EXPECT_EQ(name_of(value), name);
    EXPECT_EQ(named<E>(name), value);
  }
  EXPECT_EQ(named<E>("no such name"), std::nullopt);
}

TEST(Names, ReadBack) {
  expect_names_read_back<Protocol>();
  expect_names_read_back<Mode>();
  expect_names_read_back<Balance>();
  expect_names_read_back<HashKey>();
  expect_names_read_back<DeviceKind>();
  expect_names_read_back<Hugepages>();
  expect_names_read_back<IdlePolicy>();
  expect_names_read_back<SynOverflow>();
  expect_names_read_back<CheckType>();
  expect_names_read_back<Expect::Match>();
  expect_names_read_back<IdleRefresh>();
  expect_names_read_back<SynCookies>();
  expect_names_read_back<ClientRefusal>();
  expect_names_read_back<NoServer>();
  expect_names_read_back<Observe>();
  expect_names_read_back<OnError>();
  expect_names_read_back<OnMarkedDown>();
  expect_names_read_back<OnMarkedUp>();
}

TEST(Suggest, NamesTheNearestOnlyWhenItIsNear) {
  const std::vector<std::string_view> keys{"servers", "server", "source_ports", "vip", "protocol"};
  EXPECT_EQ(did_you_mean("sevrer", keys), " (did you mean \"server\"?)");
  EXPECT_EQ(did_you_mean("proto", keys), " (did you mean \"protocol\"?)");
  EXPECT_EQ(did_you_mean("vpi", keys), " (did you mean \"vip\"?)");
  EXPECT_EQ(did_you_mean("weight", keys), "");
  EXPECT_EQ(did_you_mean("", keys), "");
  EXPECT_EQ(did_you_mean(std::string(1'000'000, 'x'), keys), "");
}

TEST(Suggest, QuotesAreSafeToPrint) {
  EXPECT_EQ(in_quotes("a\nb\x1b[0m"), "\"a?b?[0m\"");
  EXPECT_EQ(in_quotes("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
  EXPECT_EQ(in_quotes("\xff\xc3"), "\"??\"");
  EXPECT_LT(in_quotes(std::string(1'000, 'x')).size(), 70U);
}

TEST(SourceMap, FindsKeysAndValuesPastComments) {
  const std::string text = "/* \" */ { // x\n \"a\" /* : */ : [ 1, {\"b~/\": null,} ,], }";
  const SourceMap map(text);
  EXPECT_EQ(map.key("/a"), text.find("\"a\""));
  EXPECT_EQ(map.value("/a"), text.find('['));
  EXPECT_EQ(map.value("/a/1/b~0~1"), text.find("null"));
  EXPECT_EQ(map.value("/a/1/missing"), text.find("{\"b"));
  EXPECT_EQ(map.value("/nowhere/at/all"), text.find('{'));
}

TEST(SourceMap, SurvivesTextsThatAreNotJson) {
  for (const char* text :
       {"", "{", "[", "{\"a", "{\"a\"", "{\"a\":", "[1", "[1,", "/*", "//", "{\"\\", "]", "{]"}) {
    const SourceMap map(text);
    EXPECT_LE(map.value("/a"), std::string_view(text).size()) << text;
  }
  EXPECT_EQ(SourceMap(std::string(100'000, '[')).value(""), 0U);
}

TEST(LineColumn, CountsCharactersNotBytes) {
  const LineColumn at = line_column("a\n\xc3\xbc\xc3\xbcx", 6);
  EXPECT_EQ(at.line, 2U);
  EXPECT_EQ(at.column, 3U);
}

}  // namespace
}  // namespace sluice::config
