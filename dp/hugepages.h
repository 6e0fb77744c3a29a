#pragma once

#include <cstdint>

namespace sluice::dp {

struct FreeHugepages {
  std::uint64_t usable_mb = 0;     ///< free pages of a size that a mounted hugetlbfs offers
  std::uint64_t unmounted_mb = 0;  ///< free pages that no mounted hugetlbfs offers
};

/// What this host has free now.
[[nodiscard]] FreeHugepages free_hugepages();

}  // namespace sluice::dp
