#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::dp {

/// CPUs this process may run on (its affinity mask), ascending.
[[nodiscard]] std::vector<std::uint16_t> allowed_cpus();

/// The CPUs of the list `text` (dataplane.cpus), ascending. Error: not a list, or a CPU that is not in
/// `allowed`.
base::Result<std::vector<std::uint16_t>> choose_cpus(std::string_view text,
                                                     const std::vector<std::uint16_t>& allowed);

}  // namespace sluice::dp
