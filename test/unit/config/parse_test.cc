#include "config/parse.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "test/unit/config/wrong.h"

namespace sluice::config {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

TEST_P(Wrong, IsToldInFull) {
  EXPECT_THAT(told(GetParam().text), ElementsAreArray(GetParam().diagnostics));
}

INSTANTIATE_TEST_SUITE_P(
    Syntax, Wrong,
    testing::Values(
        Row{"Empty", "", {"f:1:1: configuration: is empty: at least \"ports\" is needed"}},
        Row{"OnlySpace", " \n\t ", {"f:1:1: configuration: is empty: at least \"ports\" is needed"}},
        Row{"OnlyComment", "// nothing\n", {"f:1:1: configuration: is empty: at least \"ports\" is needed"}},
        Row{"MissingComma",
            "{\n  \"ports\": []\n  \"services\": []\n}",
            {"f:3:3: syntax: a comma or } is missing before this"}},
        Row{"MissingColon", "{\"ports\" []}", {"f:1:10: syntax: a colon is missing after the key"}},
        Row{"UnclosedBrace",
            "{\"ports\": [",
            {"f:1:12: syntax: the file ends here, before all that was begun is closed"}},
        Row{"UnclosedString",
            "{\"ports\": \"abc",
            {"f:1:11: syntax: the string that begins here is not closed"}},
        Row{"SingleQuotes",
            "{'ports': []}",
            {"f:1:2: syntax: a key in double quotes, or }, is expected here"}},
        Row{"SingleQuotedValue", "{\"ports\": 'a'}", {"f:1:11: syntax: strings stand in double quotes"}},
        Row{"UnclosedComment",
            "{\"ports\": /* [] }",
            {"f:1:11: syntax: the comment that begins here is not closed"}},
        Row{"BareWord", "{\"ports\": yes}", {"f:1:11: syntax: a value is expected here"}},
        Row{"MoreAfterTheEnd", "{\"ports\": []} x", {"f:1:15: syntax: nothing may follow the closing }"}},
        Row{"NotAnObject", "[]", {"f:1:1: configuration: the file is to hold one object: { ... }"}},
        Row{"Number", "5", {"f:1:1: syntax: the file is to hold one object: { ... }"}},
        Row{"DeepNesting",
            std::string(10'000, '['),
            {"f:1:1: syntax: brackets are nested deeper than in any configuration"}},
        Row{"BadEscape",
            R"({"a\qb": 1})",
            {"f:1:2: syntax: a backslash is to be followed by one of \" \\ / b f n r t u"}},
        Row{"NoUtf8",
            "{\"ports\":\n[{\"name\": \"gr\xc3\xbc\xfc\"}]}",
            {"f:2:15: syntax: byte 0xfc is no UTF-8 text: save the file as UTF-8"}},
        // A character of more bytes than any has was read beyond a table of the schema library's.
        Row{"ContinuationBytesOnly",
            one_service("", R"({"name":"s)" + std::string(41, '\x80') + R"(","address":"192.0.2.11"})"),
            {"f:2:77: syntax: byte 0x80 is no UTF-8 text: save the file as UTF-8"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    Schema, Wrong,
    testing::Values(
        Row{"UnknownTopKey",
            R"({"ports":[{"name":"lan","device":"af_xdp:eth0"}],"servces":[]})",
            {"f:1:50: configuration: unknown key \"servces\" (did you mean \"services\"?)"}},
        Row{"KeyOfAnotherPlace",
            one_service(R"(,"weight":5)"),
            {"f:2:56: service \"web\": unknown key \"weight\""}},
        Row{"KeyOfItsServers",
            one_service(R"(,"slowstart":"60s")"),
            {"f:2:56: service \"web\": unknown key \"slowstart\""}},
        Row{"BegunKey",
            one_service("", R"({"name":"s1","addr":"192.0.2.11"})"),
            {"f:2:67: server \"web/s1\": key \"address\" is missing",
             "f:2:80: server \"web/s1\": unknown key \"addr\" (did you mean \"address\"?)"}},
        Row{"PortsMissing", "{}", {"f:1:1: configuration: key \"ports\" is missing"}},
        Row{"PortsTwiceAndEmpty",
            R"({"ports":[],"ports":[]})",
            {"f:1:13: configuration: key \"ports\" is given twice (first in line 1)"}},
        Row{"PortsEmpty", ports(""), {"f:1:10: configuration: ports: is empty: at least one is needed"}},
        Row{"ServiceKeysMissing",
            around("", "{}"),
            {"f:2:13: services[0]: key \"name\" is missing", "f:2:13: services[0]: key \"vip\" is missing",
             "f:2:13: services[0]: key \"port\" is missing"}},
        Row{"ServiceIsNumber",
            around("", "5"),
            {"f:2:13: services[0]: expected an object with at least \"name\", \"vip\" and \"port\", not 5"}},
        Row{"ServerIsString",
            one_service("", "\"192.0.2.11\""),
            {"f:2:67: service \"web\" servers[0]: expected an object such as {\"name\": \"web1\", "
             "\"address\": \"192.0.2.11\"}, not \"192.0.2.11\""}},
        Row{"ServicesIsObject",
            R"({"ports":[{"name":"lan","device":"af_xdp:eth0"}],"services":{}})",
            {"f:1:61: configuration: services: expected an array, not an object"}},
        Row{"PortAsText",
            around("", R"({"name":"web","vip":"192.0.2.10","port":"80"})"),
            {"f:2:53: service \"web\": port: expected a port number from 1 to 65535, not \"80\" (did you "
             "mean 80 without quotes?)"}},
        Row{"PortZero",
            around("", R"({"name":"web","vip":"192.0.2.10","port":0})"),
            {"f:2:53: service \"web\": port: 0 is out of range: from 1 to 65535"}},
        Row{"PortTooLarge",
            around("", R"({"name":"web","vip":"192.0.2.10","port":65536})"),
            {"f:2:53: service \"web\": port: 65536 is out of range: from 1 to 65535"}},
        Row{"PortHuge",
            around("", R"({"name":"web","vip":"192.0.2.10","port":123456789012345})"),
            {"f:2:53: service \"web\": port: 123456789012345 is out of range: from 1 to 65535"}},
        Row{"PortBeyondInteger",
            around("", R"({"name":"web","vip":"192.0.2.10","port":1e300})"),
            {"f:2:53: service \"web\": port: expected a port number from 1 to 65535, not "
             "1.0000000000000001e+300"}},
        Row{"PortFraction",
            around("", R"({"name":"web","vip":"192.0.2.10","port":80.5})"),
            {"f:2:53: service \"web\": port: expected a port number from 1 to 65535, not 80.5"}},
        Row{"PortNegative",
            around("", R"({"name":"web","vip":"192.0.2.10","port":-1})"),
            {"f:2:53: service \"web\": port: -1 is out of range: from 1 to 65535"}},
        Row{"WeightTooLarge",
            one_service("", R"({"name":"s1","address":"192.0.2.11","weight":257})"),
            {"f:2:112: server \"web/s1\": weight: 257 is out of range: from 0 to 256"}},
        Row{"UnknownEnum",
            one_service(R"(,"balance":"leastcon")"),
            {"f:2:66: service \"web\": balance: \"leastcon\" is not known; allowed: \"roundrobin\", "
             "\"leastconn\", \"source\", \"hash\", \"random\", \"first\" (did you mean \"leastconn\"?)"}},
        Row{"UnknownMode",
            one_service(R"(,"mode":"dsr")"),
            {"f:2:63: service \"web\": mode: \"dsr\" is not known; allowed: \"fullnat\", \"dnat\""}},
        Row{"EnumIsNumber",
            one_service(R"(,"protocol":6)"),
            {"f:2:67: service \"web\": protocol: 6 is not known; allowed: \"tcp\", \"udp\""}},
        Row{"DurationIsNumber",
            one_service(R"(,"timeouts":{"connect":5})"),
            {"f:2:78: service \"web\": timeouts.connect: expected a duration with its unit, such as \"10s\", "
             "not 5 (did you mean \"5s\"?)"}},
        Row{"DefaultTimeoutKey",
            around("\"defaults\":{\"timeouts\":{\"conect\":\"5s\"}},", ""),
            {"f:1:74: defaults.timeouts: unknown key \"conect\" (did you mean \"connect\"?)"}},
        Row{"DefaultTimeoutValue",
            around("\"defaults\":{\"timeouts\":{\"connect\":\"5\"}},", ""),
            {"f:1:84: defaults.timeouts: connect: \"5\" has no unit: write us, ms, s, m, h or d (did you "
             "mean \"5s\"?)"}},
        Row{"TwinIsString",
            ports(R"({"name":"p","device":"vdev:net_null0","twin":"yes"})"),
            {"f:1:56: port \"p\": twin: expected true, false or {\"name\": ...}, not \"yes\""}},
        Row{"TwinKey",
            ports(R"({"name":"p","device":"vdev:net_null0","twin":{"nme":"a"}})"),
            {"f:1:56: port \"p\": twin: key \"name\" is missing",
             "f:1:57: port \"p\": twin: unknown key \"nme\" (did you mean \"name\"?)"}},
        Row{"NameEmpty",
            ports(R"({"name":"","device":"af_xdp:eth0"})"),
            {"f:1:19: ports[0]: name: is empty"}},
        Row{"NameTooLong",
            ports(R"({"name":")" + std::string(64, 'a') + R"(","device":"af_xdp:eth0"})"),
            {"f:1:19: port \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\": name: "
             "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" is longer than 63 "
             "characters"}},
        Row{"KeyTwice",
            ports(R"({"name":"a","device":"af_xdp:eth0",)"
                  "\n"
                  R"("name":"b"})"),
            {"f:2:1: port \"b\": key \"name\" is given twice (first in line 1)"}},
        Row{"KeyTwiceByEscape",
            ports(R"({"name":"a","device":"af_xdp:eth0",)"
                  "\n"
                  R"("n\u0061me":"b"})"),
            {"f:2:1: port \"b\": key \"name\" is given twice (first in line 1)"}},
        Row{"LocalAddressesEmpty",
            one_service(R"(,"local_addresses":[])"),
            {"f:2:74: service \"web\": local_addresses: is empty: at least one is needed"}},
        Row{"NullValue",
            one_service(R"(,"check":null)"),
            {"f:2:64: service \"web\": check: expected an object, not null"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    Text, Wrong,
    testing::Values(
        Row{"NameCharacter",
            around("", R"({"name":"my web","vip":"192.0.2.10","port":80})"),
            {"f:2:21: service \"my web\": name: \"my web\" has a character that names do not have (allowed: "
             "letters, digits and - _ . :)"}},
        Row{"VipIsNoAddress",
            around("", R"({"name":"web","vip":"192.0.2.300","port":80})"),
            {"f:2:33: service \"web\": vip: \"192.0.2.300\" is not an IPv4 or IPv6 address"}},
        Row{"VipWithPort",
            around("", R"({"name":"web","vip":"192.0.2.1:80","port":80})"),
            {"f:2:33: service \"web\": vip: \"192.0.2.1:80\" is not an IPv4 or IPv6 address"}},
        Row{"ServerIsHostName",
            one_service("", R"({"name":"s1","address":"web1.example"})"),
            {"f:2:90: server \"web/s1\": address: \"web1.example\" is not an IPv4 or IPv6 address"}},
        Row{"DurationWithoutUnit",
            one_service(R"(,"timeouts":{"connect":"5"})"),
            {"f:2:78: service \"web\": timeouts.connect: \"5\" has no unit: write us, ms, s, m, h or d (did "
             "you mean \"5s\"?)"}},
        Row{"DurationUnknownUnit",
            one_service(R"(,"timeouts":{"connect":"5 sec"})"),
            {"f:2:78: service \"web\": timeouts.connect: \"5 sec\" is not a duration: \" sec\" is no unit "
             "(known: us, ms, s, m, h, d)"}},
        Row{"DurationZero",
            one_service(R"(,"timeouts":{"connect":"0s"})"),
            {"f:2:78: service \"web\": timeouts.connect: \"0s\" is shorter than 1ms, the shortest duration"}},
        Row{"DurationTooLong",
            one_service(R"(,"timeouts":{"client":"30d"})"),
            {"f:2:77: service \"web\": timeouts.client: \"30d\" is longer than 20d, the longest duration"}},
        Row{"SourcePortsReversed",
            one_service(R"(,"source_ports":"2000-1000")"),
            {"f:2:71: service \"web\": source_ports: \"2000-1000\" ends before it begins (did you mean "
             "\"1000-2000\"?)"}},
        Row{"SourcePortsZero",
            one_service(R"(,"source_ports":"0-1000")"),
            {"f:2:71: service \"web\": source_ports: \"0-1000\" is not a range of ports within 1-65535, such "
             "as \"1024-65535\""}},
        Row{"SourcePortsTooHigh",
            one_service(R"(,"source_ports":"1000-70000")"),
            {"f:2:71: service \"web\": source_ports: \"1000-70000\" is not a range of ports within 1-65535, "
             "such as \"1024-65535\""}},
        Row{"SourcePortsOne",
            one_service(R"(,"source_ports":"1000")"),
            {"f:2:71: service \"web\": source_ports: \"1000\" is not a range of ports within 1-65535, such "
             "as \"1024-65535\""}},
        Row{"DeviceUnknownKind",
            ports(R"({"name":"p","device":"afxdp:eth0"})"),
            {"f:1:32: port \"p\": device: \"afxdp:eth0\": \"afxdp\" is no kind of device; allowed: "
             "\"af_xdp\", \"af_packet\", \"memif\", \"pci\", \"vdev\" (did you mean \"af_xdp\"?)"}},
        Row{"DeviceWithoutKind",
            ports(R"({"name":"p","device":"eth0"})"),
            {"f:1:32: port \"p\": device: \"eth0\": \"eth0\" is no kind of device; allowed: \"af_xdp\", "
             "\"af_packet\", \"memif\", \"pci\", \"vdev\""}},
        Row{"DeviceWithoutArgument",
            ports(R"({"name":"p","device":"af_xdp:"})"),
            {"f:1:32: port \"p\": device: \"af_xdp:\" does not say which interface: write "
             "\"af_xdp:INTERFACE\""}},
        Row{"CpusReversed",
            dataplane(R"("cpus":"5-2")"),
            {"f:2:21: dataplane: cpus: \"5-2\" is not a list of CPUs from 0 to 1023, such as \"2-5,8\""}},
        Row{"CpusWord",
            dataplane(R"("cpus":"all")"),
            {"f:2:21: dataplane: cpus: \"all\" is not a list of CPUs from 0 to 1023, such as \"2-5,8\""}},
        Row{"ControlCharactersAreNotPrinted",
            around("", R"({"name":"a\u001b[31mb","vip":"::1%eth0","port":80})"),
            {"f:2:21: service \"a?[31mb\": name: \"a?[31mb\" has a character that names do not have "
             "(allowed: letters, digits and - _ . :)",
             "f:2:42: service \"a?[31mb\": vip: \"::1%eth0\" is not an IPv4 or IPv6 address"}}),
    name_of_row);

INSTANTIATE_TEST_SUITE_P(
    Rule, Wrong,
    testing::Values(
        Row{"ServiceNameTwice",
            around("", service("") + ",\n" + R"({"name":"web","vip":"192.0.2.11","port":80})"),
            {"f:3:9: service \"web\": name: \"web\" is the name of another service already"}},
        Row{"VipTwice",
            around("", service("") + ",\n" + R"({"name":"web2","vip":"192.0.2.10","port":80})"),
            {"f:3:22: service \"web2\": vip: 192.0.2.10:80 over tcp is served by service \"web\" already"}},
        Row{"ServerNameTwice",
            one_service("", R"({"name":"s","address":"192.0.2.11"},)"
                            "\n"
                            R"({"name":"s","address":"192.0.2.12"})"),
            {"f:3:9: server \"web/s\": name: \"s\" is the name of another server of this service already"}},
        Row{"ServerAddressTwice",
            one_service("", R"({"name":"s","address":"192.0.2.11"},)"
                            "\n"
                            R"({"name":"t","address":"192.0.2.11"})"),
            {"f:3:23: server \"web/t\": address: 192.0.2.11:80 is server \"s\" already"}},
        Row{"PortNameTwice",
            ports(R"({"name":"p","device":"af_xdp:eth0"},)"
                  "\n"
                  R"({"name":"p","device":"af_xdp:eth1"})"),
            {"f:2:9: port \"p\": name: \"p\" is the name of another port already"}},
        Row{"DeviceTwice",
            ports(R"({"name":"p","device":"af_xdp:eth0"},)"
                  "\n"
                  R"({"name":"q","device":"af_packet:eth0"})"),
            {"f:2:22: port \"q\": device: interface eth0 belongs to another port already"}},
        Row{"VdevTwice",
            ports(R"({"name":"p","device":"vdev:net_null0"},)"
                  "\n"
                  R"({"name":"q","device":"vdev:net_null0"})"),
            {"f:2:22: port \"q\": device: vdev:net_null0 belongs to another port already"}},
        Row{"TwinNameTwice",
            ports(R"({"name":"p","device":"vdev:net_null0"},)"
                  "\n"
                  R"({"name":"q","device":"vdev:net_null1","twin":{"name":"p"}})"),
            {"f:2:54: port \"q\": twin.name: \"p\" is the name of another port's twin already"}},
        Row{"TwinNameIsDevice",
            ports(R"({"name":"eth0","device":"af_packet:eth0"})"),
            {"f:1:19: port \"eth0\": name: \"eth0\" is the interface of a port's device, its twin needs "
             "another name: give \"twin\": {\"name\": ...}"}},
        Row{"TwinOverAfXdp",
            ports(R"({"name":"p","device":"af_xdp:eth0","twin":true})"),
            {"f:1:53: port \"p\": twin: a port over af_xdp has none: its interface itself stays with the "
             "kernel; leave the key out"}},
        Row{"InterfaceNameTooLong",
            ports(R"({"name":"p","device":"af_xdp:abcdefghijklmnop"})"),
            {"f:1:32: port \"p\": device: \"abcdefghijklmnop\" is longer than the 15 characters of an "
             "interface name"}},
        Row{"InterfaceNameCharacter",
            ports(R"({"name":"p","device":"af_xdp:a/b"})"),
            {"f:1:32: port \"p\": device: \"a/b\" has a character that interface names do not have (/, : or "
             "a space)"}},
        Row{"ImpliedTwinNameTooLong",
            ports(R"({"name":"abcdefghijklmnop","device":"vdev:net_null0"})"),
            {"f:1:19: port \"abcdefghijklmnop\": name: \"abcdefghijklmnop\" is longer than the 15 characters "
             "of an interface name; the port's twin would be named so: shorten it or give \"twin\": "
             "{\"name\": ...}"}},
        Row{"TwinNameCharacter",
            ports(R"({"name":"p","device":"vdev:net_null0","twin":{"name":"a b"}})"),
            {"f:1:64: port \"p\": twin.name: \"a b\" has a character that interface names do not have (/, : "
             "or a space)"}},
        Row{"ServerOfOtherFamily",
            one_service("", R"({"name":"s","address":"2001:db8::1"})"),
            {"f:2:89: server \"web/s\": address: 2001:db8::1 is an IPv6 address, but the vip 192.0.2.10 is "
             "an IPv4 address"}},
        Row{"LocalAddressOfOtherFamily",
            one_service(R"(,"local_addresses":["2001:db8::1"])"),
            {"f:2:75: service \"web\": local_addresses[0]: 2001:db8::1 is an IPv6 address, but the vip "
             "192.0.2.10 is an IPv4 address"}},
        Row{"LocalAddressTwice",
            one_service(R"(,"local_addresses":["192.0.2.2","192.0.2.2"])"),
            {"f:2:87: service \"web\": local_addresses[1]: 192.0.2.2 is given twice"}},
        Row{"LocalAddressLoopback",
            one_service(R"(,"local_addresses":["127.0.0.1"])"),
            {"f:2:75: service \"web\": local_addresses[0]: 127.0.0.1 is a loopback address: no server could "
             "answer to it"}},
        Row{"VipMulticast",
            around("", R"({"name":"web","vip":"224.0.0.1","port":80})"),
            {"f:2:33: service \"web\": vip: 224.0.0.1 is a multicast address: no one host has it"}},
        Row{"VipMulticast6",
            around("", R"({"name":"web","vip":"ff02::1","port":80})"),
            {"f:2:33: service \"web\": vip: ff02::1 is a multicast address: no one host has it"}},
        Row{"VipLoopback",
            around("", R"({"name":"web","vip":"127.0.0.1","port":80})"),
            {"f:2:33: service \"web\": vip: 127.0.0.1 is a loopback address: no client can reach it"}},
        Row{"VipUnspecified",
            around("", R"({"name":"web","vip":"::","port":80})"),
            {"f:2:33: service \"web\": vip: :: is the unspecified address: no host has it"}},
        Row{"VipBroadcast",
            around("", R"({"name":"web","vip":"255.255.255.255","port":80})"),
            {"f:2:33: service \"web\": vip: 255.255.255.255 is the broadcast address: no one host has it"}},
        Row{"VipLinkLocal",
            around("", R"({"name":"web","vip":"fe80::1","port":80})"),
            {"f:2:33: service \"web\": vip: fe80::1 is a link-local address, which several networks may "
             "have: give a routed one"}},
        Row{"ServerMulticast",
            one_service("", R"({"name":"s","address":"239.1.2.3"})"),
            {"f:2:89: server \"web/s\": address: 239.1.2.3 is a multicast address: no one host has it"}},
        Row{"ServerUnspecified",
            one_service("", R"({"name":"s","address":"0.0.0.0"})"),
            {"f:2:89: server \"web/s\": address: 0.0.0.0 is the unspecified address: no host has it"}},
        Row{"ServerIsOwnVip",
            one_service("", R"({"name":"s","address":"192.0.2.10"})"),
            {"f:2:89: server \"web/s\": address: 192.0.2.10:80 is the vip of this service itself: its "
             "packets would come back here"}},
        Row{"ServerIsOtherVip",
            around("", service("", R"({"name":"s","address":"192.0.2.9"})") + ",\n" +
                           R"({"name":"other","vip":"192.0.2.9","port":80})"),
            {"f:2:89: server \"web/s\": address: 192.0.2.9:80 is the vip of service \"other\": its packets "
             "would come back here"}},
        Row{"SourcePortsThatDiffer",
            around("",
                   service("") + R"(,{"name":"b","vip":"192.0.2.10","port":81,"source_ports":"2000-3000"})"),
            {"f:2:126: service \"b\": source_ports: 2000-3000 are not those of service \"web\" (1024-65535), "
             "though "
             "both send from 192.0.2.10: give them the same"}},
        Row{"SourcePortsThatDifferOnLocalAddress",
            around("", service(R"(,"local_addresses":["192.0.2.2","192.0.2.3"],"source_ports":"1-99")") +
                           R"(,{"name":"b","vip":"192.0.2.11","port":81,"local_addresses":["192.0.2.3"]})"),
            {"f:2:136: service \"b\": source_ports: 1024-65535 are not those of service \"web\" (1-99), "
             "though "
             "both send from 192.0.2.3: give them the same"}},
        Row{"FewerPortsThanWorkers",
            around("\"dataplane\":{\"workers\":4},", service(R"(,"source_ports":"1000-1002")")),
            {"f:2:71: service \"web\": source_ports: 1000-1002 holds fewer ports than there are workers "
             "(4)"}},
        Row{"HalfOpenAboveFlows",
            dataplane(R"("flows_per_worker":1000,"half_open_per_worker":1001)"),
            {"f:2:61: dataplane: half_open_per_worker: 1001 is more than flows_per_worker, of which they are "
             "a part (1000)"}},
        Row{"BacklogThatNothingExceeds",
            dataplane(R"("half_open_per_worker":1000,"syn_backlog":1000)"),
            {"f:2:56: dataplane: syn_backlog: 1000 is never exceeded by half_open_per_worker (1000): choose "
             "less, "
             "or \"syn_cookies\": \"off\""}}),
    name_of_row);

TEST(Parse, TellsEverythingAtOnceInTheOrderOfTheText) {
  const std::string text = R"({
  "ports": [{"name": "lan", "device": "af_xdp:eth0", "queue": 2}],
  "dataplane": {"workers": 0},
  "services": [
    {"name": "web", "vip": "192.0.2.10", "port": 80, "timeouts": {"connect": "5"},
     "servers": [
       {"name": "s1", "address": "192.0.2.11", "weight": 1000},
       {"name": "s1", "address": "2001:db8::1"}]},
    {"name": "api", "vip": "192.0.2.10", "port": 80, "servers": [{"name": "s1"}]}]
})";
  EXPECT_THAT(
      told(text),
      ElementsAreArray({
          R"(f:2:54: port "lan": unknown key "queue" (did you mean "queues"?))",
          R"(f:3:28: dataplane: workers: 0 is out of range: from 1 to 64)",
          R"(f:5:78: service "web": timeouts.connect: "5" has no unit: write us, ms, s, m, h or d )"
          R"((did you mean "5s"?))",
          R"(f:7:58: server "web/s1": weight: 1000 is out of range: from 0 to 256)",
          R"(f:8:17: server "web/s1": name: "s1" is the name of another server of this service already)",
          R"(f:8:34: server "web/s1": address: 2001:db8::1 is an IPv6 address, but the vip 192.0.2.10 is )"
          R"(an IPv4 address)",
          R"(f:9:28: service "api": vip: 192.0.2.10:80 over tcp is served by service "web" already)",
          R"(f:9:66: server "api/s1": key "address" is missing)",
      }));
}

TEST(Parse, WhatFollowsFromAnErrorIsNotTold) {
  // The vip's family is unknown, so nothing is said of the servers'.
  EXPECT_THAT(
      told(around("", R"({"name":"web","vip":"nonsense","port":80,"local_addresses":["192.0.2.1"],)"
                      R"("servers":[{"name":"a","address":"::2"},{"name":"b","address":"192.0.2.2"}]})")),
      ElementsAreArray({R"(f:2:33: service "web": vip: "nonsense" is not an IPv4 or IPv6 address)"}));
}

TEST(Parse, GarbageOfAnyAmountIsToldInBounds) {
  std::string servers = "1";
  for (int i = 0; i < 10'000; ++i) servers += ",1";
  EXPECT_EQ(told(one_service("", servers)).size(), ProblemList::kMost);
}

TEST(Parse, CommentsMayStandAnywhere) {
  const std::string text =
      "/**/{//x\n\"ports\"/*:*/:/*\"*/[{\"name\":\"a//b\",// ]\n"
      "\"device\":\"vdev:/*x*/\\\"//\",},/* last */// one\n],// end\n}// after";
  const Parsed parsed = parse_config(text);
  EXPECT_THAT(told(text), ElementsAreArray(
                              {"f:2:28: port \"a//b\": name: \"a//b\" has a character that names do not have "
                               "(allowed: letters, digits and - _ . :)"}));
  EXPECT_EQ(parsed.config.ports.at(0).argument, "/*x*/\"//");
}

TEST(Parse, AByteOrderMarkIsLetPass) {
  EXPECT_THAT(told("\xef\xbb\xbf" + around("", "")), testing::IsEmpty());
  EXPECT_THAT(told("\xef\xbb\xbf{}"), ElementsAreArray({"f:1:1: configuration: key \"ports\" is missing"}));
}

TEST(Parse, AServiceWithoutServersIsAllowed) {
  EXPECT_THAT(told(one_service("")), testing::IsEmpty());
  EXPECT_THAT(told(around("", R"({"name":"web","vip":"192.0.2.10","port":80})")), testing::IsEmpty());
}

TEST(Parse, FewFlowsLowerTheDefaultOfHalfOpenOnes) {
  const Parsed parsed = parse_config(dataplane(R"("flows_per_worker":1000)"));
  EXPECT_TRUE(parsed.valid());
  EXPECT_EQ(parsed.config.dataplane.half_open_per_worker, 1000U);
  EXPECT_EQ(parsed.config.dataplane.syn_backlog, 500U);
}

TEST(Parse, CarriageReturnsAndTabsDoNotMoveLines) {
  EXPECT_THAT(told("{\r\n\t\"ports\": [],\r\n\t\"x\": 1\r\n}"),
              ElementsAreArray({"f:2:11: configuration: ports: is empty: at least one is needed",
                                "f:3:2: configuration: unknown key \"x\""}));
}

/// A directory of its own for files that are wrong in themselves.
class LoadFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& text) {
    const auto path = directory_ / "sluice.json";
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  static std::string error_of(const std::string& path) {
    const auto config = load_file(path);
    return config ? "" : config.error().message;
  }

  std::filesystem::path directory_;
};

TEST_F(LoadFile, GivesTheConfiguration) {
  const auto config = load_file(write(one_service("")));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->services.at(0).name, "web");
}

TEST_F(LoadFile, NamesFileLineAndColumnOfEachError) {
  const std::string path = write("{\n  \"port\": [],\n  \"dataplane\": 1\n}");
  EXPECT_EQ(error_of(path), path + ":1:1: configuration: key \"ports\" is missing\n" + path +
                                ":2:3: configuration: unknown key \"port\" (did you mean \"ports\"?)\n" +
                                path + ":3:16: dataplane: expected an object, not 1");
}

TEST_F(LoadFile, MissingFile) {
  const auto config = load_file((directory_ / "none.json").string());
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, base::ErrorCode::not_found);
  EXPECT_THAT(config.error().message, testing::AllOf(HasSubstr("none.json"), HasSubstr("No such file")));
}

TEST_F(LoadFile, Directory) {
  EXPECT_THAT(error_of(directory_.string()), HasSubstr("is a directory"));
}

TEST_F(LoadFile, EmptyFile) {
  EXPECT_THAT(error_of(write("")), HasSubstr("sluice.json:1:1: configuration: is empty"));
}

TEST_F(LoadFile, LooksAtTheFilesThatChecksName) {
  const auto with = [](const std::string& settings) {
    return one_service(",\"check\":{" + settings + "}", R"({"name":"s","address":"192.0.2.11"})");
  };
  const std::string missing = (directory_ / "ca.pem").string();
  const std::string path = write(with(R"("type":"https","ca_file":")" + missing + "\""));
  EXPECT_EQ(error_of(path),
            path + ":2:90: service \"web\": check.ca_file: \"" + missing + "\": No such file or directory");
  EXPECT_TRUE(load_file(path, NamedFiles::trusted)) << "for whom they do not matter";
  EXPECT_FALSE(parse_config(*read_file(path)).valid()) << "they matter unless it is said otherwise";
  std::ofstream(missing) << "-----BEGIN CERTIFICATE-----";
  EXPECT_EQ(error_of(path), "");

  const std::string pipe = (directory_ / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of(write(with(R"("type":"tls","certificate_file":")" + pipe + "\""))),
              HasSubstr("check.certificate_file: \"" + pipe + "\": is a pipe, not a file"));
  EXPECT_THAT(error_of(write(with(R"("type":"external","command":")" + missing + "\""))),
              HasSubstr("check.command: \"" + missing + "\": is not executable: Permission denied"));
  EXPECT_THAT(error_of(write(with(R"("type":"external","command":")" + directory_.string() + "\""))),
              HasSubstr("check.command: \"" + directory_.string() + "\": is not a program"));
  EXPECT_EQ(error_of(write(with(R"("type":"external","command":"/bin/true")"))), "");
}

TEST_F(LoadFile, HugeFile) {
  const std::string path = write("");
  std::filesystem::resize_file(path, (std::uintmax_t{16} << 20) + 1);
  EXPECT_THAT(error_of(path), HasSubstr("is larger than 16 MiB"));
}

TEST_F(LoadFile, Device) {
  EXPECT_EQ(
      error_of("/dev/zero"),
      "configuration file \"/dev/zero\": is a device, not a file; write the text to a file and name that");
}

TEST_F(LoadFile, PipeThatNobodyWritesTo) {
  const std::string path = (directory_ / "pipe").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(error_of(path), HasSubstr("is a pipe, not a file; write the text to a file and name that"));
}

TEST_F(LoadFile, UnreadableFile) {
  const std::string path = write("{}");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  // Root reads everything, so the test asks as nobody; the process itself stays what it is.
  const bool is_root = ::geteuid() == 0;
  std::filesystem::permissions(directory_, std::filesystem::perms::all);
  if (is_root) {
    ASSERT_EQ(::seteuid(65'534), 0);
  }
  const auto config = load_file(path);
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, base::ErrorCode::permission);
  EXPECT_THAT(config.error().message, HasSubstr("Permission denied"));
}

}  // namespace
}  // namespace sluice::config
