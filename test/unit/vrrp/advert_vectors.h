#pragma once

#include <cassert>
#include <cstddef>
#include <string_view>
#include <vector>

#include "vrrp/advert.h"

/// Adverts as keepalived 2.2.7 sent them; checksums computed by hand where it has no such option.
namespace sluice::test {

/// "21 3d5a 01": spaces are for the reader.
inline std::vector<std::byte> hex(std::string_view text) {
  std::vector<std::byte> bytes;
  int digits = 0;
  unsigned value = 0;
  for (const char c : text) {
    if (c == ' ') continue;
    const unsigned digit = c <= '9' ? static_cast<unsigned>(c - '0') : static_cast<unsigned>(c - 'a') + 10;
    value = value << 4 | digit;
    if (++digits % 2 == 0) {
      bytes.push_back(static_cast<std::byte>(value));
      value = 0;
    }
  }
  assert(digits % 2 == 0);
  return bytes;
}

inline base::IpAddress ip(const char* text) {
  return *base::IpAddress::parse(text);
}

inline const base::IpAddress kGroup4 = ip("224.0.0.18");
inline const base::IpAddress kGroup6 = ip("ff02::12");
inline const base::IpAddress kRouter4 = ip("10.99.0.1");
inline const base::IpAddress kRouter6 = ip("fe80::cc2e:62ff:fe3b:fd1f");

inline vrrp::AdvertFormat v2_password(std::string_view password = "1111") {
  vrrp::AdvertFormat format{.version = 2, .family = base::Family::v4, .authenticated = true};
  for (std::size_t i = 0; i < password.size(); ++i) format.auth[i] = static_cast<std::uint8_t>(password[i]);
  return format;
}
inline const vrrp::AdvertFormat kV2{.version = 2, .family = base::Family::v4};
inline const vrrp::AdvertFormat kV3{.version = 3, .family = base::Family::v4};
inline const vrrp::AdvertFormat kV3On6{.version = 3, .family = base::Family::v6};

struct AdvertVector {
  const char* name;
  vrrp::AdvertFormat format;
  std::uint8_t priority;
  vrrp::Centis interval;
  vrrp::ChecksumStyle style;
  std::vector<base::IpAddress> addresses;
  const char* bytes;
};

/// All of virtual router 61.
inline std::vector<AdvertVector> advert_vectors() {
  using vrrp::Centis;
  using Style = vrrp::ChecksumStyle;
  const std::vector<base::IpAddress> one{ip("10.99.0.100")};
  return {
      {"v2_password", v2_password(), 90, Centis(100), Style::plain, one,
       "213d5a01 01011697 0a630064 31313131 00000000"},
      {"v2_password_stop", v2_password(), 0, Centis(100), Style::plain, one,
       "213d0001 01017097 0a630064 31313131 00000000"},
      {"v2_none", kV2, 90, Centis(100), Style::plain, one, "213d5a01 000179f9 0a630064 00000000 00000000"},
      {"v3_pseudo_header", kV3, 90, Centis(100), Style::pseudo_header, one, "313d5a01 00647ea3 0a630064"},
      {"v3_plain", kV3, 90, Centis(100), Style::plain, one, "313d5a01 00646996 0a630064"},
      {"v3_quarter_second", kV3, 90, Centis(25), Style::pseudo_header, one, "313d5a01 00197eee 0a630064"},
      {"v3_quarter_second_plain", kV3, 90, Centis(25), Style::plain, one, "313d5a01 001969e1 0a630064"},
      {"v3_ipv6",
       kV3On6,
       90,
       Centis(100),
       Style::pseudo_header,
       {ip("fe80::6100"), ip("fd00:99::100")},
       "313d5a02 0064ed88 fe800000000000000000000000006100 fd000099000000000000000000000100"},
  };
}

}  // namespace sluice::test
