#include "cp/line_socket.h"

#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using asio::experimental::awaitable_operators::operator||;
using boost::system::error_code;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

base::Error failure(const error_code& error, std::size_t max_line) {
  if (error == asio::error::not_found) {
    return {base::ErrorCode::invalid, fmt::format("a line is longer than {} bytes", max_line)};
  }
  if (error == asio::error::eof)
    return {base::ErrorCode::unavailable, "the other side closed the connection"};
  return {base::ErrorCode::unavailable, error.message()};
}

base::Error timed_out(std::chrono::milliseconds timeout) {
  return {base::ErrorCode::unavailable, fmt::format("no answer within {} ms", timeout.count())};
}

}  // namespace

asio::awaitable<base::Result<LineSocket>> LineSocket::connect(std::filesystem::path path,
                                                              std::size_t max_line) {
  Socket socket(co_await asio::this_coro::executor);
  asio::local::stream_protocol::endpoint endpoint;
  try {
    endpoint = asio::local::stream_protocol::endpoint(path.string());
  } catch (const boost::system::system_error& error) {
    co_return base::Error{base::ErrorCode::invalid,
                          fmt::format("socket \"{}\": {}", path.string(), error.code().message())};
  }
  const auto [error] = co_await socket.async_connect(endpoint, kAsTuple);
  if (error) {
    co_return base::Error{base::ErrorCode::unavailable,
                          fmt::format("socket \"{}\": {}", path.string(), error.message())};
  }
  co_return LineSocket(std::move(socket), max_line);
}

asio::awaitable<base::Result<std::string>> LineSocket::read_line(Milliseconds timeout) {
  asio::steady_timer deadline(co_await asio::this_coro::executor, timeout);
  auto first =
      co_await (asio::async_read_until(socket_, asio::dynamic_buffer(received_, max_line_), '\n', kAsTuple) ||
                deadline.async_wait(kAsTuple));
  if (first.index() == 1) co_return timed_out(timeout);
  const auto [error, length] = std::get<0>(first);
  if (error) co_return failure(error, max_line_);
  std::string line = received_.substr(0, length - 1);
  received_.erase(0, length);
  co_return line;
}

asio::awaitable<base::Result<void>> LineSocket::write_line(std::string line, Milliseconds timeout) {
  line += '\n';
  asio::steady_timer deadline(co_await asio::this_coro::executor, timeout);
  auto first =
      co_await (asio::async_write(socket_, asio::buffer(line), kAsTuple) || deadline.async_wait(kAsTuple));
  if (first.index() == 1) co_return timed_out(timeout);
  const error_code error = std::get<0>(std::get<0>(first));
  if (error) co_return failure(error, max_line_);
  co_return base::Result<void>{};
}

asio::awaitable<void> LineSocket::readable() {
  if (!received_.empty()) co_return;
  // An error here is an end too: the read that follows tells which.
  co_await socket_.async_wait(Socket::wait_read, kAsTuple);
}

asio::awaitable<base::Result<std::string>> ask(std::filesystem::path path, std::string request,
                                               std::chrono::milliseconds timeout) {
  auto socket = co_await LineSocket::connect(std::move(path), kMaxLine);
  if (!socket) co_return std::move(socket).error();
  const auto sent = co_await socket->write_line(std::move(request), timeout);
  if (!sent) co_return sent.error();
  co_return co_await socket->read_line(timeout);
}

}  // namespace sluice::cp
