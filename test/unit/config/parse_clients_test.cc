// Who may begin connections to a service: "clients".
#include <cstddef>
#include <cstdint>
#include <gmock/gmock.h>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/line_stream.h"
#include "config/build_clients.h"
#include "config/wire.h"
#include "test/unit/config/wrong.h"

namespace sluice::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

base::Prefix prefix(const char* text) {
  return *base::Prefix::parse(text);
}

std::string clients(const std::string& inner) {
  return one_service(",\"clients\":{" + inner + "}");
}
/// "clients" of defaults and of the service.
std::string both(const std::string& outer, const std::string& inner) {
  return around("\n\"defaults\":{\"clients\":{" + outer + "}},", service(",\"clients\":{" + inner + "}"));
}
/// "clients" of a service over IPv6.
std::string six(const std::string& inner) {
  return around("",
                R"({"name":"six","vip":"2001:db8::10","port":80,"clients":{)" + inner + R"(},"servers":[]})");
}
/// A second service over IPv6 beside "web".
std::string two_families(const std::string& outer) {
  return around("\n\"defaults\":{\"clients\":{" + outer + "}},",
                service("") + R"(,{"name":"six","vip":"2001:db8::10","port":80,"servers":[]})");
}

Config config_of(const std::string& text) {
  EXPECT_THAT(told(text), IsEmpty());
  return parse_config(text, NamedFiles::trusted).config;
}

TEST(ParseClients, AllMayComeUnlessTheFileSaysOtherwise) {
  const Config config = config_of(one_service(""));
  Clients all;
  all.prefix = 32;
  EXPECT_EQ(config.services[0].clients, all);
  EXPECT_FALSE(config.services[0].clients.counts());
}

TEST(ParseClients, EachKeyIsRead) {
  const Clients got =
      config_of(clients(R"("allow":["10.0.0.0/8","192.0.2.7"],"deny":["10.9.0.0/16"],"rate":50,)"
                        R"("burst":100,"maxconn":20,"table":1000,"refuse":"drop","ipv4_prefix":24)"))
          .services[0]
          .clients;
  EXPECT_THAT(got.allow, ElementsAre(prefix("10.0.0.0/8"), prefix("192.0.2.7/32")));
  EXPECT_THAT(got.deny, ElementsAre(prefix("10.9.0.0/16")));
  EXPECT_EQ(got.rate, 50U);
  EXPECT_EQ(got.burst, 100U);
  EXPECT_EQ(got.maxconn, 20U);
  EXPECT_EQ(got.table, 1'000U);
  EXPECT_EQ(got.refuse, ClientRefusal::drop);
  EXPECT_EQ(got.prefix, 24);
}

TEST(ParseClients, PrefixIsThatOfTheVipsFamily) {
  const Config whole = config_of(two_families(""));
  EXPECT_EQ(whole.services[0].clients.prefix, 32);
  EXPECT_EQ(whole.services[1].clients.prefix, 128);
  const Config config = config_of(two_families(R"("ipv4_prefix":24,"ipv6_prefix":64)"));
  EXPECT_EQ(config.services[0].clients.prefix, 24);
  EXPECT_EQ(config.services[1].clients.prefix, 64);
  EXPECT_EQ(config_of(both(R"("ipv4_prefix":24)", R"("ipv4_prefix":1)")).services[0].clients.prefix, 1);
  EXPECT_EQ(config_of(six(R"("ipv6_prefix":128)")).services[0].clients.prefix, 128);
}

TEST(ParseClients, BurstIsTheRateWhereItIsNotGiven) {
  EXPECT_EQ(config_of(clients(R"("rate":50)")).services[0].clients.burst, 50U);
  EXPECT_EQ(config_of(both(R"("burst":7)", R"("rate":5)")).services[0].clients.burst, 7U);
  EXPECT_EQ(config_of(both(R"("rate":5,"burst":7)", R"("rate":0)")).services[0].clients.burst, 0U);
  const Config config = config_of(around(
      "\n\"defaults\":{\"clients\":{\"burst\":7}},",
      service("") + R"(,{"name":"b","vip":"192.0.2.10","port":81,"clients":{"rate":5},"servers":[]})"));
  EXPECT_EQ(config.services[0].clients.burst, 0U) << "without a rate";
  EXPECT_EQ(config.services[1].clients.burst, 7U) << "which is what it is for";
}

TEST(ParseClients, InnermostValueOfEachKeyHolds) {
  const Clients got =
      config_of(both(R"("allow":["10.0.0.0/8"],"deny":["10.1.0.0/16"],"rate":5,"maxconn":9,"refuse":"drop")",
                     R"("deny":[],"maxconn":0)"))
          .services[0]
          .clients;
  EXPECT_THAT(got.allow, ElementsAre(prefix("10.0.0.0/8")));
  EXPECT_THAT(got.deny, IsEmpty());
  EXPECT_EQ(got.rate, 5U);
  EXPECT_EQ(got.maxconn, 0U);
  EXPECT_EQ(got.refuse, ClientRefusal::drop);
}

TEST(ParseClients, ServicesTakeTheNetworksOfTheirFamilyFromDefaults) {
  const Config config =
      config_of(two_families(R"("allow":["10.0.0.0/8","2001:db8::/32"],"deny":["10.1.0.0/16"])"));
  EXPECT_THAT(config.services[0].clients.allow, ElementsAre(prefix("10.0.0.0/8")));
  EXPECT_THAT(config.services[0].clients.deny, ElementsAre(prefix("10.1.0.0/16")));
  EXPECT_THAT(config.services[1].clients.allow, ElementsAre(prefix("2001:db8::/32")));
  EXPECT_THAT(config.services[1].clients.deny, IsEmpty());
}

/// As many addresses; at most 65,536 of IPv6, which are as long as they can be in writing.
std::vector<base::Prefix> networks(unsigned count, bool ipv6 = false) {
  std::vector<base::Prefix> all;
  for (unsigned i = 0; i < count; ++i) {
    const char high = static_cast<char>(i >> 8U), low = static_cast<char>(i);
    const std::string wire = ipv6 ? std::string(12, '\xdd') + '\xdd' + high + '\xdd' + low
                                  : std::string{10, static_cast<char>(i >> 16U), high, low};
    all.push_back({base::IpAddress::from_wire(wire), static_cast<std::uint8_t>(ipv6 ? 128 : 32)});
  }
  return all;
}
std::string quoted(const std::vector<base::Prefix>& all) {
  std::string list;
  for (const base::Prefix& one : all) list += (list.empty() ? "\"" : ",\"") + one.to_string() + '"';
  return list;
}

TEST(ParseClients, NetworksOfAllServicesAreBounded) {
  const auto with = [](unsigned services, const std::string& last) {
    std::string list;
    for (unsigned i = 0; i < services; ++i) {
      list += (i == 0 ? "" : ",\n") + std::string(R"({"name":"s)") + std::to_string(i) +
              R"(","vip":"192.0.2.10","port":)" + std::to_string(i + 1) + (i + 1 == services ? last : "") +
              R"(,"servers":[]})";
    }
    return around("\n\"defaults\":{\"clients\":{\"deny\":[" + quoted(networks(1'024)) + "]}},", list);
  };
  constexpr unsigned kServices = kMostNetworks / 1'024;
  EXPECT_THAT(told(with(kServices, "")), IsEmpty());
  EXPECT_THAT(
      told(with(kServices, R"(,"clients":{"allow":["192.0.2.0/24"]})")),
      ElementsAre(
          R"(f:258:56: service "s255": clients: allow and deny of all services hold 262145 networks together, )"
          "more than 262144: shorten the lists, or let fewer services inherit those of defaults"));
  EXPECT_THAT(
      told(with(kServices + 2, "")),
      ElementsAre(
          R"(f:259:1: service "s256": clients: allow and deny of all services hold 264192 networks together, )"
          "more than 262144: shorten the lists, or let fewer services inherit those of defaults"));
}

TEST(ParseClients, NetworksOfOneListAreBounded) {
  EXPECT_THAT(told(clients(R"("deny":[)" + quoted(networks(65'537)) + "]")),
              ElementsAre(R"(f:2:74: service "web": clients.deny: has 65537 elements, more than 65536)"));
}

TEST(ParseClients, MostNetworksFitInOneLineToTheDataPlane) {
  ForwardingState state;
  state.services.resize(2);
  for (ForwardingService& service : state.services) {
    service.clients.allow = networks(kMostNetworks / 4, true);
    service.clients.deny = service.clients.allow;
  }
  const std::size_t bytes = encode_request(ApplyRequest{std::move(state)}).size();
  EXPECT_GT(bytes, kMostNetworks * 46) << "of 43 characters, two quotes and a comma each";
  EXPECT_LT(bytes, base::LineStream::Limits{}.line / 4) << "with room for services and servers";
}

INSTANTIATE_TEST_SUITE_P(
    Clients, Wrong,
    testing::Values(
        Row{"NoNetwork",
            clients(R"("allow":["10.0.0.0/8","lan"])"),
            {R"(f:2:89: service "web": clients.allow[1]: "lan" is not a network, such as "10.0.0.0/8", nor an address)"}},
        Row{"LengthTooLong",
            clients(R"("allow":["10.0.0.0/33"])"),
            {R"(f:2:76: service "web": clients.allow[0]: "10.0.0.0/33" is not a network, such as "10.0.0.0/8", nor an address)"}},
        Row{"BitsBehindTheLength",
            clients(R"("deny":["10.9.8.0/16"])"),
            {R"(f:2:75: service "web": clients.deny[0]: "10.9.8.0/16" has bits behind its length (did you mean "10.9.0.0/16"?))"}},
        Row{"BitsBehindTheLengthV6",
            six(R"("deny":["2001:db8::1/60"])"),
            {R"(f:2:77: service "six": clients.deny[0]: "2001:db8::1/60" has bits behind its length (did you mean "2001:db8::/60"?))"}},
        Row{"Twice",
            clients(R"("allow":["10.0.0.0/8","10.0.0.0/8"])"),
            {R"(f:2:89: service "web": clients.allow[1]: 10.0.0.0/8 is given twice)"}},
        Row{"DeniedTwice",
            clients(R"("deny":["10.0.0.0/8","10.0.0.0/8"])"),
            {R"(f:2:88: service "web": clients.deny[1]: 10.0.0.0/8 is given twice)"}},
        Row{"AllowedAndDenied",
            clients(R"("allow":["10.0.0.0/8"],"deny":["10.9.0.0/16","10.0.0.0/8"])"),
            {R"(f:2:112: service "web": clients.deny[1]: 10.0.0.0/8 is in allow, too: leave it out of one of the two)"}},
        Row{"AllowedByDefaultsAndDenied",
            both(R"("allow":["10.0.0.0/8"])", R"("deny":["10.0.0.0/8"])"),
            {R"(f:3:75: service "web": clients.deny[0]: 10.0.0.0/8 is in allow, too: leave it out of one of the two)"}},
        Row{"OtherFamily",
            clients(R"("deny":["2001:db8::/32"])"),
            {R"(f:2:75: service "web": clients.deny[0]: 2001:db8::/32 is an IPv6 network, but the vip 192.0.2.10 is an IPv4 address)"}},
        Row{"AllOfTheOtherFamily",
            clients(R"("allow":["2001:db8::/32"])"),
            {R"(f:2:76: service "web": clients.allow[0]: 2001:db8::/32 is an IPv6 network, but the vip 192.0.2.10 is an IPv4 address)"}},
        Row{"DefaultsThatLetNobodyIn",
            two_families(R"("allow":["10.0.0.0/8"])"),
            {R"(f:2:32: defaults.clients: allow: holds no IPv6 network, and so would let no client reach the vip 2001:db8::10)"}},
        Row{"AllowNobody",
            clients(R"("allow":[])"),
            {R"(f:2:75: service "web": clients.allow: is empty: at least one is needed)"}},
        Row{"AllowIsNoArray",
            clients(R"("allow":"10.0.0.0/8")"),
            {R"(f:2:75: service "web": clients.allow: expected an array of networks, such as ["10.0.0.0/8"], not "10.0.0.0/8")"}},
        Row{"BurstWithoutRate",
            clients(R"("burst":5)"),
            {R"(f:2:75: service "web": clients.burst: needs a rate, by which it fills up again: give "rate")"}},
        Row{"BurstInDefaultsWithoutRate",
            both(R"("burst":5)", R"("maxconn":5)"),
            {R"(f:2:32: defaults.clients: burst: needs a rate, by which it fills up again, and no service has one: give "rate")"}},
        Row{"BurstInDefaultsWhereTheRateIsWrong",
            both(R"("burst":5)", R"("rate":-1)"),
            {R"(f:3:74: service "web": clients.rate: -1 is out of range: from 0 to 1000000)"}},
        Row{"BurstWhereTheRateOfDefaultsIsWrong",
            both(R"("rate":-1)", R"("burst":5)"),
            {R"(f:2:31: defaults.clients: rate: -1 is out of range: from 0 to 1000000)"}},
        Row{"BurstOfNothing",
            clients(R"("rate":5,"burst":0)"),
            {R"(f:2:84: service "web": clients.burst: 0 is out of range: from 1 to 4000000)"}},
        Row{"RateTooHigh",
            clients(R"("rate":1000001)"),
            {R"(f:2:74: service "web": clients.rate: 1000001 is out of range: from 0 to 1000000)"}},
        Row{"RateIsNoNumber",
            clients(R"("rate":"50/s")"),
            {R"(f:2:74: service "web": clients.rate: expected a whole number from 0 to 1000000, not "50/s")"}},
        Row{"MaxconnNegative",
            clients(R"("maxconn":-1)"),
            {R"(f:2:77: service "web": clients.maxconn: -1 is out of range: from 0 to 1000000000)"}},
        Row{"TableTooSmall",
            clients(R"("table":15)"),
            {R"(f:2:75: service "web": clients.table: 15 is out of range: from 16 to 16777216)"}},
        Row{"Refuse",
            clients(R"("refuse":"rst")"),
            {R"(f:2:76: service "web": clients.refuse: "rst" is not known; allowed: "reset", "drop")"}},
        Row{"PrefixOfTheOtherFamily",
            clients(R"("ipv6_prefix":64)"),
            {R"(f:2:81: service "web": clients.ipv6_prefix: has no meaning here, for the vip 192.0.2.10 is an IPv4 address: leave it out, or give "ipv4_prefix")"}},
        Row{"PrefixOfTheOtherFamilyV6",
            six(R"("ipv6_prefix":64,"ipv4_prefix":32)"),
            {R"(f:2:100: service "six": clients.ipv4_prefix: has no meaning here, for the vip 2001:db8::10 is an IPv6 address: leave it out, or give "ipv6_prefix")"}},
        Row{"PrefixOfAVipThatIsNone",
            around("",
                   R"({"name":"web","vip":"nowhere","port":80,"clients":{"ipv6_prefix":64},"servers":[]})"),
            {R"(f:2:33: service "web": vip: "nowhere" is not an IPv4 or IPv6 address)"}},
        Row{"PrefixOfNothing",
            clients(R"("ipv4_prefix":0)"),
            {R"(f:2:81: service "web": clients.ipv4_prefix: 0 is out of range: from 1 to 32)"}},
        Row{"PrefixTooLong",
            clients(R"("ipv4_prefix":33)"),
            {R"(f:2:81: service "web": clients.ipv4_prefix: 33 is out of range: from 1 to 32)"}},
        Row{"PrefixTooLongV6",
            six(R"("ipv6_prefix":129)"),
            {R"(f:2:83: service "six": clients.ipv6_prefix: 129 is out of range: from 1 to 128)"}},
        Row{"UnknownKey",
            clients(R"("max_conn":5)"),
            {R"(f:2:67: service "web": clients: unknown key "max_conn" (did you mean "maxconn"?))"}}),
    name_of_row);

}  // namespace
}  // namespace sluice::config
