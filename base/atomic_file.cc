#include "base/atomic_file.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/fd.h"

namespace sluice::base {
namespace {

Error failed(const std::filesystem::path& path) {
  return system_error(fmt::format("file \"{}\"", path.string()), errno);
}

}  // namespace

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view text, unsigned mode) {
  std::filesystem::path fresh = path;
  fresh += ".new";
  const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return failed(fresh);
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const Error error = failed(fresh);
      ::unlink(fresh.c_str());
      return error;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed(path);
  return {};
}

}  // namespace sluice::base
