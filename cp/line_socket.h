#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/result.h"

namespace sluice::cp {

/// A Unix stream socket on which both sides speak in lines, for coroutines. Every wait has an end; failures
/// are values. Thread: that of the coroutine; one reader and one writer at a time.
class LineSocket {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  using Milliseconds = std::chrono::milliseconds;

  /// `max_line`: bytes a received line may have; a longer one is an Error (invalid).
  LineSocket(Socket socket, std::size_t max_line) : socket_(std::move(socket)), max_line_(max_line) {}

  /// Connects to the socket at `path`. Error (unavailable) when nobody listens there.
  static boost::asio::awaitable<base::Result<LineSocket>> connect(std::filesystem::path path,
                                                                  std::size_t max_line);

  /// The next line, without its newline. Error: unavailable when the other side closed or `timeout` passed,
  /// invalid when the line is too long; the socket is of no further use then.
  boost::asio::awaitable<base::Result<std::string>> read_line(Milliseconds timeout);

  /// Sends `line` and a newline.
  boost::asio::awaitable<base::Result<void>> write_line(std::string line, Milliseconds timeout);

  /// Returns once there is something to read, which may be the end of the stream.
  boost::asio::awaitable<void> readable();

 private:
  Socket socket_;
  std::size_t max_line_;
  std::string received_;  ///< bytes behind the last line
};

/// One request and its reply over a connection of its own. Error: as LineSocket's.
boost::asio::awaitable<base::Result<std::string>> ask(std::filesystem::path path, std::string request,
                                                      std::chrono::milliseconds timeout);

/// Longest line of the protocol, either way.
inline constexpr std::size_t kMaxLine = std::size_t{64} << 20;

}  // namespace sluice::cp
