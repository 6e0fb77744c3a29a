#include "cp/tcp_check.h"

#include <algorithm>
#include <chrono>
#include <netinet/tcp.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using boost::system::error_code;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

Tcp::endpoint to_asio(const base::Endpoint& endpoint) {
  const std::string_view wire = endpoint.address.wire();
  if (endpoint.address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::ranges::copy(wire, bytes.begin());
    return {asio::ip::address_v4(bytes), endpoint.port};
  }
  asio::ip::address_v6::bytes_type bytes;
  std::ranges::copy(wire, bytes.begin());
  return {asio::ip::address_v6(bytes), endpoint.port};
}

CheckStatus status_of(const error_code& error) {
  namespace errc = asio::error;
  if (!error) return CheckStatus::l4_ok;
  if (error == errc::timed_out) return CheckStatus::l4_timeout;
  const bool ours = error == errc::no_descriptors || error == errc::no_memory ||
                    error == errc::no_buffer_space || error == errc::no_permission ||
                    error == errc::access_denied ||
                    error == error_code(EADDRNOTAVAIL, boost::system::system_category()) ||
                    error == error_code(ENFILE, boost::system::system_category());
  return ours ? CheckStatus::socket_error : CheckStatus::l4_refused;
}

/// Opens the socket so that the kernel holds back the ACK of the handshake and close() sends a RST in its
/// place: the server's accept() then never returns.
error_code prepare(Tcp::socket& socket, const Tcp& family) {
  using QuickAck = asio::detail::socket_option::boolean<IPPROTO_TCP, TCP_QUICKACK>;
  error_code error;
  if (socket.open(family, error)) return error;
  if (socket.set_option(QuickAck(false), error)) return error;
  socket.set_option(asio::socket_base::linger(true, 0), error);
  return error;
}

}  // namespace

asio::awaitable<CheckResult> tcp_check(base::Endpoint endpoint, config::Milliseconds timeout) {
  using asio::experimental::awaitable_operators::operator||;
  const auto started = std::chrono::steady_clock::now();
  const auto executor = co_await asio::this_coro::executor;
  const Tcp::endpoint target = to_asio(endpoint);
  Tcp::socket socket(executor);
  asio::steady_timer deadline(executor, timeout);

  error_code error = prepare(socket, target.protocol());
  if (!error) {
    auto first = co_await (socket.async_connect(target, kAsTuple) || deadline.async_wait(kAsTuple));
    error = first.index() == 0 ? std::get<0>(std::get<0>(first)) : error_code(asio::error::timed_out);
  }
  error_code ignored;  // the socket is closed either way
  socket.close(ignored);

  CheckResult result;
  result.status = status_of(error);
  if (result.status != CheckStatus::l4_ok && result.status != CheckStatus::l4_timeout)
    result.info = error.message();
  const auto spent = std::chrono::steady_clock::now() - started;
  result.duration = std::chrono::duration_cast<config::Milliseconds>(spent);
  co_return result;
}

}  // namespace sluice::cp
