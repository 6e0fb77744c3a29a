#include "base/line_stream.h"

#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace sluice::base {
namespace {

constexpr std::size_t kReadShare = std::size_t{1} << 20;
constexpr std::size_t kReadChunk = std::size_t{64} << 10;
constexpr std::size_t kKeptCapacity = std::size_t{1}
                                      << 20;  ///< a rare huge line must not hold memory for ever

}  // namespace

LineStream::Input LineStream::receive() {
  std::array<char, kReadChunk> chunk;  // NOLINT: filled by recv
  if (taken_ != 0) {
    input_.erase(0, taken_);
    searched_ -= taken_;
    taken_ = 0;
    if (input_.capacity() > kKeptCapacity && input_.size() < kKeptCapacity) input_.shrink_to_fit();
  }
  for (std::size_t share = 0; share < kReadShare;) {
    const ssize_t got = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got == 0) return Input::ended;
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Input::open : Input::failed;
    }
    const std::string_view fresh{chunk.data(), static_cast<std::size_t>(got)};
    if (!append(fresh)) return Input::too_long;
    share += fresh.size();
  }
  return Input::open;
}

bool LineStream::append(std::string_view fresh) {
  std::size_t begin = 0;  // of the line that is looked at
  for (;;) {
    const std::size_t end = fresh.find('\n', begin);
    const std::size_t piece = (end == std::string_view::npos ? fresh.size() : end) - begin;
    if (open_line_ + piece > limits_.line) {
      input_.append(fresh.substr(0, begin));  // the good lines before it
      return false;
    }
    if (end == std::string_view::npos) {
      open_line_ += piece;
      input_.append(fresh);
      return true;
    }
    open_line_ = 0;
    begin = end + 1;
  }
}

bool LineStream::next_line(std::string_view& line) noexcept {
  const std::size_t end = input_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = input_.size();
    return false;
  }
  line = std::string_view{input_}.substr(taken_, end - taken_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  taken_ = searched_ = end + 1;
  return true;
}

LineStream::Output LineStream::send(std::string_view line) {
  if (waiting() + line.size() + 1 > limits_.output) return Output::full;
  output_.append(line).push_back('\n');
  return flush();
}

LineStream::Output LineStream::flush() {
  while (waiting() != 0) {
    const ssize_t sent = ::send(fd_.get(), output_.data() + sent_, waiting(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Output::failed;
      if (sent_ > output_.size() / 2) {
        output_.erase(0, sent_);
        sent_ = 0;
      }
      return Output::waiting;
    }
    sent_ += static_cast<std::size_t>(sent);
  }
  output_.clear();
  sent_ = 0;
  if (output_.capacity() > kKeptCapacity) output_.shrink_to_fit();
  return Output::sent;
}

}  // namespace sluice::base
