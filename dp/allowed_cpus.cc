#include "dp/allowed_cpus.h"

#include <algorithm>
#include <sched.h>
#include <string>

#include "config/cpu_list.h"

namespace sluice::dp {

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

base::Result<std::vector<std::uint16_t>> choose_cpus(std::string_view text,
                                                     const std::vector<std::uint16_t>& allowed) {
  auto cpus = config::parse_cpu_list(text);
  if (!cpus) {
    return base::Error{base::ErrorCode::invalid, "dataplane.cpus: " + cpus.error().message};
  }
  for (const std::uint16_t cpu : *cpus) {
    if (std::ranges::binary_search(allowed, cpu)) continue;
    return base::Error{base::ErrorCode::invalid,
                       "dataplane.cpus \"" + std::string(text) + "\": CPU " + std::to_string(cpu) +
                           " is not one that this process may use (" + config::cpu_list_text(allowed) + ")"};
  }
  return cpus;
}

}  // namespace sluice::dp
