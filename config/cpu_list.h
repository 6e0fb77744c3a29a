#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::config {

/// Reads a CPU list as the kernel writes it ("2-5,8"), CPUs 0 to 1023: sorted, each once. An empty text is an
/// empty list. The Error's sentence begins with the text in quotes.
[[nodiscard]] base::Result<std::vector<std::uint16_t>> parse_cpu_list(std::string_view text);

/// The list of `cpus` (ascending) as the kernel writes it: "2-5,8".
[[nodiscard]] std::string cpu_list_text(const std::vector<std::uint16_t>& cpus);

}  // namespace sluice::config
