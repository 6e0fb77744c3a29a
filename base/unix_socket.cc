#include "base/unix_socket.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <string_view>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/line_stream.h"

namespace sluice::base {
namespace {

constexpr int kBacklog = 64;

std::string named(const std::string& path) {
  return "socket \"" + path + "\"";
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t most = sizeof address.sun_path - 1;
  if (path.empty() || path.find('\0') != std::string::npos) {
    return Error{ErrorCode::invalid, named(path) + ": not a file name"};
  }
  if (path.size() > most) {
    return Error{ErrorCode::invalid, named(path) + ": the path has " + std::to_string(path.size()) +
                                         " bytes, a Unix socket's may have at most " + std::to_string(most) +
                                         "; choose a shorter runtime directory"};
  }
  path.copy(static_cast<char*>(address.sun_path), most);
  return address;
}

Result<Fd> new_socket(const std::string& path) {
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd) return system_error(named(path) + ": socket", errno);
  return fd;
}

int bind_to(const Fd& fd, const sockaddr_un& address) noexcept {
  return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

/// 0 or errno.
int connect_to(const Fd& fd, const sockaddr_un& address) noexcept {
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/// Removes a socket file that nobody listens on; an Error when it is in use or no socket.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return system_error(named(path), errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error{ErrorCode::exists, named(path) + ": a file of this name exists and is no socket; remove it"};
  }
  const auto probe = new_socket(path);
  if (!probe) return probe.error();
  const int failure = connect_to(*probe, address);
  if (failure == 0 || failure == EAGAIN) {  // a full backlog is a sign of life, too
    return Error{ErrorCode::exists, named(path) + ": another sluice runs on this runtime directory"};
  }
  if (failure != ECONNREFUSED && failure != ENOENT) {
    return system_error(named(path) + ": exists, and whether it is in use cannot be told", failure);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return system_error(named(path) + ": cannot remove what a dead process left", errno);
  }
  return {};
}

/// Connects where others wait already; blocks until it is our turn or the time is up.
Result<Fd> connect_in_turn(const std::string& path, std::chrono::milliseconds timeout) {
  const auto address = address_of(path);
  if (!address) return address.error();
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) return system_error(named(path) + ": socket", errno);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timeval limit{seconds.count(), std::chrono::microseconds(timeout - seconds).count()};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return system_error(named(path) + ": SO_SNDTIMEO", errno);
  const int failure = connect_to(fd, *address);
  if (failure == EAGAIN)
    return Error{ErrorCode::exhausted, named(path) + ": too many connections wait there, and for too long"};
  if (failure != 0) return system_error(named(path) + ": connect", failure);
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return system_error(named(path) + ": O_NONBLOCK", errno);
  return fd;
}

/// Waits until `fd` is ready for `events` or the time is up.
Result<void> wait_for(const std::string& path, int fd, short events,
                      std::chrono::steady_clock::time_point deadline, std::chrono::milliseconds timeout) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd poll_fd{fd, events, 0};
    const int ready = left.count() <= 0 ? 0 : ::poll(&poll_fd, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready == 0) {
      return Error{ErrorCode::unavailable,
                   named(path) + ": no answer within " + std::to_string(timeout.count()) + " ms"};
    }
    if (errno != EINTR) return system_error(named(path) + ": poll", errno);
  }
}

}  // namespace

Result<Fd> listen_unix(const std::string& path, unsigned mode) {
  const auto address = address_of(path);
  if (!address) return address.error();
  auto fd = new_socket(path);
  if (!fd) return fd;

  std::string directory = std::filesystem::path{path}.parent_path().string();
  if (directory.empty()) directory = ".";
  const Fd lock{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!lock) return system_error("directory \"" + directory + "\"", errno);
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error("directory \"" + directory + "\": flock", errno);
  }

  int failure = bind_to(*fd, *address);
  if (failure == EADDRINUSE) {
    if (auto removed = remove_stale(path, *address); !removed) return removed.error();
    failure = bind_to(*fd, *address);
  }
  if (failure != 0) return system_error(named(path) + ": bind", failure);
  // Before listen(): until then nobody can connect with the mode that the umask left.
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd->get(), kBacklog) != 0) {
    const int number = errno;
    static_cast<void>(::unlink(path.c_str()));
    return system_error(named(path) + ": cannot listen", number);
  }
  return fd;
}

Result<Fd> connect_unix(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  auto fd = new_socket(path);
  if (!fd) return fd;
  switch (const int failure = connect_to(*fd, *address)) {
    case 0: return fd;
    case ENOENT:
    case ECONNREFUSED:
      return Error{ErrorCode::unavailable, named(path) + ": nobody listens there (is sluice running?)"};
    case EAGAIN:  // Linux: the backlog is full
      return Error{ErrorCode::exhausted, named(path) + ": too many connections wait there"};
    default: return system_error(named(path) + ": connect", failure);
  }
}

Result<std::string> request(const std::string& path, std::string_view line,
                            std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  auto fd = connect_unix(path);
  if (!fd && fd.error().code == ErrorCode::exhausted) fd = connect_in_turn(path, timeout);
  if (!fd) return std::move(fd).error();
  LineStream stream{*std::move(fd), {}};
  const Error lost{ErrorCode::unavailable, named(path) + ": the connection was closed before an answer came"};

  auto output = stream.send(line);
  auto input = LineStream::Input::open;
  for (;;) {
    // An answer may come before all was taken: "line too long", then close. It tells more than the failed
    // send.
    input = stream.receive();
    if (std::string_view answer; stream.next_line(answer)) return std::string{answer};
    if (input == LineStream::Input::too_long) {
      return Error{ErrorCode::invalid, named(path) + ": the answer exceeds 64 MiB"};
    }
    if (output == LineStream::Output::full) {
      return Error{ErrorCode::invalid, named(path) + ": the request exceeds 128 MiB"};
    }
    if (input != LineStream::Input::open) return lost;
    const bool sending = output == LineStream::Output::waiting;
    const auto ready = wait_for(path, stream.fd(), static_cast<short>(sending ? POLLIN | POLLOUT : POLLIN),
                                deadline, timeout);
    if (!ready) return ready.error();
    if (sending) output = stream.flush();
  }
}

}  // namespace sluice::base
