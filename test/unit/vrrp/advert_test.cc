#include "vrrp/advert.h"

#include <array>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "test/unit/vrrp/advert_vectors.h"

namespace sluice::test {
namespace {

using base::Family;
using base::IpAddress;
using vrrp::Advert;
using vrrp::AdvertFormat;
using vrrp::Centis;
using vrrp::ChecksumStyle;
using vrrp::Refusal;

class Vector : public testing::TestWithParam<AdvertVector> {};
INSTANTIATE_TEST_SUITE_P(Keepalived, Vector, testing::ValuesIn(advert_vectors()),
                         [](const auto& info) { return info.param.name; });

vrrp::ReceivedPacket received(std::span<const std::byte> payload, Family family) {
  return family == Family::v4
             ? vrrp::ReceivedPacket{.source = kRouter4,
                                    .destination = kGroup4,
                                    .ttl = 255,
                                    .payload = payload}
             : vrrp::ReceivedPacket{
                   .source = kRouter6, .destination = kGroup6, .ttl = 255, .payload = payload};
}

TEST_P(Vector, IsEncodedToTheByte) {
  const AdvertVector& v = GetParam();
  const bool v4 = v.format.family == Family::v4;
  std::array<std::byte, vrrp::kMaxAdvertBytes> buffer;
  buffer.fill(std::byte{0xee});
  const auto bytes = vrrp::encode({.format = v.format,
                                   .vrid = 61,
                                   .priority = v.priority,
                                   .max_advert = v.interval,
                                   .checksum = v.style,
                                   .source = v4 ? kRouter4 : kRouter6,
                                   .destination = v4 ? kGroup4 : kGroup6,
                                   .addresses = v.addresses},
                                  buffer);
  EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()), hex(v.bytes));
  EXPECT_EQ(buffer[bytes.size()], std::byte{0xee}) << "nothing is written behind it";
}

TEST_P(Vector, IsDecodedToItsValues) {
  const AdvertVector& v = GetParam();
  const auto bytes = hex(v.bytes);
  const auto result = vrrp::decode(received(bytes, v.format.family), v.format);
  const auto* advert = std::get_if<Advert>(&result);
  ASSERT_NE(advert, nullptr) << vrrp::name(std::get<Refusal>(result));
  EXPECT_EQ(advert->version, v.format.version);
  EXPECT_EQ(advert->vrid, 61);
  EXPECT_EQ(advert->priority, v.priority);
  EXPECT_EQ(advert->max_advert, v.interval);
  EXPECT_EQ(advert->checksum, v.style);
  ASSERT_EQ(advert->count(), v.addresses.size());
  for (std::size_t i = 0; i < v.addresses.size(); ++i) EXPECT_EQ(advert->address(i), v.addresses[i]);
  EXPECT_EQ(vrrp::peek_vrid(bytes), 61);
}

TEST_P(Vector, IsRefusedWithAnyBitFlipped) {
  const AdvertVector& v = GetParam();
  for (std::size_t bit = 0; bit < hex(v.bytes).size() * 8; ++bit) {
    auto bytes = hex(v.bytes);
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_TRUE(std::holds_alternative<Refusal>(vrrp::decode(received(bytes, v.format.family), v.format)))
        << "bit " << bit;
  }
}

TEST_P(Vector, IsRefusedWithAnyPartMissing) {
  const AdvertVector& v = GetParam();
  const auto bytes = hex(v.bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto result = vrrp::decode(received(std::span(bytes).first(size), v.format.family), v.format);
    ASSERT_TRUE(std::holds_alternative<Refusal>(result));
    EXPECT_EQ(std::get<Refusal>(result), Refusal::length) << size;
  }
}

/// Bytes, and why they are refused.
struct Wrong {
  const char* name;
  AdvertFormat format;
  const char* bytes;
  Refusal refusal;
};
class WrongAdvert : public testing::TestWithParam<Wrong> {};
INSTANTIATE_TEST_SUITE_P(
    Rows, WrongAdvert,
    testing::Values(
        Wrong{"Empty", kV3, "", Refusal::length},
        Wrong{"ShorterThanTheHeader", kV3, "313d5a01 00647e", Refusal::length},
        Wrong{"FewerAddressesThanCounted", kV3, "313d5a02 00647ea3 0a630064", Refusal::length},
        Wrong{"MoreAddressesThanCounted", kV3, "313d5a01 00647ea3 0a630064 0a630065", Refusal::length},
        Wrong{"V2WithoutAuthData", kV2, "213d5a01 000179f9 0a630064", Refusal::length},
        Wrong{"V2WhereV3IsConfigured", kV3, "213d5a01 000179f9 0a630064 00000000 00000000", Refusal::version},
        Wrong{"V3WhereV2IsConfigured", kV2, "313d5a01 00647ea3 0a630064", Refusal::version},
        Wrong{"Version4", kV3, "413d5a01 00647ea3 0a630064", Refusal::version},
        Wrong{"Type2", kV3, "323d5a01 00647da3 0a630064", Refusal::type},
        Wrong{"ChecksumZero", kV3, "313d5a01 00640000 0a630064", Refusal::checksum},
        Wrong{"Rfc9568_5_2_8_V6IsNeverSummedPlain", kV3On6,
              "313d5a01 006414dc fe800000000000000000000000006100", Refusal::checksum},
        Wrong{"V2WithPseudoHeader", kV2, "213d5a01 00018efe 0a630064 00000000 00000000", Refusal::checksum},
        Wrong{"PasswordWhereNoneIsConfigured", kV2, "213d5a01 01011697 0a630064 31313131 00000000",
              Refusal::auth_type},
        Wrong{"NoPasswordWhereOneIsConfigured", v2_password(), "213d5a01 000179f9 0a630064 00000000 00000000",
              Refusal::auth_type},
        Wrong{"AuthenticationHeader", v2_password(), "213d5a01 020177f9 0a630064 00000000 00000000",
              Refusal::auth_type},
        Wrong{"OtherPassword", v2_password("2222"), "213d5a01 01011697 0a630064 31313131 00000000",
              Refusal::auth_data},
        Wrong{"PasswordThatIsOnlyTheBeginning", v2_password("111"),
              "213d5a01 01011697 0a630064 31313131 00000000", Refusal::auth_data},
        Wrong{"KeepalivedHmac", kV3, "313d5a01 00647ea3 0a630064 00010203 04050607 08090a0b 0c0d0e0f",
              Refusal::auth_trailer},
        Wrong{"Rfc9568_5_2_5_NoAddresses", kV3, "313d5a00 0064896f", Refusal::addresses}),
    [](const auto& info) { return info.param.name; });

TEST_P(WrongAdvert, IsRefusedForItsReason) {
  const Wrong& row = GetParam();
  const auto bytes = hex(row.bytes);
  const auto result = vrrp::decode(received(bytes, row.format.family), row.format);
  ASSERT_TRUE(std::holds_alternative<Refusal>(result));
  EXPECT_EQ(vrrp::name(std::get<Refusal>(result)), vrrp::name(row.refusal));
}

TEST(Advert, Rfc9568_5_1_1_3_MulticastWithAnotherTtlIsRefused) {
  const auto bytes = hex("313d5a01 00647ea3 0a630064");
  auto packet = received(bytes, Family::v4);
  for (const std::uint8_t ttl : {0, 1, 64, 254}) {
    packet.ttl = ttl;
    EXPECT_EQ(std::get<Refusal>(vrrp::decode(packet, kV3)), Refusal::ttl);
  }
}

TEST(Advert, UnicastMayHaveCrossedRouters) {
  const auto bytes = hex("313d5a01 00646996 0a630064");
  const vrrp::ReceivedPacket packet{
      .source = kRouter4, .destination = ip("10.99.0.2"), .ttl = 60, .payload = bytes};
  EXPECT_TRUE(std::holds_alternative<Advert>(vrrp::decode(packet, kV3)));
}

TEST(Advert, OfTheOtherFamilyIsRefused) {
  const auto bytes = hex("313d5a01 00647ea3 0a630064");
  EXPECT_EQ(std::get<Refusal>(vrrp::decode(received(bytes, Family::v6), kV3)), Refusal::foreign_family);
  EXPECT_EQ(std::get<Refusal>(vrrp::decode(received(bytes, Family::v4), kV3On6)), Refusal::foreign_family);
}

TEST(Advert, Rfc9568_5_2_6_ReservedBitsAreIgnored) {
  // 0xf064 for 0x0064; the checksum by as much less.
  const auto bytes = hex("313d5a01 f0648ea2 0a630064");
  const auto result = vrrp::decode(received(bytes, Family::v4), kV3);
  ASSERT_TRUE(std::holds_alternative<Advert>(result));
  EXPECT_EQ(std::get<Advert>(result).max_advert, Centis(100));
}

TEST(Advert, CarriesUpTo255Addresses) {
  for (const auto& format : {kV2, kV3, kV3On6}) {
    const bool v4 = format.family == Family::v4;
    std::vector<IpAddress> addresses;
    for (std::uint8_t i = 0; i < 255; ++i) {
      base::Ipv6 v6{};
      v6.bytes[0] = 0xfd;
      v6.bytes[15] = i;
      addresses.push_back(v4 ? IpAddress(base::Ipv4::from_host(0x0a000000U + i)) : IpAddress(v6));
    }
    std::array<std::byte, vrrp::kMaxAdvertBytes> buffer;
    const auto bytes = vrrp::encode({.format = format,
                                     .vrid = 255,
                                     .priority = 254,
                                     .source = v4 ? kRouter4 : kRouter6,
                                     .destination = v4 ? kGroup4 : kGroup6,
                                     .addresses = addresses},
                                    buffer);
    const auto result = vrrp::decode(received(bytes, format.family), format);
    ASSERT_TRUE(std::holds_alternative<Advert>(result));
    ASSERT_EQ(std::get<Advert>(result).count(), 255U);
    EXPECT_EQ(std::get<Advert>(result).address(254), addresses[254]);
  }
}

TEST(Advert, Rfc9568_5_2_6_TheLongestIntervalIs40_95Seconds) {
  const std::vector<IpAddress> addresses{ip("10.99.0.100")};
  std::array<std::byte, vrrp::kMaxAdvertBytes> buffer;
  const auto bytes = vrrp::encode({.format = kV3,
                                   .vrid = 1,
                                   .priority = 1,
                                   .max_advert = Centis(4095),
                                   .source = kRouter4,
                                   .destination = kGroup4,
                                   .addresses = addresses},
                                  buffer);
  EXPECT_EQ(bytes[4], std::byte{0x0f});
  const auto result = vrrp::decode(received(bytes, Family::v4), kV3);
  EXPECT_EQ(std::get<Advert>(result).max_advert, Centis(4095));
}

TEST(Advert, HasANameAndASentenceForEachRefusal) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < vrrp::kRefusals; ++i) {
    const auto refusal = static_cast<Refusal>(i);
    EXPECT_FALSE(vrrp::describe(refusal).empty());
    names.emplace(vrrp::name(refusal));
  }
  EXPECT_EQ(names.size(), vrrp::kRefusals);
  EXPECT_FALSE(names.contains(""));
}

TEST(Advert, TellsItsVridWhateverElseIsWrong) {
  EXPECT_EQ(vrrp::peek_vrid(hex("ff07")), 7);
  EXPECT_EQ(vrrp::peek_vrid(hex("31")), 0);
  EXPECT_EQ(vrrp::peek_vrid({}), 0);
}

}  // namespace
}  // namespace sluice::test
