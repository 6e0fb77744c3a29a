#include "dp/kernel/kernel_sockets.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "test/packet/network_namespace.h"

namespace sluice::dp {
namespace {

using base::IpAddress;
using config::Protocol;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

/// A namespace of its own in which the test opens sockets of the kernel's.
class KernelSocketsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    namespace_ = std::make_unique<test::OwnNamespace>();
    ASSERT_TRUE(namespace_->entered());
    test::OwnNamespace::run("sysctl -qw net.ipv4.ip_local_port_range='40000 40009'");
    auto opened = KernelSockets::open();
    ASSERT_TRUE(opened) << opened.error().message;
    sockets_.emplace(std::move(*opened));
  }

  /// A socket bound to `address`:`port`.
  static base::Fd bind_socket(Protocol protocol, const std::string& address, std::uint16_t port,
                              bool v6_only = false) {
    const IpAddress where = ip(address);
    const int family = where.is_v4() ? AF_INET : AF_INET6;
    base::Fd socket(::socket(family, protocol == Protocol::tcp ? SOCK_STREAM : SOCK_DGRAM, 0));
    const int only = v6_only ? 1 : 0;
    if (family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    sockaddr_storage storage{};
    socklen_t size = 0;
    if (where.is_v4()) {
      auto* name = reinterpret_cast<sockaddr_in*>(&storage);
      *name = {AF_INET, htons(port), {}, {}};
      std::memcpy(&name->sin_addr, where.wire().data(), 4);
      size = sizeof(*name);
    } else {
      auto* name = reinterpret_cast<sockaddr_in6*>(&storage);
      *name = {AF_INET6, htons(port), 0, {}, 0};
      std::memcpy(&name->sin6_addr, where.wire().data(), 16);
      size = sizeof(*name);
    }
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), size), 0)
        << address << " " << strerror(errno);
    if (protocol == Protocol::tcp) {
      EXPECT_EQ(listen(socket.get(), 1), 0);
    }
    return socket;
  }

  bool excluded(Protocol protocol, const std::string& address, std::uint16_t port) {
    auto ports = sockets_->read();
    EXPECT_TRUE(ports) << ports.error().message;
    if (!ports) return false;
    const auto list = ports->excluded(protocol, ip(address));
    return std::ranges::binary_search(list, port);
  }

  std::unique_ptr<test::OwnNamespace> namespace_;
  std::optional<KernelSockets> sockets_;
};

TEST_F(KernelSocketsTest, SeesTheEphemeralRangeAndWhatIsReservedOfIt) {
  EXPECT_TRUE(excluded(Protocol::tcp, "192.0.2.10", 40000));
  EXPECT_TRUE(excluded(Protocol::udp, "2001:db8::10", 40009));
  EXPECT_FALSE(excluded(Protocol::tcp, "192.0.2.10", 40010));
  test::OwnNamespace::run("sysctl -qw net.ipv4.ip_local_reserved_ports=40002-40004");
  EXPECT_FALSE(excluded(Protocol::tcp, "192.0.2.10", 40003));
  EXPECT_TRUE(excluded(Protocol::tcp, "192.0.2.10", 40005));
}

TEST_F(KernelSocketsTest, SeesListenersComeAndGo) {
  auto before = sockets_->read();
  ASSERT_TRUE(before);
  base::Fd listener = bind_socket(Protocol::tcp, "127.0.0.1", 2222);
  EXPECT_TRUE(excluded(Protocol::tcp, "127.0.0.1", 2222));
  EXPECT_FALSE(excluded(Protocol::tcp, "192.0.2.10", 2222));
  EXPECT_FALSE(excluded(Protocol::udp, "127.0.0.1", 2222));
  listener.reset();
  auto after = sockets_->read();
  ASSERT_TRUE(after);
  EXPECT_EQ(*before, *after);
}

TEST_F(KernelSocketsTest, SeesUdpAndIpv6Sockets) {
  const base::Fd udp = bind_socket(Protocol::udp, "0.0.0.0", 5353);
  const base::Fd v6 = bind_socket(Protocol::udp, "::1", 5354);
  EXPECT_TRUE(excluded(Protocol::udp, "192.0.2.10", 5353));
  EXPECT_FALSE(excluded(Protocol::udp, "2001:db8::10", 5353));
  EXPECT_TRUE(excluded(Protocol::udp, "::1", 5354));
}

TEST_F(KernelSocketsTest, ADualStackSocketCountsForBothFamilies) {
  const base::Fd dual = bind_socket(Protocol::tcp, "::", 8080);
  const base::Fd v6_only = bind_socket(Protocol::tcp, "::", 8081, true);
  const base::Fd mapped = bind_socket(Protocol::tcp, "::ffff:127.0.0.1", 8082);
  EXPECT_TRUE(excluded(Protocol::tcp, "192.0.2.10", 8080));
  EXPECT_TRUE(excluded(Protocol::tcp, "2001:db8::10", 8080));
  EXPECT_FALSE(excluded(Protocol::tcp, "192.0.2.10", 8081));
  EXPECT_TRUE(excluded(Protocol::tcp, "2001:db8::10", 8081));
  EXPECT_TRUE(excluded(Protocol::tcp, "127.0.0.1", 8082));
}

}  // namespace
}  // namespace sluice::dp
