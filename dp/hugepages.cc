#include "dp/hugepages.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <memory>
#include <mntent.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
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

/// Bytes in the files of `directory` whose names begin with `prefix`.
std::uint64_t bytes_of_files(const char* directory, const std::string& prefix) {
  std::uint64_t bytes = 0;
  const std::unique_ptr<DIR, DirCloser> dir(::opendir(directory));
  while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
    struct stat info {};
    if (std::string_view(entry->d_name).starts_with(prefix) &&
        ::fstatat(::dirfd(dir.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
      bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
  }
  return bytes;
}

/// Bytes left behind on each mounted hugetlbfs, by page size in kB. A hugetlbfs tells its page size as its
/// block size.
std::map<std::uint64_t, std::uint64_t> mounted_sizes(const std::string& file_prefix) {
  std::map<std::uint64_t, std::uint64_t> sizes;
  const std::unique_ptr<std::FILE, MountsCloser> mounts(::setmntent("/proc/self/mounts", "r"));
  if (mounts == nullptr) return sizes;
  while (const mntent* mount = ::getmntent(mounts.get())) {
    struct statfs info {};
    if (std::string_view(mount->mnt_type) == "hugetlbfs" && ::statfs(mount->mnt_dir, &info) == 0) {
      std::uint64_t& left_behind = sizes[static_cast<std::uint64_t>(info.f_bsize) / 1024];
      left_behind = std::max(left_behind, bytes_of_files(mount->mnt_dir, file_prefix + "map_"));
    }
  }
  return sizes;
}

}  // namespace

FreeHugepages free_hugepages(const std::string& file_prefix) {
  FreeHugepages found;
  const std::unique_ptr<DIR, DirCloser> sizes(::opendir(kSizes));
  if (sizes == nullptr) return found;
  const std::map<std::uint64_t, std::uint64_t> mounted = mounted_sizes(file_prefix);
  while (const dirent* entry = ::readdir(sizes.get())) {
    constexpr std::string_view kPrefix = "hugepages-";
    const std::string_view name(entry->d_name);
    if (!name.starts_with(kPrefix)) continue;
    const std::uint64_t size_kb = std::strtoull(entry->d_name + kPrefix.size(), nullptr, 10);
    std::ifstream file(std::string(kSizes) + '/' + entry->d_name + "/free_hugepages");
    std::uint64_t pages = 0;
    file >> pages;
    const std::uint64_t free_mb = pages * size_kb / 1024;
    if (const auto mount = mounted.find(size_kb); mount != mounted.end()) {
      found.usable_mb += free_mb + mount->second / (1U << 20);
    } else {
      found.unmounted_mb += free_mb;
    }
  }
  return found;
}

}  // namespace sluice::dp
