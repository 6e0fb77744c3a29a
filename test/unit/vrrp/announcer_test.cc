// Bursts as they leave the interface: `far` hears what goes out of `lan`.
#include "vrrp/kernel/announcer.h"

#include <arpa/inet.h>
#include <array>
#include <gmock/gmock.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/headers.h"
#include "test/unit/vrrp/kernel_fixture.h"

namespace sluice::vrrp {
namespace {

using namespace std::chrono_literals;  // NOLINT: of a test
using testing::ElementsAre;
using testing::IsEmpty;

class AnnouncerTest : public test::InterfacesFixture {
 protected:
  static constexpr InstanceId kA{1};

  void SetUp() override {
    InterfacesFixture::SetUp();
    if (IsSkipped()) return;
    auto socket = FrameSocket::open();
    ASSERT_TRUE(socket) << socket.error().message;
    announcer_.emplace(
        *interfaces_, *std::move(socket),
        [this](InstanceId, const base::IpAddress& address, const Interface& interface, int error) {
          (error == 0 ? sent_ : failed_).push_back(address.to_string() + " " + interface.name);
        });
    run("ip address add 192.0.2.10/24 dev lan");
    run("ip address add 192.0.2.11/24 dev lan");
  }
  void announce(const char* address, std::uint16_t repeat, std::chrono::milliseconds pause = 0ms,
                const std::string& interface = "lan") {
    announcer_->announce({kA, test::ip(address), link(interface).index, repeat, pause});
  }
  /// What was sent at this turn.
  std::vector<std::string> step() {
    interfaces_->drain();
    sent_.clear();
    next_.reset();
    announcer_->step(now_, next_);
    return sent_;
  }

  std::optional<Announcer> announcer_;
  std::vector<std::string> sent_, failed_;
  Time now_{};
  std::optional<Time> next_;
};

TEST_F(AnnouncerTest, SendsGratuitousArpFromTheInterfacesMacAddress) {
  const base::Fd far(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP)));
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_ARP);
  where.sll_ifindex = static_cast<int>(link("far").index);
  ASSERT_EQ(::bind(far.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  announce("192.0.2.10", 2);
  (void)step();
  const Announcement expected = announcement_of(test::ip("192.0.2.10"), link("lan").mac, false);
  for (int i = 0; i < 2; ++i) {
    std::array<std::byte, 128> frame{};
    ASSERT_EQ(::recv(far.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(expected.size)) << i;
    EXPECT_TRUE(std::ranges::equal(expected.frame(), std::span(frame).first(expected.size)));
  }
  std::byte more{};
  EXPECT_EQ(::recv(far.get(), &more, 1, 0), -1);
}

TEST_F(AnnouncerTest, SendsSoManyRoundOverRound) {
  announce("192.0.2.10", 2);
  announce("192.0.2.11", 3);
  EXPECT_THAT(step(), ElementsAre("192.0.2.10 lan", "192.0.2.11 lan", "192.0.2.10 lan", "192.0.2.11 lan",
                                  "192.0.2.11 lan"));
  EXPECT_FALSE(next_);
  EXPECT_THAT(step(), IsEmpty());
}

TEST_F(AnnouncerTest, PausesBetweenTwoFramesOfAnInterface) {
  announce("192.0.2.10", 2, 100ms);
  announce("192.0.2.11", 1, 100ms);
  EXPECT_THAT(step(), ElementsAre("192.0.2.10 lan"));
  EXPECT_EQ(next_, now_ + 100ms);
  now_ += 99ms;
  EXPECT_THAT(step(), IsEmpty());
  now_ += 1ms;
  EXPECT_THAT(step(), ElementsAre("192.0.2.11 lan"));
  now_ += 100ms;
  EXPECT_THAT(step(), ElementsAre("192.0.2.10 lan"));
  // The pause holds beyond the end of the burst.
  announce("192.0.2.11", 1, 100ms);
  EXPECT_THAT(step(), IsEmpty());
  EXPECT_EQ(next_, now_ + 100ms);
  now_ += 100ms;
  EXPECT_THAT(step(), ElementsAre("192.0.2.11 lan"));
}

TEST_F(AnnouncerTest, OneInterfaceDoesNotWaitForAnother) {
  run("ip address add 198.51.100.10/24 dev far");
  announce("192.0.2.10", 2, 100ms);
  announce("198.51.100.10", 2, 0ms, "far");
  EXPECT_THAT(step(), ElementsAre("198.51.100.10 far", "198.51.100.10 far", "192.0.2.10 lan"));
}

TEST_F(AnnouncerTest, ASecondBurstDuringTheFirstMakesItUpToItsLength) {
  announce("192.0.2.10", 5, 100ms);
  EXPECT_EQ(step().size(), 1U);
  announce("192.0.2.10", 3, 100ms);  // four are left: enough
  std::size_t rest = 0;
  for (int i = 0; i < 20; ++i) {
    now_ += 100ms;
    rest += step().size();
  }
  EXPECT_EQ(rest, 4U);
}

TEST_F(AnnouncerTest, AnnouncesAgainWhenTheFirstBurstIsOver) {
  announce("192.0.2.10", 5);
  EXPECT_EQ(step().size(), 5U);
  now_ += 5s;
  announce("192.0.2.10", 5);
  EXPECT_EQ(step().size(), 5U);
}

/// Whoever is no longer master has lost the address first.
TEST_F(AnnouncerTest, StopsWithTheAddressThatHasLeft) {
  announce("192.0.2.10", 5, 100ms);
  announce("192.0.2.11", 2, 100ms);
  EXPECT_THAT(step(), ElementsAre("192.0.2.10 lan"));
  run("ip address delete 192.0.2.10/24 dev lan");
  run("ip address replace 192.0.2.11/24 dev lan");  // was it secondary, it went along
  std::vector<std::string> later;
  for (int i = 0; i < 20; ++i) {
    now_ += 100ms;
    for (const std::string& one : step()) later.push_back(one);
  }
  EXPECT_THAT(later, ElementsAre("192.0.2.11 lan", "192.0.2.11 lan"));
}

TEST_F(AnnouncerTest, AFrameThatCannotBeSentDoesNotLoseTheRest) {
  announce("192.0.2.10", 3, 100ms);
  run("ip link set lan down");
  EXPECT_THAT(step(), IsEmpty());
  EXPECT_THAT(failed_, ElementsAre("192.0.2.10 lan"));
  run("ip link set lan up");
  std::size_t rest = 0;
  for (int i = 0; i < 5; ++i) {
    now_ += 100ms;
    rest += step().size();
  }
  EXPECT_EQ(rest, 2U);
}

TEST_F(AnnouncerTest, AnInterfaceThatIsGoneIsForgotten) {
  announce("192.0.2.10", 3, 100ms);
  run("ip link delete lan");
  EXPECT_THAT(step(), IsEmpty());
  EXPECT_THAT(failed_, IsEmpty());
  EXPECT_FALSE(next_);
}

TEST_F(AnnouncerTest, LoopbackHasNobodyToTell) {
  run("ip address add 192.0.2.12/32 dev lo");
  announce("192.0.2.12", 3, 0ms, "lo");
  EXPECT_THAT(step(), IsEmpty());
  EXPECT_THAT(failed_, IsEmpty());
}

TEST_F(AnnouncerTest, ANeighbourAdvertSaysWhetherTheHostIsARouter) {
  ASSERT_TRUE(interfaces_->add_address(link("lan"), prefix("2001:db8::10/64")));
  const base::Fd far(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IPV6)));
  for (const bool router : {false, true}) {
    run(std::string("echo ") + (router ? "1" : "0") + " > /proc/sys/net/ipv6/conf/lan/forwarding");
    std::array<std::byte, 128> frame{};
    while (::recv(far.get(), frame.data(), frame.size(), 0) > 0) {
    }
    announce("2001:db8::10", 1);
    (void)step();
    const Announcement expected = announcement_of(test::ip("2001:db8::10"), link("lan").mac, router);
    bool heard = false;
    while (::recv(far.get(), frame.data(), frame.size(), 0) > 0) {
      heard = heard || std::ranges::equal(expected.frame(), std::span(frame).first(expected.size));
    }
    EXPECT_TRUE(heard) << (router ? "a router" : "no router");
  }
}

}  // namespace
}  // namespace sluice::vrrp
