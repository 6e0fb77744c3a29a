// Raw sockets for adverts.
#include "vrrp/kernel/advert_socket.h"

#include "test/unit/vrrp/kernel_fixture.h"

namespace sluice::vrrp {
namespace {

using AdvertSocketTest = test::InterfacesFixture;

TEST_F(AdvertSocketTest, AdvertsGoBeforeAllOtherTrafficOfTheHost) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add fe80::1/64 dev lan nodad");
  for (const char* source : {"192.0.2.1", "fe80::1"}) {
    const auto sender = open_sender(link("lan"), test::ip(source));
    ASSERT_TRUE(sender) << sender.error().message;
    int priority = 0;
    socklen_t length = sizeof priority;
    ASSERT_EQ(::getsockopt(sender->get(), SOL_SOCKET, SO_PRIORITY, &priority, &length), 0);
    EXPECT_EQ(priority, 6) << source;
  }
}

}  // namespace
}  // namespace sluice::vrrp
