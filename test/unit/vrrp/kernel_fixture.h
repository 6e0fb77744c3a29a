#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/event_loop.h"
#include "test/packet/network_namespace.h"
#include "test/unit/vrrp/advert_vectors.h"
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
