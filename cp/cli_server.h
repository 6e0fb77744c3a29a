#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/result.h"
#include "config/wire.h"
#include "cp/controller.h"
#include "cp/dp_link.h"
#include "cp/line_socket.h"
#include "cp/show.h"

namespace sluice::cp {

/// Answers the CLI on a Unix socket: one JSON request a line, one reply a line.
///
/// Any number of clients, up to kMaxClients at once. One that sends garbage or too long a line gets an error
/// and is closed; one that is silent for kIdle, or does not read its replies for as long, is closed. None of
/// them holds up another, the checks or the data plane. Thread: the io_context's one; controller and link
/// must outlive the server.
class CliServer {
 public:
  static constexpr std::size_t kMaxClients = 128;
  static constexpr std::size_t kMaxRequest = std::size_t{64} << 10;
  static constexpr std::chrono::seconds kIdle{10};

  /// Listens on `path` (mode 0660). A socket left over by a dead process is replaced; Error (exists) when
  /// another process listens there.
  static base::Result<CliServer> listen(const boost::asio::any_io_executor& executor,
                                        const std::filesystem::path& path);

  CliServer(CliServer&&) noexcept = default;
  CliServer& operator=(CliServer&&) = delete;
  /// Removes the socket.
  ~CliServer();

  /// Accepts and serves until the io_context stops. `process`: what never changes of ProcessView.
  boost::asio::awaitable<void> run(Controller& controller, DpLink& link, ProcessView process);

 private:
  using Acceptor = boost::asio::local::stream_protocol::acceptor;
  CliServer(Acceptor acceptor, std::filesystem::path path)
      : acceptor_(std::move(acceptor)), path_(std::move(path)) {}

  Acceptor acceptor_;
  std::filesystem::path path_;
};

}  // namespace sluice::cp
