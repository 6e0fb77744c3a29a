#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::config {

/// What the MSS option of SYNs and SYN-ACKs is lowered to, never raised (RFC 9293 §3.7.1).
struct Mss {
  static constexpr std::uint16_t kAuto = 0;      ///< as much as the MTUs of both sides carry
  static constexpr std::uint16_t kOff = 0xffff;  ///< whatever it says
  static constexpr std::uint16_t kLeast = 88;    ///< less is not taken by hosts (Linux: TCP_MIN_MSS)
  static constexpr std::uint16_t kMost = 65'495;

  std::uint16_t limit = kAuto;  ///< bytes

  /// "auto", "off" or a number.
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] static base::Result<Mss> parse(std::string_view text);
  friend constexpr bool operator==(const Mss&, const Mss&) noexcept = default;
};

}  // namespace sluice::config
