#include "dp/cpu_list.h"

#include <algorithm>
#include <charconv>
#include <sched.h>
#include <string>

namespace sluice::dp {

namespace {

bool read_number(std::string_view text, std::uint16_t& number) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string joined(const std::vector<std::uint16_t>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(cpus[i]);
    if (last != i) text += '-' + std::to_string(cpus[last]);
    i = last;
  }
  return text;
}

}  // namespace

std::vector<std::uint16_t> allowed_cpus() {
  std::vector<std::uint16_t> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (std::uint16_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

base::Result<std::vector<std::uint16_t>> parse_cpu_list(std::string_view text,
                                                        const std::vector<std::uint16_t>& allowed) {
  const auto refuse = [&](const std::string& why) {
    return base::Error{base::ErrorCode::invalid, "dataplane.cpus \"" + std::string(text) + "\": " + why};
  };
  std::vector<std::uint16_t> cpus;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = rest.substr(0, comma);
    const std::size_t dash = std::min(item.find('-'), item.size());
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    if (!read_number(item.substr(0, dash), first) ||
        !read_number(dash == item.size() ? item : item.substr(dash + 1), last) || last < first) {
      return refuse("not a CPU list; write CPU numbers and ranges, such as \"2-5,8\"");
    }
    for (std::uint32_t cpu = first; cpu <= last; ++cpu) {
      if (!std::binary_search(allowed.begin(), allowed.end(), cpu)) {
        return refuse("CPU " + std::to_string(cpu) + " is not one that this process may use (" +
                      joined(allowed) + ")");
      }
      cpus.push_back(static_cast<std::uint16_t>(cpu));
    }
    if (comma == rest.size()) break;
    rest.remove_prefix(comma + 1);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

}  // namespace sluice::dp
