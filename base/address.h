#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/byte_order.h"
#include "base/result.h"

namespace sluice::base {

enum class Family : std::uint8_t { v4, v6 };

/// Ethernet address (48 bit, IEEE 802).
struct Mac {
  std::array<std::uint8_t, 6> bytes{};

  /// Accepts six hexadecimal octets separated by ':' or '-'.
  static Result<Mac> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return (bytes[0] & 1U) != 0; }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return *this == Mac{}; }
  friend constexpr bool operator==(const Mac&, const Mac&) noexcept = default;
  friend constexpr auto operator<=>(const Mac&, const Mac&) noexcept = default;
};

/// IPv4 address, network byte order.
struct Ipv4 {
  Be32 value;

  /// Accepts strict dotted-quad form (RFC 6943 §3.1.1); no octal, no short forms.
  static Result<Ipv4> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] static constexpr Ipv4 from_host(std::uint32_t host) noexcept { return {Be32{host}}; }
  [[nodiscard]] constexpr bool is_unspecified() const noexcept { return value.raw() == 0; }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return (value.host() >> 28) == 0xe; }
  [[nodiscard]] constexpr bool is_loopback() const noexcept { return (value.host() >> 24) == 127; }
  friend constexpr bool operator==(Ipv4, Ipv4) noexcept = default;
  friend constexpr auto operator<=>(Ipv4, Ipv4) noexcept = default;
};

/// IPv6 address, network byte order (RFC 4291).
struct Ipv6 {
  std::array<std::uint8_t, 16> bytes{};

  static Result<Ipv6> parse(std::string_view text);
  /// Canonical text (RFC 5952).
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr bool is_unspecified() const noexcept { return *this == Ipv6{}; }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return bytes[0] == 0xff; }
  [[nodiscard]] constexpr bool is_link_local() const noexcept {
    return bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80;
  }
  [[nodiscard]] bool is_loopback() const noexcept;
  friend constexpr bool operator==(const Ipv6&, const Ipv6&) noexcept = default;
  friend constexpr auto operator<=>(const Ipv6&, const Ipv6&) noexcept = default;
};

/// The address type of a family, so that one text serves both (`template <Family F>`).
template <Family F>
using Address = std::conditional_t<F == Family::v4, Ipv4, Ipv6>;

/// Either an IPv4 or an IPv6 address, as configuration and the control plane handle them.
class IpAddress {
 public:
  constexpr IpAddress() noexcept = default;
  constexpr IpAddress(Ipv4 v4) noexcept : family_(Family::v4) {  // NOLINT: implicit on purpose
    const std::uint32_t host = v4.value.host();
    for (unsigned i = 0; i < 4; ++i) bytes_[i] = static_cast<std::uint8_t>(host >> (24 - 8 * i));
  }
  constexpr IpAddress(Ipv6 v6) noexcept : family_(Family::v6), bytes_(v6.bytes) {}  // NOLINT

  static Result<IpAddress> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] constexpr Family family() const noexcept { return family_; }
  [[nodiscard]] constexpr bool is_v4() const noexcept { return family_ == Family::v4; }
  /// Pre: is_v4().
  [[nodiscard]] constexpr Ipv4 v4() const noexcept {
    return Ipv4::from_host(std::uint32_t{bytes_[0]} << 24 | std::uint32_t{bytes_[1]} << 16 |
                           std::uint32_t{bytes_[2]} << 8 | bytes_[3]);
  }
  /// Pre: !is_v4().
  [[nodiscard]] constexpr Ipv6 v6() const noexcept { return {bytes_}; }
  /// Pre: family() == F.
  template <Family F>
  [[nodiscard]] constexpr Address<F> as() const noexcept {
    if constexpr (F == Family::v4) {
      return v4();
    } else {
      return v6();
    }
  }
  /// 4 or 16 bytes, network order.
  [[nodiscard]] std::string_view wire() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), is_v4() ? 4U : 16U};
  }
  /// Pre: wire is 4 or 16 bytes long.
  static IpAddress from_wire(std::string_view wire) noexcept;
  [[nodiscard]] bool is_unspecified() const noexcept { return bytes_ == std::array<std::uint8_t, 16>{}; }
  [[nodiscard]] bool is_multicast() const noexcept {
    return is_v4() ? v4().is_multicast() : v6().is_multicast();
  }
  [[nodiscard]] bool is_loopback() const noexcept {
    return is_v4() ? v4().is_loopback() : v6().is_loopback();
  }

  friend constexpr bool operator==(const IpAddress&, const IpAddress&) noexcept = default;
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) noexcept = default;

 private:
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};
};

/// Address and prefix length; host bits are kept as given (an interface address is one of these too).
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;  ///< 0..32 or 0..128

  /// Accepts "10.0.0.0/8", "2001:db8::/32"; without "/length" the whole address (/32, /128).
  static Result<Prefix> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool contains(const IpAddress& other) const noexcept;
  /// The same with all bits behind `length` zero.
  [[nodiscard]] Prefix network() const noexcept;
  friend constexpr bool operator==(const Prefix&, const Prefix&) noexcept = default;
  friend constexpr auto operator<=>(const Prefix&, const Prefix&) noexcept = default;
};

/// Transport endpoint; the port in host order.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  /// Accepts "10.0.0.1:80" and "[2001:db8::1]:80".
  static Result<Endpoint> parse(std::string_view text);
  /// The same form; an IPv6 address stands in brackets.
  [[nodiscard]] std::string to_string() const;
  friend constexpr bool operator==(const Endpoint&, const Endpoint&) noexcept = default;
  friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) noexcept = default;
};

}  // namespace sluice::base
