#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <gtest/gtest.h>

#include "cp/check/check_target.h"
#include "cp/check/run_check.h"

namespace sluice::cp {

/// What a fake server does with a connection.
struct Behaviour {
  enum class After : std::uint8_t { close, hold, reset, endless };
  std::string reply;           ///< sent after something was read
  After after = After::close;  ///< what follows
  bool reads = true;           ///< false: does not wait for anything to be sent
  /// Bytes of the reply sent at a time, a millisecond apart; 0: all at once.
  std::size_t crumb = 0;
};

/// A TCP server on a free port of 127.0.0.1 that does the same with each connection.
class FakeServer {
 public:
  /// `tls`: shakes hands first; may be null. It lives until the io_context ends.
  FakeServer(boost::asio::io_context& io, Behaviour behaviour, boost::asio::ssl::context* tls = nullptr);

  [[nodiscard]] std::uint16_t port() const noexcept { return state_->port; }
  [[nodiscard]] base::Endpoint endpoint() const;
  /// Connections that accept() returned.
  [[nodiscard]] int accepted() const noexcept { return state_->accepted; }
  /// What the clients sent, one after another.
  [[nodiscard]] const std::string& received() const noexcept { return state_->received; }

 private:
  struct State {
    explicit State(boost::asio::io_context& io) : acceptor(io) {}
    boost::asio::ip::tcp::acceptor acceptor;
    Behaviour behaviour;
    boost::asio::ssl::context* tls = nullptr;
    std::uint16_t port = 0;
    int accepted = 0;
    std::string received;
  };
  template <typename Stream>
  static boost::asio::awaitable<void> talk(Stream& stream, State& state);
  static boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket,
                                            std::shared_ptr<State> state);
  static boost::asio::awaitable<void> run(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

/// A port of 127.0.0.1 on which nobody listens, and that nobody else gets meanwhile.
class ClosedPort {
 public:
  explicit ClosedPort(boost::asio::io_context& io);
  [[nodiscard]] std::uint16_t port() const { return socket_.local_endpoint().port(); }

 private:
  boost::asio::ip::tcp::socket socket_;
};

/// A certificate authority and a server certificate of it for srv.test and 127.0.0.1, as PEM files in a
/// directory of its own, made once a process.
struct TestCertificates {
  std::string ca_file, certificate_file, key_file;
  static const TestCertificates& get();
};

/// Makes checks ready and runs them, all in one thread with the fake servers.
class ProbeTest : public ::testing::Test {
 protected:
  /// Runs `check` against 127.0.0.1:`port` to its end.
  CheckResult run(config::Check check, std::uint16_t port);
  /// Runs `coroutine` to its end and returns its value.
  template <typename T>
  T finish(boost::asio::awaitable<T> coroutine) {
    std::optional<T> value;
    boost::asio::co_spawn(io_, std::move(coroutine), [&value](std::exception_ptr error, T result) {
      if (error) std::rethrow_exception(error);
      value = std::move(result);
    });
    io_.restart();
    while (!value) io_.run_one();
    return *std::move(value);
  }

  boost::asio::io_context io_{1};
  config::Milliseconds connect_timeout_ = std::chrono::seconds(5);  ///< of run()'s service
};

/// A check of the given type that ends after `timeout`.
config::Check check_of(config::CheckType type, config::Milliseconds timeout = std::chrono::seconds(20));

}  // namespace sluice::cp
