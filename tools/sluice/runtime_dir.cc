#include "tools/sluice/runtime_dir.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/fd.h"

namespace sluice::cli {
namespace {

base::Error path_error(const std::filesystem::path& path, int error_number) {
  auto error = base::system_error(fmt::format("runtime directory: \"{}\"", path.string()), error_number);
  error.message += "; choose another with --runtime-dir";
  if (error_number == EACCES || error_number == EPERM) error.message += ", or run sluice as root";
  return error;
}

/// The longest name of a socket that the directory is to hold.
constexpr std::string_view kLongestSocket = "vrrp-read.sock";

constexpr std::string_view kLock = "sluice.lock";

/// Whether `path` still leads to the open file.
bool is_same_file(int fd, const std::filesystem::path& path) {
  struct stat open {};
  struct stat named {};
  if (::fstat(fd, &open) != 0 || ::stat(path.c_str(), &named) != 0) return false;
  return open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

std::string holder_of(int lock) {
  std::array<char, 32> text{};
  const ssize_t length = ::pread(lock, text.data(), text.size() - 1, 0);
  if (length <= 0) return "pid unknown";
  std::string pid(text.data(), static_cast<std::size_t>(length));
  pid.erase(pid.find_last_not_of("\n ") + 1);
  return "pid " + pid;
}

base::Result<void> write_all(int fd, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return path_error(path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

base::Result<RuntimeDir> RuntimeDir::claim(const std::filesystem::path& path) {
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1 - 1 - kLongestSocket.size();
  if (path.native().size() > kMost) {
    return base::Error{
        base::ErrorCode::invalid,
        fmt::format("runtime directory: \"{}\": the path has {} bytes, and for the names of the "
                    "sockets in it {} is the most; choose a shorter one with --runtime-dir",
                    path.string(), path.native().size(), kMost)};
  }
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (error) return path_error(path, error.value());
  const std::filesystem::path lock_path = path / kLock;
  base::Fd lock;
  do {
    lock = base::Fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!lock) return path_error(lock_path, errno);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return path_error(lock_path, errno);
      return base::Error{
          base::ErrorCode::exists,
          fmt::format("another sluice ({}) runs on the runtime directory \"{}\"; stop it, or choose "
                      "another with --runtime-dir",
                      holder_of(lock.get()), path.string())};
    }
    // An instance that ended between our open() and flock() has removed the file that we locked.
  } while (!is_same_file(lock.get(), lock_path));
  RuntimeDir claimed(path, lock.release(), made);
  if (::ftruncate(claimed.lock_, 0) != 0) return path_error(lock_path, errno);
  const auto written = write_all(claimed.lock_, fmt::format("{}\n", ::getpid()), lock_path);
  if (!written) return written.error();
  return claimed;
}

RuntimeDir::RuntimeDir(RuntimeDir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), made_(other.made_) {}

RuntimeDir::~RuntimeDir() {
  if (lock_ < 0) return;
  ::unlink((path_ / kAccepted).c_str());
  ::unlink((path_ / kLock).c_str());  // while we hold it: nobody else does
  if (made_) ::rmdir(path_.c_str());
  ::close(lock_);
}

pid_t listener_pid(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof(address.sun_path)) return 0;
  std::memcpy(address.sun_path, text.data(), text.size());
  const base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return 0;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return 0;
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return 0;
  return peer.pid;
}

}  // namespace sluice::cli
