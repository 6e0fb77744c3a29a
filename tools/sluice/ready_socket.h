#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/datagram_protocol.hpp>

#include "base/result.h"

namespace sluice::cli {

/// What a child said of itself by sd_notify(3); who said it is vouched for by the kernel.
struct Notice {
  pid_t pid = 0;
  bool ready = false;
};

/// The socket that children find in NOTIFY_SOCKET. Removed at the end. Thread: the io_context's one.
class ReadySocket {
 public:
  static base::Result<ReadySocket> open(const boost::asio::any_io_executor& executor,
                                        const std::filesystem::path& path);
  ReadySocket(ReadySocket&&) noexcept = default;
  ReadySocket& operator=(ReadySocket&&) = delete;
  ~ReadySocket();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The next notice that carries credentials; anything else that arrives is dropped.
  boost::asio::awaitable<Notice> next();

 private:
  using Socket = boost::asio::local::datagram_protocol::socket;
  ReadySocket(Socket socket, std::filesystem::path path)
      : socket_(std::move(socket)), path_(std::move(path)) {}

  Socket socket_;
  std::filesystem::path path_;
};

}  // namespace sluice::cli
