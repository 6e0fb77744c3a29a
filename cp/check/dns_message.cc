#include "cp/check/dns_message.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace sluice::cp {
namespace {

// RFC 1035 §2.3.4, §4.1.1.
constexpr std::size_t kHeader = 12;
constexpr std::size_t kMostLabel = 63;
constexpr std::size_t kMostName = 255;
constexpr char kRecursionDesired = 0x01;
constexpr std::uint8_t kResponse = 0x80;
constexpr std::uint8_t kOpcode = 0x78;
constexpr std::uint8_t kRcode = 0x0f;
constexpr std::uint16_t kClassIn = 1;

constexpr std::array<std::pair<std::string_view, std::uint16_t>, 6> kTypes{
    {{"A", 1}, {"NS", 2}, {"SOA", 6}, {"MX", 15}, {"TXT", 16}, {"AAAA", 28}}};

constexpr std::array<std::string_view, 11> kRcodes{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                                   "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                                   "NXRRSET", "NOTAUTH", "NOTZONE"};

void append16(std::string& bytes, std::uint16_t value) {
  bytes += static_cast<char>(value >> 8);
  bytes += static_cast<char>(value & 0xff);
}

}  // namespace

base::Result<std::string> dns_query(std::uint16_t id, std::string_view name, std::string_view type) {
  const auto* known = std::ranges::find(kTypes, type, &decltype(kTypes)::value_type::first);
  if (known == kTypes.end())
    return base::Error{base::ErrorCode::invalid, fmt::format("DNS type \"{}\" is not known", type)};
  const auto not_a_name = [name] {
    return base::Error{base::ErrorCode::invalid, fmt::format("\"{}\" is no DNS name", name)};
  };

  std::string message;
  append16(message, id);
  message += kRecursionDesired;
  message += '\0';
  for (const std::uint16_t count : {1, 0, 0, 0}) append16(message, count);
  std::string_view rest = name;
  if (rest.ends_with('.')) rest.remove_suffix(1);
  if (rest.empty() && name != ".") return not_a_name();
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find('.'), rest.size());
    if (length == 0 || length > kMostLabel) return not_a_name();
    message += static_cast<char>(length);
    message += rest.substr(0, length);
    rest.remove_prefix(length);
    if (rest == ".") return not_a_name();
    if (!rest.empty()) rest.remove_prefix(1);
  }
  message += '\0';
  if (message.size() - kHeader > kMostName) return not_a_name();
  append16(message, known->second);
  append16(message, kClassIn);
  return message;
}

std::optional<std::uint8_t> dns_rcode(std::string_view message, std::uint16_t id) {
  if (message.size() < kHeader) return std::nullopt;
  const auto byte = [message](std::size_t at) { return static_cast<std::uint8_t>(message[at]); };
  if (byte(0) != id >> 8 || byte(1) != (id & 0xff)) return std::nullopt;
  if ((byte(2) & kResponse) == 0 || (byte(2) & kOpcode) != 0) return std::nullopt;
  return static_cast<std::uint8_t>(byte(3) & kRcode);
}

std::string dns_rcode_name(std::uint8_t rcode) {
  if (rcode < kRcodes.size()) return std::string(kRcodes[rcode]);
  return fmt::format("RCODE{}", rcode);
}

}  // namespace sluice::cp
