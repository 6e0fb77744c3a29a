#include "config/duration.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include "config/suggest.h"

namespace sluice::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t microseconds;
};
constexpr std::array kUnits{
    Unit{"us", 1},         Unit{"ms", 1'000},        Unit{"s", 1'000'000},
    Unit{"m", 60'000'000}, Unit{"h", 3'600'000'000}, Unit{"d", 86'400'000'000},
};

base::Error refuse(std::string_view text, std::string_view why) {
  return {base::ErrorCode::invalid, in_quotes(text).append(" ").append(why)};
}

}  // namespace

base::Result<Milliseconds> parse_duration(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit_text = text.substr(static_cast<std::size_t>(end - text.data()));
  if (failure == std::errc::result_out_of_range)
    return refuse(text, "is longer than 20d, the longest duration");
  if (failure != std::errc()) {
    return refuse(text, "is not a duration: write a number and its unit, such as \"10s\"");
  }
  if (unit_text.empty()) {
    return refuse(text, "has no unit: write us, ms, s, m, h or d (did you mean " +
                            in_quotes(std::string(text) + "s") + "?)");
  }
  for (const Unit& unit : kUnits) {
    if (unit.name != unit_text) continue;
    constexpr std::uint64_t kLongest = std::chrono::microseconds(kLongestDuration).count();
    if (count > kLongest / unit.microseconds) return refuse(text, "is longer than 20d, the longest duration");
    const std::uint64_t microseconds = count * unit.microseconds;
    if (microseconds < 1'000) return refuse(text, "is shorter than 1ms, the shortest duration");
    if (microseconds % 1'000 != 0) return refuse(text, "is not a whole number of milliseconds");
    return Milliseconds(microseconds / 1'000);
  }
  return refuse(text,
                "is not a duration: " + in_quotes(unit_text) + " is no unit (known: us, ms, s, m, h, d)");
}

std::string duration_text(Milliseconds duration) {
  const auto milliseconds = static_cast<std::uint64_t>(duration.count());
  for (auto unit = kUnits.rbegin(); unit != kUnits.rend(); ++unit) {
    const std::uint64_t size = unit->microseconds / 1'000;
    if (size == 0 || milliseconds < size || milliseconds % size != 0) continue;
    return std::to_string(milliseconds / size).append(unit->name);
  }
  return "0ms";
}

}  // namespace sluice::config
