#include <netinet/in.h>
#include <sys/socket.h>
#include <vector>

#include "base/fd.h"
#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using config::CheckType;

/// A listening socket on a free port of 127.0.0.1 whose queue of connections that wait for accept() is full:
/// the kernel answers no further SYN.
class FullListener {
 public:
  FullListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    socklen_t length = sizeof(address_);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_.get(), generic(), length), 0);
    EXPECT_EQ(::getsockname(fd_.get(), generic(), &length), 0);
    EXPECT_EQ(::listen(fd_.get(), 0), 0);
    for (int i = 0; i < 8; ++i) {
      base::Fd& client =
          clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (::connect(client.get(), generic(), sizeof(address_)) != 0) {
        EXPECT_EQ(errno, EINPROGRESS);
      }
    }
  }
  [[nodiscard]] std::uint16_t port() const { return ntohs(address_.sin_port); }

 private:
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address_); }

  base::Fd fd_;
  sockaddr_in address_{};
  std::vector<base::Fd> clients_;
};

using TcpProbe = ProbeTest;

TEST_F(TcpProbe, PassesAndTheApplicationSeesNoConnection) {
  const FakeServer server(io_, {.reply = {}, .after = Behaviour::After::hold});
  const CheckResult result = run(check_of(CheckType::tcp), server.port());
  EXPECT_EQ(result.status, CheckStatus::l4_ok);
  EXPECT_EQ(result.info, "");
  io_.poll();
  EXPECT_EQ(server.accepted(), 0);
}

TEST_F(TcpProbe, WithLingerTheApplicationSeesAConnectionThatEnds) {
  const FakeServer server(io_, {.reply = {}, .after = Behaviour::After::hold});
  config::Check check = check_of(CheckType::tcp);
  check.linger = true;
  EXPECT_EQ(run(check, server.port()).status, CheckStatus::l4_ok);
  while (server.accepted() == 0) io_.run_one();
  EXPECT_EQ(server.accepted(), 1);
}

TEST_F(TcpProbe, TellsARefusal) {
  const ClosedPort closed(io_);
  const CheckResult result = run(check_of(CheckType::tcp), closed.port());
  EXPECT_EQ(result.status, CheckStatus::l4_refused);
  EXPECT_EQ(result.info, "Connection refused");
}

TEST_F(TcpProbe, TellsThatNobodyAnswersInTime) {
  const FullListener listener;
  const CheckResult result = run(check_of(CheckType::tcp, 100ms), listener.port());
  EXPECT_EQ(result.status, CheckStatus::l4_timeout);
  EXPECT_EQ(result.info, "");
  EXPECT_GE(result.duration, 100ms);
}

TEST_F(TcpProbe, TellsThatThereIsNoWay) {
  config::Check check = check_of(CheckType::tcp);
  check.address = base::Ipv4::from_host(0xffffffff);
  const CheckResult result = run(check, 80);
  EXPECT_EQ(result.status, CheckStatus::l4_refused);
  EXPECT_EQ(result.info, "General socket error (Network is unreachable)");
}

TEST_F(TcpProbe, ChecksTheAddressAndPortOfTheCheck) {
  const FakeServer server(io_, {});
  const ClosedPort closed(io_);
  config::Check check = check_of(CheckType::tcp);
  check.port = server.port();
  EXPECT_EQ(run(check, closed.port()).status, CheckStatus::l4_ok);
}

}  // namespace
}  // namespace sluice::cp
