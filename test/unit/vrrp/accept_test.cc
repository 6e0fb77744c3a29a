#include "vrrp/accept.h"

#include <gtest/gtest.h>

#include "test/unit/vrrp/advert_vectors.h"

namespace sluice::test {
namespace {

using vrrp::AcceptRules;
using vrrp::Centis;
using vrrp::Refusal;

/// An advert from 10.99.0.1 for some of 10.99.0.100 to .103, against an instance that has .100 and .101.
struct Row {
  const char* name;
  std::uint8_t version = 2;
  Centis interval{100};
  std::uint8_t priority = 90;
  std::vector<const char*> addresses{"10.99.0.100", "10.99.0.101"};
  const char* destination = "224.0.0.18";
  std::vector<base::IpAddress> peers{};
  bool check_unicast_src = false;
  const char* own = "10.99.0.2";
  std::optional<Refusal> refusal{};
  bool differs = false;
};

class Accept : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(
    Rows, Accept,
    testing::Values(
        Row{.name = "TheSame"},  //
        Row{.name = "InAnotherOrder", .addresses = {"10.99.0.101", "10.99.0.100"}},
        Row{.name = "Rfc3768_7_1_AnotherInterval", .interval = Centis(200), .refusal = Refusal::interval},
        Row{.name = "Rfc3768_7_1_AnotherIntervalOfAStop",
            .interval = Centis(200),
            .priority = 0,
            .refusal = Refusal::interval},
        Row{.name = "V3AnotherInterval", .version = 3, .interval = Centis(200)},
        Row{.name = "V3NoInterval", .version = 3, .interval = Centis(0), .refusal = Refusal::interval},
        Row{.name = "V3AStopNeedsNoInterval", .version = 3, .interval = Centis(0), .priority = 0},
        Row{.name = "OneAddressLess", .addresses = {"10.99.0.101"}, .differs = true},
        Row{.name = "OneAddressMore",
            .addresses = {"10.99.0.100", "10.99.0.101", "10.99.0.102"},
            .differs = true},
        Row{.name = "OneAddressOther", .addresses = {"10.99.0.100", "10.99.0.102"}, .differs = true},
        Row{.name = "NoAddressInCommon",
            .addresses = {"10.99.0.102", "10.99.0.103"},
            .refusal = Refusal::addresses,
            .differs = true},
        Row{.name = "UnicastWhereMulticastIsConfigured",
            .destination = "10.99.0.2",
            .refusal = Refusal::destination},
        Row{.name = "MulticastWhereUnicastIsConfigured",
            .peers = {ip("10.99.0.1")},
            .refusal = Refusal::destination},
        Row{.name = "Unicast", .destination = "10.99.0.2", .peers = {ip("10.99.0.1")}},
        Row{.name = "UnicastOfAStranger", .destination = "10.99.0.2", .peers = {ip("10.99.0.3")}},
        Row{.name = "UnicastOfAStrangerChecked",
            .destination = "10.99.0.2",
            .peers = {ip("10.99.0.3")},
            .check_unicast_src = true,
            .refusal = Refusal::source},
        Row{.name = "UnicastOfAPeerChecked",
            .destination = "10.99.0.2",
            .peers = {ip("10.99.0.3"), ip("10.99.0.1")},
            .check_unicast_src = true},
        Row{.name = "Our_Own", .own = "10.99.0.1", .refusal = Refusal::own}),
    [](const auto& info) { return info.param.name; });

TEST_P(Accept, IsDecidedByTheConfiguration) {
  const Row& row = GetParam();
  std::vector<std::byte> wire;
  for (const char* address : row.addresses) {
    const auto value = ip(address);
    for (const char c : value.wire()) wire.push_back(static_cast<std::byte>(c));
  }
  const vrrp::Advert advert{.version = row.version,
                            .vrid = 61,
                            .priority = row.priority,
                            .max_advert = row.interval,
                            .addresses = wire};
  const vrrp::ReceivedPacket packet{
      .source = kRouter4, .destination = ip(row.destination), .ttl = 255, .payload = {}};
  const AcceptRules rules = vrrp::accept_rules(
      row.version, Centis(100), {ip("10.99.0.101"), ip("10.99.0.100")}, row.peers, row.check_unicast_src);
  const auto refusal = vrrp::accept(packet, advert, rules, ip(row.own));
  EXPECT_EQ(refusal ? vrrp::name(*refusal) : "taken", row.refusal ? vrrp::name(*row.refusal) : "taken");
  EXPECT_EQ(vrrp::lists_differ(advert, rules), row.differs);
}

}  // namespace
}  // namespace sluice::test
