#include "dp/flow/arena.h"

#include <cerrno>
#include <string>
#include <sys/mman.h>
#include <utility>

namespace sluice::dp {

base::Result<Arena> Arena::map(std::size_t bytes, std::string_view what) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  Arena arena;
  arena.size_ = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  arena.base_ = ::mmap(nullptr, arena.size_, kProtection, kFlags | MAP_HUGETLB, -1, 0);
  if (arena.base_ == MAP_FAILED) {
    arena.base_ = ::mmap(nullptr, arena.size_, kProtection, kFlags, -1, 0);
    if (arena.base_ == MAP_FAILED) {
      const int error = errno;
      arena.base_ = nullptr;
      return base::system_error(std::string(what) + ": cannot map " + std::to_string(bytes >> 20) + " MiB",
                                error);
    }
    // Advice only: without transparent hugepages the mapping works all the same.
    (void)::madvise(arena.base_, arena.size_, MADV_HUGEPAGE);
  }
  return arena;
}

Arena::Arena(Arena&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  return *this;
}

Arena::~Arena() {
  if (base_ != nullptr) ::munmap(base_, size_);
}

}  // namespace sluice::dp
