#include "dp/hugepages.h"

#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <memory>
#include <mntent.h>
#include <set>
#include <string>
#include <string_view>
#include <sys/vfs.h>

namespace sluice::dp {

namespace {

constexpr const char* kSizes = "/sys/kernel/mm/hugepages";

struct DirCloser {
  void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};
struct MountsCloser {
  void operator()(std::FILE* file) const noexcept { ::endmntent(file); }
};

/// Page sizes in kB that a mounted hugetlbfs gives. A hugetlbfs tells its page size as its block size.
std::set<std::uint64_t> mounted_sizes_kb() {
  std::set<std::uint64_t> sizes;
  const std::unique_ptr<std::FILE, MountsCloser> mounts(::setmntent("/proc/self/mounts", "r"));
  if (mounts == nullptr) return sizes;
  while (const mntent* mount = ::getmntent(mounts.get())) {
    struct statfs info {};
    if (std::string_view(mount->mnt_type) == "hugetlbfs" && ::statfs(mount->mnt_dir, &info) == 0) {
      sizes.insert(static_cast<std::uint64_t>(info.f_bsize) / 1024);
    }
  }
  return sizes;
}

}  // namespace

FreeHugepages free_hugepages() {
  FreeHugepages found;
  const std::unique_ptr<DIR, DirCloser> sizes(::opendir(kSizes));
  if (sizes == nullptr) return found;
  const std::set<std::uint64_t> mounted = mounted_sizes_kb();
  while (const dirent* entry = ::readdir(sizes.get())) {
    constexpr std::string_view kPrefix = "hugepages-";
    const std::string_view name(entry->d_name);
    if (!name.starts_with(kPrefix)) continue;
    const std::uint64_t size_kb = std::strtoull(entry->d_name + kPrefix.size(), nullptr, 10);
    std::ifstream file(std::string(kSizes) + '/' + entry->d_name + "/free_hugepages");
    std::uint64_t pages = 0;
    file >> pages;
    (mounted.contains(size_kb) ? found.usable_mb : found.unmounted_mb) += pages * size_kb / 1024;
  }
  return found;
}

}  // namespace sluice::dp
