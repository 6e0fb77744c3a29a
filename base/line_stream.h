#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"

namespace sluice::base {

/// Lines ended by '\n' over a non-blocking stream socket, with bounded buffers. Thread: one.
class LineStream {
 public:
  struct Limits {
    std::size_t line = std::size_t{64} << 20;     ///< bytes in a received line, without its '\n'
    std::size_t output = std::size_t{128} << 20;  ///< bytes that wait to be sent
  };
  enum class Input {
    open,      ///< more may come
    ended,     ///< the other side has closed its sending end
    too_long,  ///< a line exceeds the limit: the lines before it can be taken, nothing more is to be received
    failed,    ///< the connection is lost
  };
  enum class Output {
    sent,     ///< all of it is with the kernel
    waiting,  ///< some of it waits for the socket to become writable
    full,     ///< refused: the reader is too slow for the limit
    failed,   ///< the connection is lost
  };

  LineStream(Fd fd, Limits limits) noexcept : fd_(std::move(fd)), limits_(limits) {}

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Reads what is there, but at most a share, so that one busy peer does not starve the others.
  Input receive();
  /// Takes the next whole line out of what was received, without its '\n' (and a '\r' before it). False:
  /// none. `line` is valid until the next call of receive() or next_line().
  bool next_line(std::string_view& line) noexcept;
  /// Sends `line` and a '\n', or queues what the socket does not take.
  Output send(std::string_view line);
  /// Sends what waits.
  Output flush();
  [[nodiscard]] std::size_t waiting() const noexcept { return output_.size() - sent_; }

 private:
  /// False when a line in it exceeds the limit.
  bool append(std::string_view fresh);

  Fd fd_;
  Limits limits_;
  std::string input_;
  std::size_t taken_ = 0;      ///< bytes of input_ handed out by next_line()
  std::size_t searched_ = 0;   ///< no '\n' in [taken_, searched_)
  std::size_t open_line_ = 0;  ///< bytes of the last, unfinished line
  std::string output_;
  std::size_t sent_ = 0;  ///< bytes of output_ that the kernel has
};

}  // namespace sluice::base
