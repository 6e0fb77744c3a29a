#include "cp/check/connection.h"

#include <algorithm>
#include <cerrno>
#include <netinet/tcp.h>
#include <poll.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadSize = 4'096;
using QuickAck = asio::detail::socket_option::boolean<IPPROTO_TCP, TCP_QUICKACK>;

error_code from_errno(int number) {
  return {number, boost::system::system_category()};
}

/// `at_once`: connect(2) itself failed; HAProxy words that differently.
CheckResult connect_failure(const error_code& error, bool at_once) {
  CheckResult result;
  result.status = is_our_lack(error) ? CheckStatus::socket_error : CheckStatus::l4_refused;
  const bool general = at_once && result.status == CheckStatus::l4_refused;
  result.info = general ? fmt::format("General socket error ({})", error.message()) : error.message();
  return result;
}

/// The error of a connect() that was under way.
error_code connect_outcome(int descriptor) {
  int number = 0;
  socklen_t length = sizeof(number);
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length) != 0) number = errno;
  return from_errno(number);
}

bool is_writable(int descriptor) {
  pollfd poll{descriptor, POLLOUT, 0};
  return ::poll(&poll, 1, 0) != 0;
}

/// Sets whom the peer's certificate must be for, and asks for it by SNI (RFC 6066 §3: a name, no address).
bool set_name(SSL* session, const std::string& name, bool verify) {
  if (name.empty()) return true;
  const bool is_address = base::IpAddress::parse(name).has_value();
  if (!is_address && ::SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                const_cast<char*>(name.c_str())) != 1) {
    return false;
  }
  if (!verify) return true;
  X509_VERIFY_PARAM* wanted = ::SSL_get0_param(session);
  return is_address ? ::X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1
                    : ::X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) == 1;
}

}  // namespace

bool is_our_lack(const error_code& error) noexcept {
  namespace errc = asio::error;
  return error == errc::no_descriptors || error == errc::no_memory || error == errc::no_buffer_space ||
         error == errc::try_again || error == errc::address_in_use || error == from_errno(EADDRNOTAVAIL) ||
         error == from_errno(ENFILE);
}

asio::ip::address to_asio(const base::IpAddress& address) {
  const std::string_view wire = address.wire();
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::ranges::copy(wire, bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes;
  std::ranges::copy(wire, bytes.begin());
  return asio::ip::address_v6(bytes);
}

error_code CheckConnection::open(const Tcp& family, Ending ending) {
  error_code error;
  holds_ack_ = false;
  if (socket_.open(family, error)) return error;
  if (socket_.non_blocking(true, error)) return error;
  if (ending == Ending::finish) return error;
  if (socket_.set_option(QuickAck(false), error)) return error;
  holds_ack_ = true;
  return socket_.set_option(asio::socket_base::linger(true, 0), error);
}

asio::awaitable<CheckResult> CheckConnection::connect(base::Endpoint endpoint, Ending ending) {
  close();
  const Tcp::endpoint target(to_asio(endpoint.address), endpoint.port);
  error_code error = open(target.protocol(), ending);
  if (error) co_return connect_failure(error, false);
  const int descriptor = socket_.native_handle();
  if (::connect(descriptor, target.data(), static_cast<socklen_t>(target.size())) != 0) {
    error = from_errno(errno);
    if (error != asio::error::in_progress) co_return connect_failure(error, true);
    do {
      std::tie(error) = co_await socket_.async_wait(Tcp::socket::wait_write, kAsTuple);
    } while (!error && !is_writable(descriptor));
    if (!error) error = connect_outcome(descriptor);
    if (error) co_return connect_failure(error, false);
  }
  CheckResult result;
  result.status = CheckStatus::l4_ok;
  co_return result;
}

asio::awaitable<CheckResult> CheckConnection::start_tls(ssl::context& context, std::string name) {
  tls_.emplace(socket_, context);
  SSL* const session = tls_->native_handle();
  const bool verify = ::SSL_CTX_get_verify_mode(context.native_handle()) != SSL_VERIFY_NONE;
  CheckResult result;
  result.status = CheckStatus::l6_invalid;
  result.info = "SSL handshake failure";
  if (!set_name(session, name, verify)) co_return result;
  const auto [error] = co_await tls_->async_handshake(ssl::stream_base::client, kAsTuple);
  if (!error) {
    result.status = CheckStatus::l6_ok;
    result.info.clear();
    co_return result;
  }
  const long verdict = ::SSL_get_verify_result(session);
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
    result.info = "Server presented an SSL certificate different from the expected one";
  co_return result;
}

asio::awaitable<error_code> CheckConnection::write(std::string_view bytes) {
  const auto buffer = asio::buffer(bytes.data(), bytes.size());
  if (tls_) {
    const auto [error, count] = co_await asio::async_write(*tls_, buffer, kAsTuple);
    co_return error;
  }
  const auto [error, count] = co_await asio::async_write(socket_, buffer, kAsTuple);
  co_return error;
}

error_code CheckConnection::give_ack() {
  error_code error;
  if (std::exchange(holds_ack_, false)) socket_.set_option(QuickAck(true), error);
  return error;
}

asio::awaitable<error_code> CheckConnection::read_some(std::string& received, std::size_t limit) {
  // A server that is to speak first does not know of the connection before it has our ACK.
  if (const error_code error = give_ack(); error) co_return error;
  const std::size_t before = received.size();
  received.resize(std::min(limit, before + kReadSize));
  const auto buffer = asio::buffer(received.data() + before, received.size() - before);
  error_code error;
  std::size_t count = 0;
  if (tls_) {
    std::tie(error, count) = co_await tls_->async_read_some(buffer, kAsTuple);
  } else {
    std::tie(error, count) = co_await socket_.async_read_some(buffer, kAsTuple);
  }
  received.resize(before + count);
  // Many servers end a TLS connection without telling: to HAProxy's checks, too, that is an end like any
  // other.
  if (error == ssl::error::stream_truncated) error = asio::error::eof;
  co_return error;
}

asio::awaitable<void> CheckConnection::pause(std::chrono::milliseconds time) {
  asio::steady_timer timer(socket_.get_executor(), time);
  co_await timer.async_wait(kAsTuple);
}

void CheckConnection::close() {
  tls_.reset();
  error_code ignored;  // there is nothing to be done about a close that fails
  socket_.close(ignored);
}

}  // namespace sluice::cp
