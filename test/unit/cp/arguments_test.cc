#include "tools/sluice/arguments.h"

#include <gmock/gmock.h>
#include <string>

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using testing::HasSubstr;

TEST(Target, IsServiceSlashServer) {
  const auto target = parse_target("k8s-api/master1");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->service, "k8s-api");
  EXPECT_EQ(target->server, "master1");
  EXPECT_EQ(parse_target("web/*")->server, "*");
}

TEST(Target, AnythingElseIsRefused) {
  for (const char* word : {"", "/", "web", "web/", "/s1"}) {
    const auto target = parse_target(word);
    ASSERT_FALSE(target) << word;
    EXPECT_THAT(target.error().message, HasSubstr("expected SERVICE/SERVER"));
  }
}

TEST(Weight, IsANumberOrAShare) {
  EXPECT_EQ(parse_weight("0")->value, 0U);
  EXPECT_EQ(parse_weight("256")->value, 256U);
  EXPECT_FALSE(parse_weight("256")->percent);
  EXPECT_EQ(parse_weight("50%")->value, 50U);
  EXPECT_TRUE(parse_weight("50%")->percent);
  for (const char* word : {"", "%", "257", "-1", "1.5", "50 %", "0x10", "9999999999999", "50%%"})
    EXPECT_FALSE(parse_weight(word)) << word;
}

struct ClientRow {
  const char* word;
  const char* address;
  int port;  ///< -1: none
};
class Client : public testing::TestWithParam<ClientRow> {};

TEST_P(Client, IsAnAddressWithAPortOrWithout) {
  config::FlowFilter filter;
  const auto parsed = parse_client(GetParam().word, filter);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(filter.client->to_string(), GetParam().address);
  EXPECT_EQ(filter.client_port ? *filter.client_port : -1, GetParam().port);
}
INSTANTIATE_TEST_SUITE_P(Arguments, Client,
                         testing::Values(ClientRow{"192.0.2.7", "192.0.2.7", -1},
                                         ClientRow{"192.0.2.7:40000", "192.0.2.7", 40'000},
                                         ClientRow{"2001:db8::7", "2001:db8::7", -1},
                                         ClientRow{"[2001:db8::7]:40000", "2001:db8::7", 40'000}));

TEST(FlowFilterWords, ServerMayNameItsService) {
  const auto filter = parse_flow_filter({"", "web/s1", "", "established"});
  ASSERT_TRUE(filter) << filter.error().message;
  EXPECT_EQ(filter->service, "web");
  EXPECT_EQ(filter->server, "s1");
  EXPECT_EQ(filter->state, "established");
  const auto all = parse_flow_filter({"web", "web/*", "", ""});
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->service, "web");
  EXPECT_FALSE(all->server);
}

TEST(FlowFilterWords, ContradictionsAndNonsenseAreRefused) {
  EXPECT_THAT(parse_flow_filter({"dns", "web/s1", "", ""}).error().message, HasSubstr("different services"));
  EXPECT_THAT(parse_flow_filter({"", "", "nobody", ""}).error().message,
              HasSubstr("--client \"nobody\": expected a client's address"));
}

TEST(FlowFilterWords, NothingGivenMatchesAll) {
  const auto filter = parse_flow_filter({});
  ASSERT_TRUE(filter);
  EXPECT_FALSE(filter->service || filter->server || filter->client || filter->client_port || filter->state);
}

TEST(Tuple, IsAProtocolAndTwoEndpoints) {
  const auto v4 = parse_tuple("tcp", "203.0.113.7:40000", "192.0.2.10:6443");
  ASSERT_TRUE(v4) << v4.error().message;
  EXPECT_EQ(v4->protocol, config::Protocol::tcp);
  EXPECT_EQ(v4->source.to_string(), "203.0.113.7:40000");
  EXPECT_EQ(v4->destination.to_string(), "192.0.2.10:6443");
  const auto v6 = parse_tuple("udp", "[2001:db8::7]:40000", "[2001:db8::10]:53");
  ASSERT_TRUE(v6) << v6.error().message;
  EXPECT_EQ(v6->protocol, config::Protocol::udp);
  EXPECT_EQ(v6->destination.to_string(), "[2001:db8::10]:53");
}

TEST(Tuple, NonsenseIsRefusedByName) {
  constexpr const char* kGood = "192.0.2.7:40000";
  EXPECT_THAT(parse_tuple("icmp", kGood, kGood).error().message, HasSubstr("\"icmp\": expected tcp or udp"));
  for (const char* word : {"192.0.2.7", "2001:db8::7", "web:80", "192.0.2.7:70000", "192.0.2.7:", ""}) {
    const std::string quoted = "\"" + std::string(word) + "\": expected an address with its port";
    EXPECT_THAT(parse_tuple("tcp", word, kGood).error().message, HasSubstr(quoted)) << word;
    EXPECT_THAT(parse_tuple("tcp", kGood, word).error().message, HasSubstr(quoted)) << word;
  }
  EXPECT_THAT(parse_tuple("tcp", kGood, "[2001:db8::10]:53").error().message, HasSubstr("of one family"));
}

}  // namespace
}  // namespace sluice::cli
