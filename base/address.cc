#include "base/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <limits>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>

namespace sluice::base {
namespace {

Error not_valid(std::string_view what, std::string_view text, std::string_view why) {
  std::string message;
  message.append(what).append(" \"").append(text).append("\": ").append(why);
  return {ErrorCode::invalid, std::move(message)};
}

/// inet_pton takes C strings; glibc's is strict already (no octal, no short forms, no zone, no white space).
bool to_wire(int family, std::string_view text, void* wire) noexcept {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos) return false;
  text.copy(buffer.data(), text.size());
  return ::inet_pton(family, buffer.data(), wire) == 1;
}

/// Digits only, no leading zero, at most `max`.
std::optional<std::uint16_t> parse_number(std::string_view digits, std::uint16_t max) noexcept {
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failure != std::errc{} || end != digits.data() + digits.size() || number > max) return std::nullopt;
  return number;
}

std::optional<std::uint8_t> hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

Result<Mac> Mac::parse(std::string_view text) {
  constexpr std::string_view kWhy = "not a MAC address (six hexadecimal octets, as in 02:00:00:00:00:01)";
  if (text.size() != 17 || (text[2] != ':' && text[2] != '-')) return not_valid("MAC address", text, kWhy);
  Mac mac;
  for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
    const auto high = hex_digit(text[3 * i]);
    const auto low = hex_digit(text[3 * i + 1]);
    if (!high || !low || (i != 0 && text[3 * i - 1] != text[2])) return not_valid("MAC address", text, kWhy);
    mac.bytes[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return mac;
}

std::string Mac::to_string() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(17);
  for (const std::uint8_t byte : bytes) {
    if (!text.empty()) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0x0fU];
  }
  return text;
}

Result<Ipv4> Ipv4::parse(std::string_view text) {
  Ipv4 address;
  static_assert(sizeof address == sizeof(in_addr));
  if (!to_wire(AF_INET, text, &address)) return not_valid("address", text, "not an IPv4 address");
  return address;
}

std::string Ipv4::to_string() const {
  std::array<char, INET_ADDRSTRLEN> buffer{};
  return ::inet_ntop(AF_INET, &value, buffer.data(), buffer.size());
}

Result<Ipv6> Ipv6::parse(std::string_view text) {
  Ipv6 address;
  static_assert(sizeof address == sizeof(in6_addr));
  if (!to_wire(AF_INET6, text, address.bytes.data()))
    return not_valid("address", text, "not an IPv6 address");
  return address;
}

std::string Ipv6::to_string() const {
  // glibc's form is RFC 5952's: lower case, longest run of zeros shortened, ::ffff:192.0.2.1 mixed (§5).
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  return ::inet_ntop(AF_INET6, bytes.data(), buffer.data(), buffer.size());
}

bool Ipv6::is_loopback() const noexcept {
  Ipv6 loopback;
  loopback.bytes[15] = 1;
  return *this == loopback;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  if (Ipv4 v4; to_wire(AF_INET, text, &v4)) return IpAddress{v4};
  if (Ipv6 v6; to_wire(AF_INET6, text, v6.bytes.data())) return IpAddress{v6};
  return not_valid("address", text, "not an IPv4 or IPv6 address");
}

std::string IpAddress::to_string() const {
  return is_v4() ? v4().to_string() : v6().to_string();
}

IpAddress IpAddress::from_wire(std::string_view wire) noexcept {
  IpAddress address;
  assert(wire.size() == 4 || wire.size() == address.bytes_.size());
  address.family_ = wire.size() == 4 ? Family::v4 : Family::v6;
  std::memcpy(address.bytes_.data(), wire.data(), wire.size() == 4 ? 4 : address.bytes_.size());
  return address;
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return not_valid("prefix", text, "not an IPv4 or IPv6 address, alone or with /length");
  const std::uint8_t max = address->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return Prefix{*address, max};
  const auto length = parse_number(text.substr(slash + 1), max);
  if (!length) return not_valid("prefix", text, max == 32 ? "length must be 0..32" : "length must be 0..128");
  return Prefix{*address, static_cast<std::uint8_t>(*length)};
}

std::string Prefix::to_string() const {
  return address.to_string() + '/' + std::to_string(length);
}

bool Prefix::contains(const IpAddress& other) const noexcept {
  if (address.family() != other.family()) return false;
  const std::string_view own = address.wire();
  const std::string_view theirs = other.wire();
  const std::size_t whole = length / 8U;
  assert(length <= own.size() * 8);
  if (own.substr(0, whole) != theirs.substr(0, whole)) return false;
  const unsigned rest = length % 8U;
  if (rest == 0) return true;
  return ((static_cast<unsigned char>(own[whole]) ^ static_cast<unsigned char>(theirs[whole])) >>
          (8 - rest)) == 0;
}

Prefix Prefix::network() const noexcept {
  std::array<char, 16> bytes{};
  const std::string_view own = address.wire();
  std::copy(own.begin(), own.end(), bytes.begin());
  for (std::size_t i = 0; i < own.size(); ++i) {
    const std::size_t kept = std::clamp<std::size_t>(length, i * 8, i * 8 + 8) - i * 8;
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) & (0xff00U >> kept));
  }
  return {IpAddress::from_wire({bytes.data(), own.size()}), length};
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  constexpr std::string_view kWhy = "not an endpoint (192.0.2.1:80 or [2001:db8::1]:80)";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return not_valid("endpoint", text, kWhy);
  std::string_view host = text.substr(0, colon);
  Endpoint endpoint;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    const auto v6 = Ipv6::parse(host.substr(1, host.size() - 2));
    if (!v6) return not_valid("endpoint", text, kWhy);
    endpoint.address = *v6;
  } else {
    const auto v4 = Ipv4::parse(host);
    if (!v4) return not_valid("endpoint", text, kWhy);
    endpoint.address = *v4;
  }
  const auto port = parse_number(text.substr(colon + 1), std::numeric_limits<std::uint16_t>::max());
  if (!port) return not_valid("endpoint", text, "port must be 0..65535");
  endpoint.port = *port;
  return endpoint;
}

std::string Endpoint::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v4() ? host : '[' + host + ']') + ':' + std::to_string(port);
}

}  // namespace sluice::base
