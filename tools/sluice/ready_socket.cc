#include "tools/sluice/ready_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace sluice::cli {
namespace {

namespace asio = boost::asio;
using Local = asio::local::datagram_protocol;

/// Whether one of the lines of a notification is exactly `line`.
bool has_line(std::string_view text, std::string_view line) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (text.substr(0, end) == line) return true;
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
  return false;
}

/// Pre: a datagram waits. None when it is gone after all, or bears no credentials.
std::optional<Notice> receive(int fd) {
  std::array<char, 4096> text{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int) * 16)> control{};
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return std::nullopt;
  std::optional<Notice> notice;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(header), sizeof(sender));
      const std::string_view content(text.data(), static_cast<std::size_t>(length));
      notice = Notice{.pid = sender.pid, .ready = has_line(content, "READY=1")};
    } else if (header->cmsg_type == SCM_RIGHTS) {
      // Nobody was asked for descriptors: those that came are closed, not kept for ever.
      const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int passed = -1;
        std::memcpy(&passed, CMSG_DATA(header) + i * sizeof(int), sizeof(passed));
        ::close(passed);
      }
    }
  }
  return notice;
}

}  // namespace

base::Result<ReadySocket> ReadySocket::open(const asio::any_io_executor& executor,
                                            const std::filesystem::path& path) {
  try {
    ::unlink(path.c_str());  // ours from an earlier run: the directory's lock is held
    Socket socket(executor, Local::endpoint(path.string()));
    socket.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_PASSCRED>(true));
    socket.non_blocking(true);
    return ReadySocket(std::move(socket), path);
  } catch (const boost::system::system_error& error) {
    return base::system_error(fmt::format("socket \"{}\"", path.string()), error.code().value());
  }
}

ReadySocket::~ReadySocket() {
  if (socket_.is_open()) ::unlink(path_.c_str());
}

asio::awaitable<Notice> ReadySocket::next() {
  for (;;) {
    co_await socket_.async_wait(Socket::wait_read, asio::use_awaitable);
    const auto notice = receive(socket_.native_handle());
    if (notice) co_return *notice;
  }
}

}  // namespace sluice::cli
