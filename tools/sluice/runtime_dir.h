#pragma once

#include <filesystem>
#include <string_view>
#include <sys/types.h>

#include "base/result.h"

namespace sluice::cli {

/// The runtime directory of one running instance, locked for as long as this lives: sockets, the accepted
/// configuration, the lock itself (which holds our pid). The kernel lets go of the lock however the process
/// ends; the end of this object removes what lies there for the life of an instance only, and the directory
/// if it was made for it and is empty then.
class RuntimeDir {
 public:
  /// Makes the directory (mode 0755, parents too) where it is missing and locks it.
  /// Error: exists, naming the pid, when another instance holds it; permission and the like with the path.
  static base::Result<RuntimeDir> claim(const std::filesystem::path& path);
  static constexpr std::string_view kAccepted = "accepted.json";

  RuntimeDir(RuntimeDir&& other) noexcept;
  RuntimeDir& operator=(RuntimeDir&&) = delete;
  ~RuntimeDir();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  RuntimeDir(std::filesystem::path path, int lock, bool made)
      : path_(std::move(path)), lock_(lock), made_(made) {}

  std::filesystem::path path_;
  int lock_ = -1;  ///< -1: moved from
  bool made_ = false;
};

/// The process that listens on the Unix stream socket at `path`; 0: nobody does.
[[nodiscard]] pid_t listener_pid(const std::filesystem::path& path);

}  // namespace sluice::cli
