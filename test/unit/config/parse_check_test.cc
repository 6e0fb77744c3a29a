#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/names.h"
#include "test/unit/config/wrong.h"

namespace sluice::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// The check of the first server of a valid configuration.
Check check_of(const std::string& text) {
  const Parsed parsed = parse_config(text, NamedFiles::trusted);
  EXPECT_THAT(told(text), IsEmpty());
  return parsed.config.services.at(0).servers.at(0).check;
}

INSTANTIATE_TEST_SUITE_P(
    CheckSettings, Wrong,
    testing::Values(
        Row{"UnknownType",
            check(R"("type":"httpchk")"),
            {R"(f:2:72: service "web": check.type: "httpchk" is not known; allowed: "none", "tcp", "tcp-check", "http", "https", "tls", "dns", "udp", "external")"}},
        Row{"Port",
            check(R"("type":"tcp","port":0)"),
            {R"(f:2:85: service "web": check.port: 0 is out of range: from 1 to 65535)"}},
        Row{"Address",
            check(R"("type":"tcp","address":"web1")"),
            {R"(f:2:88: service "web": check.address: "web1" is not an IPv4 or IPv6 address)"}},
        Row{"AddressMulticast",
            check(R"("type":"tcp","address":"224.0.0.1")"),
            {R"(f:2:88: service "web": check.address: 224.0.0.1 is a multicast address: no one host has it)"}},
        Row{"KeyOfOtherType",
            check(R"("type":"tcp","path":"/x")"),
            {R"(f:2:78: service "web": check: key "path" is not for checks of type "tcp", only for "http" and "https")"}},
        Row{"KeyOfOtherTypes",
            check(R"("type":"http","sni":"x")"),
            {R"(f:2:79: service "web": check: key "sni" is not for checks of type "http", only for "tcp-check", "https" and "tls")"}},
        Row{"LingerOfScript",
            check(R"("type":"tcp-check","linger":true)"),
            {R"(f:2:84: service "web": check: key "linger" is not for checks of type "tcp-check", only for "tcp")"}},
        Row{"KeyWithoutTypeInServer",
            server(R"("check":{"query":"x"})"),
            {R"(f:2:111: server "web/s": check: key "query" is for checks of type "dns", but no type is given)"}},
        Row{"KeyBelowItsType",
            defaults(R"("check":{"type":"tcp"})",
                     R"({"name":"s","address":"192.0.2.11","check":{"path":"/"}})"),
            {R"(f:3:111: server "web/s": check: key "path" is not for checks of type "tcp", only for "http" and "https")"}},
        Row{"KeyWithoutType",
            server(R"("check":{"path":"/"})"),
            {R"(f:2:111: server "web/s": check: key "path" is for checks of type "http" and "https", but no type is given)"}},
        Row{"KeyWithoutTypeInService",
            check(R"("status":200)"),
            {R"(f:2:65: service "web": check: key "status" is for checks of type "http" and "https", but no type is given)"}},
        Row{"Method",
            check(R"("type":"http","method":"GET /")"),
            {R"(f:2:88: service "web": check.method: "GET /" is not an HTTP method, such as "GET" or "HEAD")"}},
        Row{"MethodEmpty",
            check(R"("type":"http","method":"")"),
            {R"(f:2:88: service "web": check.method: is empty)"}},
        Row{"Path",
            check(R"("type":"http","path":"readyz")"),
            {R"(f:2:86: service "web": check.path: "readyz" is not a path: it begins with / (did you mean "/readyz"?))"}},
        Row{"PathBlank",
            check(R"("type":"http","path":"/a b")"),
            {R"(f:2:86: service "web": check.path: "/a b" has a blank or a control character: write %20 for a blank)"}},
        Row{"PathLineEnd",
            check(R"("type":"http","path":"/\r\nX: y")"),
            {R"(f:2:86: service "web": check.path: "/??X: y" has a blank or a control character: write %20 for a blank)"}},
        Row{"Host",
            check(R"("type":"http","host":"a\nb")"),
            {R"(f:2:86: service "web": check.host: "a?b" has a blank or a control character)"}},
        Row{"StatusWord",
            check(R"("type":"http","status":"2xx")"),
            {R"(f:2:88: service "web": check.status: "2xx" is not an HTTP status from 100 to 599 or a range of them, such as "200-299")"}},
        Row{"StatusTooLarge",
            check(R"("type":"http","status":600)"),
            {R"(f:2:88: service "web": check.status: 600 is out of range: from 100 to 599)"}},
        Row{"StatusTooLargeInRange",
            check(R"("type":"http","status":"200-600")"),
            {R"(f:2:88: service "web": check.status: "200-600" is not an HTTP status from 100 to 599 or a range of them, such as "200-299")"}},
        Row{"StatusReversed",
            check(R"("type":"http","status":"299-200")"),
            {R"(f:2:88: service "web": check.status: "299-200" ends before it begins (did you mean "200-299"?))"}},
        Row{"StatusOpen",
            check(R"("type":"http","status":["200-"])"),
            {R"(f:2:89: service "web": check.status[0]: "200-" is not an HTTP status from 100 to 599 or a range of them, such as "200-299")"}},
        Row{"StatusEmpty",
            check(R"("type":"http","status":[])"),
            {R"(f:2:88: service "web": check.status: is empty: at least one is needed)"}},
        Row{"StatusInArray",
            check(R"("type":"http","status":[200,99,"abc",true])"),
            {R"(f:2:93: service "web": check.status[1]: 99 is out of range: from 100 to 599)",
             R"(f:2:96: service "web": check.status[2]: "abc" is not an HTTP status from 100 to 599 or a range of them, such as "200-299")",
             R"(f:2:102: service "web": check.status[3]: expected an HTTP status such as 200 or a range such as "200-299", not true)"}},
        Row{"StatusType",
            check(R"("type":"http","status":true)"),
            {R"(f:2:88: service "web": check.status: expected an HTTP status such as 200, a range such as "200-299" or an array of these, not true)"}},
        Row{"Body",
            check(R"("type":"http","body":"ok")"),
            {R"(f:2:86: service "web": check.body: expected an object such as {"string": "OK"}, not "ok")"}},
        Row{"BodyEmpty",
            check(R"("type":"http","body":{})"),
            {R"(f:2:86: service "web": check.body: is to hold exactly one of "string", "regex", "binary")"}},
        Row{"BodyTwo",
            check(R"("type":"http","body":{"string":"a","regex":"b"})"),
            {R"(f:2:86: service "web": check.body: is to hold exactly one of "string", "regex", "binary")"}},
        Row{"BodyMinRecv",
            check(R"("type":"http","body":{"string":"a","min_recv":5})"),
            {R"(f:2:100: service "web": check.body: unknown key "min_recv")"}},
        Row{"BodyRegex",
            check(R"("type":"http","body":{"regex":"a(b"})"),
            {R"(f:2:95: service "web": check.body.regex: "a(b" is not a regular expression (POSIX extended): Unmatched ( or \()"}},
        Row{"BodyRegexNul",
            check(R"("type":"http","body":{"regex":"a\u0000b"})"),
            {R"(f:2:95: service "web": check.body.regex: "a?b" has a NUL byte, which a regular expression cannot)"}},
        Row{"BodyString",
            check(R"("type":"http","body":{"string":""})"),
            {R"(f:2:96: service "web": check.body.string: is empty)"}},
        Row{"BodyNot",
            check(R"("type":"http","body":{"string":"a","not":"true"})"),
            {R"(f:2:106: service "web": check.body.not: expected true or false, not "true" (did you mean true without quotes?))"}},
        Row{"Verify",
            check(R"("type":"https","verify":"none")"),
            {R"(f:2:89: service "web": check.verify: expected true or false, not "none")"}},
        Row{"CaFile",
            check(R"("type":"https","ca_file":"ca.pem")"),
            {R"(f:2:90: service "web": check.ca_file: "ca.pem" is not an absolute path: it begins with /)"}},
        Row{"KeyFileAlone",
            check(R"("type":"tls","key_file":"/k.pem")"),
            {R"(f:2:64: service "web": check: key "certificate_file" is missing: the certificate that goes with key_file)"}},
        Row{"Query",
            check(R"("type":"dns")"),
            {R"(f:2:64: service "web": check: key "query" is missing: the name to ask for)"}},
        Row{"QueryOfServer",
            server(R"("check":{"type":"dns"})"),
            {R"(f:2:110: server "web/s": check: key "query" is missing: the name to ask for)"}},
        Row{"QueryLabel",
            check(R"("type":"dns","query":"a..b")"),
            {R"(f:2:86: service "web": check.query: "a..b" is not a name that DNS can be asked for, such as "example.com")"}},
        Row{"QueryLongLabel",
            check(
                R"("type":"dns","query":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b")"),
            {R"(f:2:86: service "web": check.query: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..." is not a name that DNS can be asked for, such as "example.com")"}},
        Row{"QueryBlank",
            check(R"("type":"dns","query":"a b")"),
            {R"(f:2:86: service "web": check.query: "a b" is not a name that DNS can be asked for, such as "example.com")"}},
        Row{"QueryType",
            check(R"("type":"dns","query":"a","query_type":"a")"),
            {R"(f:2:103: service "web": check.query_type: "a" is not known; allowed: "A", "AAAA", "NS", "SOA", "TXT", "MX" (did you mean "A"?))"}},
        Row{"Command",
            check(R"("type":"external")"),
            {R"(f:2:64: service "web": check: key "command" is missing: the program that checks the server)"}},
        Row{"CommandRelative",
            check(R"("type":"external","command":"bin/check")"),
            {R"(f:2:93: service "web": check.command: "bin/check" is not an absolute path: it begins with /)"}},
        Row{"SendTwice",
            check(R"("type":"udp","send":"a","send_binary":"61")"),
            {R"(f:2:89: service "web": check: key "send_binary" cannot stand beside "send": give one of them)"}},
        Row{"HexOdd",
            check(R"("type":"udp","send_binary":"616")"),
            {R"(f:2:92: service "web": check.send_binary: "616" has an odd number of hexadecimal digits: two make a byte)"}},
        Row{"HexDigit",
            check(R"("type":"udp","send_binary":"616g")"),
            {R"(f:2:92: service "web": check.send_binary: "616g" has "6g", which is not two hexadecimal digits)"}},
        Row{"HexSign",
            check(R"("type":"udp","send_binary":"61+1")"),
            {R"(f:2:92: service "web": check.send_binary: "61+1" has "+1", which is not two hexadecimal digits)"}},
        Row{"HexEmpty",
            check(R"("type":"udp","send_binary":"")"),
            {R"(f:2:92: service "web": check.send_binary: is empty)"}},
        Row{"ExpectHex",
            check(R"("type":"udp","expect":{"binary":"0x00"})"),
            {R"(f:2:97: service "web": check.expect.binary: "0x00" has "0x", which is not two hexadecimal digits)"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    CheckScript, Wrong,
    testing::Values(
        Row{"StepIsString",
            check(R"("type":"tcp-check","steps":["connect"])"),
            {R"(f:2:93: service "web": check.steps[0]: expected an object such as {"send": "PING\r\n"}, not "connect")"}},
        Row{"StepEmpty",
            check(R"("type":"tcp-check","steps":[{}])"),
            {R"(f:2:93: service "web": check.steps[0]: is to hold exactly one of "connect", "send", "send_binary" and "expect")"}},
        Row{"StepTwo",
            check(R"("type":"tcp-check","steps":[{"send":"a","expect":{"string":"b"}}])"),
            {R"(f:2:93: service "web": check.steps[0]: is to hold exactly one of "connect", "send", "send_binary" and "expect")"}},
        Row{"StepKey",
            check(R"("type":"tcp-check","steps":[{"sned":"a"}])"),
            {R"(f:2:94: service "web": check.steps[0]: unknown key "sned" (did you mean "send"?))"}},
        Row{"ConnectLater",
            check(R"("type":"tcp-check","steps":[{"send":"a"},{"connect":{}}])"),
            {R"(f:2:93: service "web": check.steps[0]: is to be a "connect", as there is one among the later steps)"}},
        Row{"ConnectPort",
            check(R"("type":"tcp-check","steps":[{"connect":{"port":0}}])"),
            {R"(f:2:112: service "web": check.steps[0].connect.port: 0 is out of range: from 1 to 65535)"}},
        Row{"ConnectKey",
            check(R"("type":"tcp-check","steps":[{"connect":{"ssl":true}}])"),
            {R"(f:2:105: service "web": check.steps[0].connect: unknown key "ssl")"}},
        Row{"ConnectTrue",
            check(R"("type":"tcp-check","steps":[{"connect":true}])"),
            {R"(f:2:104: service "web": check.steps[0].connect: expected an object, not true)"}},
        Row{"SendHex",
            check(R"("type":"tcp-check","steps":[{"send_binary":"zz"}])"),
            {R"(f:2:108: service "web": check.steps[0].send_binary: "zz" has "zz", which is not two hexadecimal digits)"}},
        Row{"ExpectNothing",
            check(R"("type":"tcp-check","steps":[{"expect":{"not":true}}])"),
            {R"(f:2:103: service "web": check.steps[0].expect: is to hold exactly one of "string", "regex", "binary")"}},
        Row{"ExpectRegex",
            check(R"("type":"tcp-check","steps":[{"expect":{"regex":"[a"}}])"),
            {R"(f:2:112: service "web": check.steps[0].expect.regex: "[a" is not a regular expression (POSIX extended): Unmatched [, [^, [:, [., or [=)"}},
        Row{"ExpectMinRecv",
            check(R"("type":"tcp-check","steps":[{"expect":{"string":"a","min_recv":0}}])"),
            {R"(f:2:128: service "web": check.steps[0].expect.min_recv: 0 is out of range: from 1 to 16384)"}},
        Row{"Comment",
            check(R"("type":"tcp-check","steps":[{"comment":"a"}])"),
            {R"(f:2:93: service "web": check.steps[0]: is to hold exactly one of "connect", "send", "send_binary" and "expect")"}}),
    name_of_row);

TEST(Check, HasTheDefaultsOfHAProxy) {
  const Check check = check_of(server(R"("check":{"type":"http"})"));
  EXPECT_EQ(check.type, CheckType::http);
  EXPECT_EQ(check.interval, Milliseconds(2'000));
  EXPECT_EQ(check.rise, 2);
  EXPECT_EQ(check.fall, 3);
  EXPECT_EQ(check.http,
            (CheckHttp{.method = "GET", .path = "/", .host = "", .status = {{200, 399}}, .body = {}}));
}

TEST(Check, OfHttpsIsReadInFull) {
  const Check check = check_of(server(
      R"("check":{"type":"https","port":8443,"address":"127.0.0.1","interval":"1s","fast_interval":"100ms",)"
      R"("down_interval":"5s","timeout":"3s","rise":4,"fall":5,"method":"HEAD","path":"/readyz?verbose",)"
      R"("host":"api.example","status":["200-299",404,"418"],"body":{"regex":"^ok","not":true},"verify":false,)"
      R"("ca_file":"/ca","certificate_file":"/cert","key_file":"/key","sni":"sni.example"})"));
  EXPECT_EQ(check.port, 8443);
  EXPECT_EQ(check.address->to_string(), "127.0.0.1") << "checks may go where packets cannot";
  EXPECT_EQ(check.interval, Milliseconds(1'000));
  EXPECT_EQ(check.fast_interval, Milliseconds(100));
  EXPECT_EQ(check.down_interval, Milliseconds(5'000));
  EXPECT_EQ(check.timeout, Milliseconds(3'000));
  EXPECT_EQ(check.rise, 4);
  EXPECT_EQ(check.fall, 5);
  EXPECT_EQ(check.http, (CheckHttp{.method = "HEAD",
                                   .path = "/readyz?verbose",
                                   .host = "api.example",
                                   .status = {{200, 299}, {404, 404}, {418, 418}},
                                   .body = Expect{Expect::Match::regex, "^ok", true}}));
  EXPECT_EQ(check.tls, (CheckTls{.verify = false,
                                 .ca_file = "/ca",
                                 .certificate_file = "/cert",
                                 .key_file = "/key",
                                 .sni = "sni.example"}));
}

TEST(Check, StatusMayBeOneNumberOrOneRange) {
  EXPECT_THAT(check_of(check(R"("type":"http","status":204)")).http.status,
              ElementsAre(StatusRange{204, 204}));
  EXPECT_THAT(check_of(check(R"("type":"http","status":"204")")).http.status,
              ElementsAre(StatusRange{204, 204}));
  EXPECT_THAT(check_of(check(R"("type":"http","status":"100-599")")).http.status,
              ElementsAre(StatusRange{100, 599}));
}

TEST(Check, ScriptIsReadStepByStep) {
  const Check script = check_of(
      check(R"("type":"tcp-check","verify":false,"steps":[{"connect":{"port":25,"tls":true,"linger":true}},)"
            R"({"send":"EHLO \u00fc\r\n\u0000"},{"send_binary":"00fF"},)"
            R"({"expect":{"string":"250","min_recv":3},"comment":"greeting"},)"
            R"({"expect":{"binary":"0d0A","not":true}},{"expect":{"regex":"^2[0-9]{2} "}}])"));
  EXPECT_FALSE(script.tls.verify);
  using Kind = CheckStep::Kind;
  const auto send = [](std::string data) {
    CheckStep step;
    step.kind = Kind::send;
    step.data = std::move(data);
    return step;
  };
  const auto expect = [](Expect expected, std::uint32_t min_recv, std::string comment) {
    CheckStep step;
    step.kind = Kind::expect;
    step.expect = std::move(expected);
    step.min_recv = min_recv;
    step.comment = std::move(comment);
    return step;
  };
  CheckStep connect;
  connect.port = 25;
  connect.tls = true;
  connect.linger = true;
  EXPECT_THAT(script.steps, ElementsAre(connect, send(std::string("EHLO \xc3\xbc\r\n\0", 10)),
                                        send(std::string("\0\xff", 2)),
                                        expect({Expect::Match::string, "250", false}, 3, "greeting"),
                                        expect({Expect::Match::binary, "\r\n", true}, 0, ""),
                                        expect({Expect::Match::regex, "^2[0-9]{2} ", false}, 0, "")));
}

TEST(Check, ScriptMayDoWithoutConnect) {
  EXPECT_THAT(check_of(check(R"("type":"tcp-check")")).steps, IsEmpty());
  EXPECT_EQ(check_of(check(R"("type":"tcp-check","steps":[{"expect":{"string":"220"}}])")).steps.size(), 1U);
}

TEST(Check, OfDatagramsAndPrograms) {
  const Check dns = check_of(check(R"("type":"dns","query":"example.com.","query_type":"MX")"));
  EXPECT_EQ(dns.query, "example.com.");
  EXPECT_EQ(dns.query_type, "MX");
  EXPECT_EQ(check_of(check(R"("type":"dns","query":".")")).query, ".") << "the root";
  const Check udp = check_of(check(R"("type":"udp","send":"ping","expect":{"string":"pong"})"));
  EXPECT_EQ(udp.send, "ping");
  EXPECT_EQ(udp.expect, (Expect{Expect::Match::string, "pong", false}));
  EXPECT_EQ(check_of(check(R"("type":"udp","send_binary":"0001")")).send, std::string("\0\1", 2));
  EXPECT_EQ(check_of(check(R"("type":"external","command":"/bin/check")")).command, "/bin/check");
  EXPECT_TRUE(check_of(check(R"("type":"tcp","linger":true)")).linger);
}

TEST(Check, InnermostValueOfEachKeyHolds) {
  const std::string text = around(
      "\n"
      R"("defaults":{"check":{"type":"http","path":"/a","interval":"1s","status":200,"rise":7}},)",
      service(R"(,"check":{"path":"/b","fall":8})",
              R"({"name":"s","address":"192.0.2.11","check":{"path":"/c","type":"https","sni":"x"}})"));
  const Check check = check_of(text);
  EXPECT_EQ(check.type, CheckType::https);
  EXPECT_EQ(check.http.path, "/c");
  EXPECT_THAT(check.http.status, ElementsAre(StatusRange{200, 200}));
  EXPECT_EQ(check.interval, Milliseconds(1'000));
  EXPECT_EQ(check.rise, 7);
  EXPECT_EQ(check.fall, 8);
  EXPECT_EQ(check.tls.sni, "x");
}

TEST(Check, OfAnotherTypeInheritsOnlyWhatThatTypeUses) {
  const std::string http = R"("check":{"type":"http","path":"/a","body":{"string":"ok"},"interval":"1s"})";
  for (const auto& [type, name] : kNames<CheckType>) {
    if (type == CheckType::http || type == CheckType::https) continue;
    std::string own = "\"type\":\"" + std::string(name) + "\"";
    if (type == CheckType::dns) own += R"(,"query":"a")";
    if (type == CheckType::external) own += R"(,"command":"/a")";
    const Check inherited =
        check_of(defaults(http, R"({"name":"s","address":"192.0.2.11","check":{)" + own + "}}"));
    const Check alone = check_of(server("\"check\":{\"interval\":\"1s\"," + own + "}"));
    EXPECT_EQ(inherited, alone) << name;
  }
}

TEST(Check, DefaultsMayHoldSettingsOfNoType) {
  const std::string path = R"("check":{"path":"/a","query":"x"})";
  EXPECT_EQ(check_of(defaults(path)), Check{});
  EXPECT_EQ(
      check_of(defaults(path, R"({"name":"s","address":"192.0.2.11","check":{"type":"http"}})")).http.path,
      "/a");
}

TEST(Check, OfNoneMayKeepItsSettings) {
  EXPECT_EQ(check_of(check(R"("type":"none","path":"/a")")), Check{});
}

TEST(Check, OfServiceMayLeaveTheTypeToItsServers) {
  const std::string servers = R"({"name":"s","address":"192.0.2.11","check":{"type":"http"}},)"
                              R"({"name":"t","address":"192.0.2.12"})";
  EXPECT_EQ(check_of(one_service(R"(,"check":{"path":"/a"})", servers)).http.path, "/a");
}

TEST(Check, NeedOfATypeMayBeMetFurtherIn) {
  EXPECT_EQ(check_of(defaults(R"("check":{"type":"dns"})",
                              R"({"name":"s","address":"192.0.2.11","check":{"query":"a"}})"))
                .query,
            "a");
}

TEST(Check, OfTcpIsAllowedForUdpServices) {
  EXPECT_EQ(check_of(one_service(R"(,"protocol":"udp","check":{"type":"tcp-check"})",
                                 R"({"name":"s","address":"192.0.2.11"})"))
                .type,
            CheckType::tcp_check);
}

}  // namespace
}  // namespace sluice::config
