#include <algorithm>
#include <sys/epoll.h>

#include "base/unix_channel.h"

namespace sluice::base {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{20};
constexpr std::chrono::milliseconds kLongestBackoff{1000};

}  // namespace

UnixClient::UnixClient(EventLoop& loop, std::string path, Callbacks callbacks, LineStream::Limits limits)
    : loop_(loop),
      path_(std::move(path)),
      callbacks_(std::move(callbacks)),
      limits_(limits),
      backoff_(kFirstBackoff) {
  timer_ = loop_.after(std::chrono::milliseconds::zero(), [this] { connect(); });
}

UnixClient::~UnixClient() {
  loop_.cancel(timer_);
  loop_.cancel(drop_timer_);
  if (stream_) loop_.remove(stream_->fd());
}

void UnixClient::connect() {
  timer_ = EventLoop::TimerId::none;
  auto fd = connect_unix(path_);
  if (!fd) {
    last_error_ = fd.error().message;
    retry_later();
    return;
  }
  const int number = fd->get();
  const auto watched = loop_.add(number, EPOLLIN, [this](std::uint32_t events) { on_event(events); });
  if (!watched) {
    last_error_ = watched.error().message;
    retry_later();
    return;
  }
  stream_ = std::make_shared<LineStream>(*std::move(fd), limits_);
  output_watched_ = false;
  last_error_.clear();
  if (callbacks_.connected) callbacks_.connected();
}

void UnixClient::retry_later() {
  timer_ = loop_.after(backoff_, [this] { connect(); });
  backoff_ = std::min(backoff_ * 2, kLongestBackoff);
}

bool UnixClient::send(std::string_view line) {
  if (!stream_) return false;
  switch (stream_->send(line)) {
    case LineStream::Output::sent: return true;
    case LineStream::Output::waiting: watch_output(true); return true;
    case LineStream::Output::full: reset("the server does not read what it is sent"); return false;
    case LineStream::Output::failed:
      return false;  // the hang-up event follows; before it, the server's last words are read
  }
  return false;
}

void UnixClient::reset(std::string why) {
  if (!stream_) return;
  loop_.remove(stream_->fd());
  stream_.reset();
  drop_timer_ = loop_.after(std::chrono::milliseconds::zero(), [this, why = std::move(why)] {
    drop_timer_ = EventLoop::TimerId::none;
    if (callbacks_.disconnected) {
      callbacks_.disconnected(Error{ErrorCode::unavailable, "socket \"" + path_ + "\": " + why});
    }
  });
  retry_later();  // due after the timer above: `disconnected` comes before the next `connected`
}

void UnixClient::on_event(std::uint32_t events) {
  const auto stream = stream_;
  if ((events & EPOLLOUT) != 0 && stream->flush() == LineStream::Output::sent) watch_output(false);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  const LineStream::Input input = stream->receive();
  std::string_view line;
  while (stream_ == stream && stream->next_line(line)) {
    backoff_ = kFirstBackoff;  // it speaks: not one that hangs up on everybody
    if (callbacks_.line) callbacks_.line(line);
  }
  if (stream_ != stream) return;
  switch (input) {
    case LineStream::Input::open: break;
    case LineStream::Input::ended:
    case LineStream::Input::failed: reset("the server has closed the connection"); break;
    case LineStream::Input::too_long:
      reset("the server sent a line longer than " + std::to_string(limits_.line) + " bytes");
      break;
  }
}

void UnixClient::watch_output(bool waiting) {
  if (waiting == output_watched_) return;
  const std::uint32_t events = EPOLLIN | (waiting ? std::uint32_t{EPOLLOUT} : 0U);
  if (loop_.modify(stream_->fd(), events)) {
    output_watched_ = waiting;
  } else {
    reset("it can no longer be watched");
  }
}

}  // namespace sluice::base
