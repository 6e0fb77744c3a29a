#pragma once

#include <cstdint>
#include <string>

namespace sluice::dp {

struct FreeHugepages {
  std::uint64_t usable_mb = 0;     ///< free pages of a size that a mounted hugetlbfs offers
  std::uint64_t unmounted_mb = 0;  ///< free pages that no mounted hugetlbfs offers
};

/// What this host has free now for an EAL of this file prefix. The files of one that was killed count as
/// free: EAL takes them back at its start.
[[nodiscard]] FreeHugepages free_hugepages(const std::string& file_prefix);

}  // namespace sluice::dp
