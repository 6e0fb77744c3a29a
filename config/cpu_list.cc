#include "config/cpu_list.h"

#include <charconv>
#include <optional>
#include <set>

#include "config/suggest.h"

namespace sluice::config {
namespace {

constexpr std::uint16_t kHighest = 1023;

std::optional<std::uint16_t> parse_cpu(std::string_view text) {
  std::uint16_t cpu = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (failure != std::errc() || end != text.data() + text.size() || cpu > kHighest) return std::nullopt;
  return cpu;
}

}  // namespace

base::Result<std::vector<std::uint16_t>> parse_cpu_list(std::string_view text) {
  std::set<std::uint16_t> cpus;
  for (std::string_view rest = text; !rest.empty();) {
    const auto comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const bool more = comma != std::string_view::npos;
    rest = more ? rest.substr(comma + 1) : std::string_view();
    const auto dash = item.find('-');
    const auto first = parse_cpu(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_cpu(item.substr(dash + 1));
    if (!first || !last || *first > *last || (more && rest.empty())) {
      return base::Error{base::ErrorCode::invalid,
                         in_quotes(text) + R"( is not a list of CPUs from 0 to 1023, such as "2-5,8")"};
    }
    for (unsigned cpu = *first; cpu <= *last; ++cpu) cpus.insert(static_cast<std::uint16_t>(cpu));
  }
  return std::vector<std::uint16_t>(cpus.begin(), cpus.end());
}

std::string cpu_list_text(const std::vector<std::uint16_t>& cpus) {
  std::string text;
  for (std::size_t first = 0, last = 0; first < cpus.size(); first = ++last) {
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(cpus[first]);
    if (last != first) text += '-' + std::to_string(cpus[last]);
  }
  return text;
}

}  // namespace sluice::config
