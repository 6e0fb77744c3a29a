#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/result.h"
#include "cp/requests.h"
#include "cp/waiting.h"

namespace sluice::cp {

/// Answers the CLI on a Unix socket: one JSON request a line, one reply a line. There are two: cp.sock for
/// those who administer (mode 0660), and cp-read.sock for everybody, who may only look (mode 0666). Neither
/// keeps the other busy.
///
/// Any number of clients, up to kMaxClients at once; more wait until one has left. One that sends garbage or
/// too long a line gets an error and is closed; one that is silent for kIdle, or does not read its replies
/// for as long, is closed. Who waits for a server ("wait") may do so for as long as it asked, but no more
/// than kMaxWaiting at once, and the wait ends when the client goes or says something else. None of them
/// holds up another, the checks or the data plane. Thread: the io_context's one; requests and waiting must
/// outlive the server.
class CliServer {
 public:
  static constexpr std::size_t kMaxClients = 128;
  static constexpr std::size_t kMaxWaiting = 64;
  static constexpr std::size_t kMaxRequest = std::size_t{64} << 10;
  static constexpr std::chrono::seconds kIdle{10};

  /// Listens on `path`, with the mode that `access` calls for. A socket left over by a dead process is
  /// replaced; Error (exists) when another process listens there.
  static base::Result<CliServer> listen(const boost::asio::any_io_executor& executor,
                                        const std::filesystem::path& path, Access access);

  CliServer(CliServer&&) noexcept = default;
  CliServer& operator=(CliServer&&) = delete;
  /// Removes the socket.
  ~CliServer();

  /// Accepts and serves until the io_context stops.
  boost::asio::awaitable<void> run(Requests& requests, Waiting& waiting);

 private:
  using Acceptor = boost::asio::local::stream_protocol::acceptor;
  CliServer(Acceptor acceptor, std::filesystem::path path, Access access)
      : acceptor_(std::move(acceptor)), path_(std::move(path)), access_(access) {}

  Acceptor acceptor_;
  std::filesystem::path path_;
  Access access_;
};

}  // namespace sluice::cp
