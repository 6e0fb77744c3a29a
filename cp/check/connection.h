#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/system/error_code.hpp>

#include "base/address.h"
#include "cp/check/tls_contexts.h"
#include "cp/check_result.h"

namespace sluice::cp {

/// How a check's connection ends.
enum class Ending : std::uint8_t {
  reset,   ///< RST: leaves no TIME_WAIT behind, and an application that was sent nothing sees nothing
  finish,  ///< FIN: the application sees a connection
};

/// The connection of a check: TCP, then, perhaps, TLS. Closed when destroyed. Knows nothing of time: whoever
/// waits for it cancels. Failures are results in HAProxy's words. Thread: that of the coroutine.
class CheckConnection {
 public:
  explicit CheckConnection(boost::asio::any_io_executor executor) : socket_(std::move(executor)) {}
  CheckConnection(const CheckConnection&) = delete;
  CheckConnection& operator=(const CheckConnection&) = delete;
  /// Closes it here: a socket of Asio's forgets at its destruction that it was to be reset.
  ~CheckConnection() { close(); }

  /// SYN, SYN-ACK; the ACK is held back until something is sent or awaited, so that closing with `reset`
  /// before leaves the application's accept() waiting. Result: L4OK, L4CON or SOCKERR.
  boost::asio::awaitable<CheckResult> connect(base::Endpoint endpoint, Ending ending);
  /// The TLS handshake. `name`: for SNI and, where certificates are verified, what theirs must be for; empty:
  /// neither. Result: L6OK or L6RSP. Pre: connected. `context` outlives this connection's use.
  boost::asio::awaitable<CheckResult> start_tls(boost::asio::ssl::context& context, std::string name);

  boost::asio::awaitable<boost::system::error_code> write(std::string_view bytes);
  /// Appends what came, at least one byte, at most up to `limit` bytes in all. Error eof: the peer
  /// ended the connection, TLS or not, in whatever way. Pre: received.size() < limit.
  boost::asio::awaitable<boost::system::error_code> read_some(std::string& received, std::size_t limit);
  /// Lets `time` pass.
  boost::asio::awaitable<void> pause(std::chrono::milliseconds time);
  void close();

 private:
  using Tcp = boost::asio::ip::tcp;

  boost::system::error_code open(const Tcp& family, Ending ending);
  boost::system::error_code give_ack();

  Tcp::socket socket_;
  bool holds_ack_ = false;
  std::optional<boost::asio::ssl::stream<Tcp::socket&>> tls_;
};

/// Whether `error` says that this host lacks something (descriptors, memory, ports), not that the other side
/// did anything.
bool is_our_lack(const boost::system::error_code& error) noexcept;

boost::asio::ip::address to_asio(const base::IpAddress& address);

}  // namespace sluice::cp
