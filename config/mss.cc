#include "config/mss.h"

#include <charconv>

namespace sluice::config {

std::string Mss::to_string() const {
  if (limit == kAuto) return "auto";
  return limit == kOff ? "off" : std::to_string(limit);
}

base::Result<Mss> Mss::parse(std::string_view text) {
  if (text == "auto") return Mss{kAuto};
  if (text == "off") return Mss{kOff};
  Mss mss;
  const char* const end = text.data() + text.size();
  const auto [rest, bad] = std::from_chars(text.data(), end, mss.limit);
  if (bad != std::errc() || rest != end || mss.limit < kLeast || mss.limit > kMost) {
    return base::Error{base::ErrorCode::invalid, "expected \"auto\", \"off\" or a number from " +
                                                     std::to_string(kLeast) + " to " + std::to_string(kMost)};
  }
  return mss;
}

}  // namespace sluice::config
