#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <memory>
#include <net/if.h>
#include <poll.h>
#include <span>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "test/packet/network_namespace.h"
#include "test/unit/vrrp/advert_vectors.h"
#include "vrrp/advert.h"
#include "vrrp/kernel/advert_socket.h"
#include "vrrp/kernel/interfaces.h"

namespace sluice::test {

/// The real kernel, in a network namespace of the test's own; skipped without the right to make one:
///
///    lan ══ far     a veth pair, both ends up, IPv6 link-local addresses only where a test adds them
///
/// run() changes things as an operator, or another program, does.
class KernelTest : public testing::Test {
 protected:
  static constexpr auto kPatience = std::chrono::seconds(10);
  using Clock = std::chrono::steady_clock;

  void SetUp() override {
    if (!namespace_.entered()) GTEST_SKIP() << "needs the right to make a network namespace";
    add_pair("lan", "far");
  }
  static void run(const std::string& command) { OwnNamespace::run(command); }
  static void add_pair(const std::string& near, const std::string& far) {
    run("ip link add " + near + " type veth peer name " + far);
    for (const std::string& end : {near, far}) run("ip link set " + end + " addrgenmode none up");
    // The kernel says a little later that they have link.
    for (const std::string& end : {near, far})
      run("until ip link show dev " + end + " | grep -q 'state UP'; do :; done");
  }
  static base::Prefix prefix(const char* text) { return *base::Prefix::parse(text); }

  OwnNamespace namespace_;
};

/// A VRRP advert to the group, as a router with MAC address `mac` sends it; only its headers are right.
inline std::vector<std::byte> advert_frame(base::Mac mac, const base::IpAddress& source) {
  constexpr std::size_t kPayload = 8;
  const bool v4 = source.is_v4();
  const base::IpAddress group = vrrp::vrrp_group(source.family());
  std::vector<std::byte> frame;
  const auto put = [&frame](std::initializer_list<int> bytes) {
    for (const int byte : bytes) frame.push_back(static_cast<std::byte>(byte));
  };
  const auto put_all = [&frame](std::string_view bytes) {
    const auto raw = std::as_bytes(std::span(bytes));
    frame.insert(frame.end(), raw.begin(), raw.end());
  };
  v4 ? put({0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}) : put({0x33, 0x33, 0x00, 0x00, 0x00, 0x12});
  for (const std::uint8_t byte : mac.bytes) put({byte});
  if (v4) {
    put({0x08, 0x00, 0x45, 0xc0, 0, 20 + kPayload, 0, 0, 0, 0, vrrp::kTtl, vrrp::kProtocol, 0, 0});
  } else {
    put({0x86, 0xdd, 0x6c, 0, 0, 0, 0, kPayload, vrrp::kProtocol, vrrp::kTtl});
  }
  put_all(source.wire());
  put_all(group.wire());
  if (v4) {
    const base::Be16 sum = base::ipv4_checksum(std::span(frame).subspan(14));
    std::memcpy(frame.data() + 14 + 10, &sum, sizeof sum);
  }
  frame.resize(frame.size() + kPayload);
  return frame;
}

/// One end of a pair, as a host there sends and receives frames.
class FrameEnd {
 public:
  explicit FrameEnd(const std::string& interface)
      : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ALL);
    where.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  }
  void send(std::span<const std::byte> frame) const {
    EXPECT_EQ(::send(fd_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  /// The next one that has arrived; empty: none.
  [[nodiscard]] std::vector<std::byte> next() const {
    for (;;) {
      std::vector<std::byte> frame(2048);
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t size =
          ::recvfrom(fd_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 0 && errno == ENETDOWN) continue;
      if (size >= 0 && from.sll_pkttype == PACKET_OUTGOING) continue;
      frame.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      return frame;
    }
  }
  static bool is_from(std::span<const std::byte> frame, const base::Mac& mac) {
    return frame.size() >= 14 && std::memcmp(frame.data() + 6, mac.bytes.data(), 6) == 0;
  }
  /// An IGMPv3 or MLDv2 report of memberships, as switches read it.
  static bool is_report(std::span<const std::byte> frame, base::Family family) {
    static constexpr std::array<std::uint8_t, 6> kIgmp{0x01, 0x00, 0x5e, 0x00, 0x00, 0x16};
    static constexpr std::array<std::uint8_t, 6> kMld{0x33, 0x33, 0x00, 0x00, 0x00, 0x16};
    return frame.size() >= 14 &&
           std::memcmp(frame.data(), family == base::Family::v4 ? kIgmp.data() : kMld.data(), 6) == 0;
  }

 private:
  base::Fd fd_;
};

/// Something has arrived at a socket, or arrives in time.
inline bool readable(int fd, std::chrono::milliseconds patience = std::chrono::seconds(5)) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, static_cast<int>(patience.count())) == 1;
}

/// With a mirror, and all that it says.
class InterfacesFixture : public KernelTest {
 protected:
  using Event = vrrp::InterfaceEvent;
  using Kind = vrrp::InterfaceEvent::Kind;

  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) return;
    auto started = vrrp::Interfaces::start(*loop_, [this](const Event& event) {
      events_.push_back(event);
      heard(event);
    });
    ASSERT_TRUE(started) << started.error().message;
    interfaces_ = *std::move(started);
  }
  virtual void heard(const Event&) {}

  /// Runs the loop until it is so.
  bool until(const std::function<bool()>& condition) {
    const auto end = Clock::now() + kPatience;
    while (!condition()) {
      if (Clock::now() > end) return false;
      loop_->run_once(std::chrono::milliseconds(20));
    }
    return true;
  }
  /// By name; there must be one.
  vrrp::Interface link(const std::string& name) {
    interfaces_->drain();
    const vrrp::Interface* const found = interfaces_->by_name(name);
    if (found == nullptr) {
      ADD_FAILURE() << "no interface " << name;
      return {};
    }
    return *found;
  }
  bool has(const std::string& name, const char* address) {
    interfaces_->drain();
    const vrrp::Interface* const found = interfaces_->by_name(name);
    return found != nullptr && interfaces_->has(found->index, ip(address));
  }
  /// What was heard of so far, and is then forgotten.
  std::size_t heard_of(Kind kind, const std::string& name) {
    interfaces_->drain();
    const auto count = std::ranges::count_if(
        events_, [&](const Event& event) { return event.kind == kind && event.interface.name == name; });
    events_.clear();
    return static_cast<std::size_t>(count);
  }

  std::unique_ptr<base::EventLoop> loop_ = *base::EventLoop::create();
  std::vector<Event> events_;
  std::unique_ptr<vrrp::Interfaces> interfaces_;
};

}  // namespace sluice::test
