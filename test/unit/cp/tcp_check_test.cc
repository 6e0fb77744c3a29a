#include "cp/tcp_check.h"

#include <cerrno>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/fd.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

/// A listening socket on a free port of 127.0.0.1.
class Listener {
 public:
  explicit Listener(int backlog) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    socklen_t length = sizeof(address_);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_.get(), generic(), length), 0);
    EXPECT_EQ(::getsockname(fd_.get(), generic(), &length), 0);
    if (backlog >= 0) {
      EXPECT_EQ(::listen(fd_.get(), backlog), 0);
    }
  }
  [[nodiscard]] base::Endpoint endpoint() const {
    return {base::Ipv4::from_host(INADDR_LOOPBACK), ntohs(address_.sin_port)};
  }
  /// Fills the queue of connections that wait for accept(): the kernel then answers no further SYN.
  void fill() {
    for (int i = 0; i < 8; ++i) {
      base::Fd& client =
          clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (::connect(client.get(), generic(), sizeof(address_)) != 0) {
        EXPECT_EQ(errno, EINPROGRESS);
      }
    }
  }
  [[nodiscard]] bool has_connection() const {
    const base::Fd accepted(::accept(fd_.get(), nullptr, nullptr));
    return static_cast<bool>(accepted);
  }

 private:
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address_); }

  base::Fd fd_;
  sockaddr_in address_{};
  std::vector<base::Fd> clients_;
};

CheckResult check(const base::Endpoint& endpoint, config::Milliseconds timeout) {
  boost::asio::io_context io(1);
  std::optional<CheckResult> result;
  boost::asio::co_spawn(io, tcp_check(endpoint, timeout),
                        [&result](std::exception_ptr, CheckResult value) { result = std::move(value); });
  io.run();
  EXPECT_TRUE(result);
  return result.value_or(CheckResult{});
}

TEST(TcpCheck, PassesAndTheApplicationSeesNoConnection) {
  const Listener listener(8);
  const CheckResult result = check(listener.endpoint(), 5s);
  EXPECT_EQ(result.status, CheckStatus::l4_ok);
  EXPECT_EQ(result.info, "");
  EXPECT_FALSE(listener.has_connection());
}

TEST(TcpCheck, TellsARefusal) {
  const Listener bound_only(-1);
  const CheckResult result = check(bound_only.endpoint(), 5s);
  EXPECT_EQ(result.status, CheckStatus::l4_refused);
  EXPECT_EQ(result.info, "Connection refused");
}

TEST(TcpCheck, TellsThatNobodyAnswersInTime) {
  Listener listener(0);
  listener.fill();
  const CheckResult result = check(listener.endpoint(), 100ms);
  EXPECT_EQ(result.status, CheckStatus::l4_timeout);
  EXPECT_EQ(result.info, "");
  EXPECT_GE(result.duration, 100ms);
}

}  // namespace
}  // namespace sluice::cp
