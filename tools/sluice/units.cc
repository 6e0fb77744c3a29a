#include "tools/sluice/units.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace sluice::cli {
namespace {

/// Three significant digits: 1.23, 45.6, 789.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  return value < 99.95 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value);
}

}  // namespace

std::string count_text(std::uint64_t count) {
  if (count < 1'000) return fmt::to_string(count);
  if (count < 1'000'000) return fmt::format("{},{:03}", count / 1'000, count % 1'000);
  constexpr std::array<std::string_view, 5> kSuffixes{"M", "G", "T", "P", "E"};
  double value = static_cast<double>(count) / 1e6;
  std::size_t step = 0;
  for (; value >= 999.5 && step + 1 < kSuffixes.size(); ++step) value /= 1e3;
  return fmt::format("{}{}", three_digits(value), kSuffixes.at(step));
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1'024) return fmt::format("{} B", bytes);
  constexpr std::array<std::string_view, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t step = 0;
  for (; value >= 999.5 && step + 1 < kUnits.size(); ++step) value /= 1024;
  return fmt::format("{} {}", three_digits(value), kUnits.at(step));
}

std::string duration_text(std::uint64_t milliseconds) {
  if (milliseconds < 1'000) return fmt::format("{}ms", milliseconds);
  const std::uint64_t seconds = milliseconds / 1'000;
  if (seconds < 60) return fmt::format("{}s", seconds);
  const std::uint64_t minutes = seconds / 60;
  if (minutes < 60) return fmt::format("{}m{}s", minutes, seconds % 60);
  const std::uint64_t hours = minutes / 60;
  if (hours < 24) return fmt::format("{}h{}m", hours, minutes % 60);
  return fmt::format("{}d{}h", hours / 24, hours % 24);
}

std::string percent_text(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace sluice::cli
