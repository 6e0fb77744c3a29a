#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "vrrp/virtual_router.h"

/// A virtual router and a clock that is moved by hand; tests read as one would tell them:
///   start(); wait(3'609ms); EXPECT_EQ(did(), "send 100, take, announce full, backup -> master (silent)")
namespace sluice::test {

using vrrp::AdvertReceived;
using vrrp::Duration;
using vrrp::Effect;
using vrrp::Parameters;
using vrrp::Reason;
using vrrp::State;
using vrrp::Time;
using vrrp::VirtualRouter;
using namespace std::chrono_literals;  // NOLINT: of a fixture

inline const char* text(State state) {
  constexpr const char* kNames[]{"init", "fault", "backup", "master"};
  return kNames[static_cast<unsigned>(state)];
}

inline const char* text(Reason reason) {
  switch (reason) {
    case Reason::started: return "started";
    case Reason::startup_delay: return "startup_delay";
    case Reason::owner: return "owner";
    case Reason::master_silent: return "silent";
    case Reason::master_stopped: return "stopped by its master";
    case Reason::higher_priority: return "higher";
    case Reason::equal_priority: return "equal";
    case Reason::tracker: return "tracker";
    case Reason::recovered: return "recovered";
    case Reason::yielded: return "yielded";
    case Reason::resumed: return "resumed";
    case Reason::group: return "group";
    case Reason::stopped: return "stopped";
  }
  return "?";
}

inline std::string text(const Effect& effect, State now, Reason reason) {
  constexpr const char* kBursts[]{"full", "refresh", "lower_priority"};
  switch (effect.kind) {
    case Effect::Kind::send_advert: return "send " + std::to_string(effect.priority);
    case Effect::Kind::take_addresses: return "take";
    case Effect::Kind::release_addresses: return "release";
    case Effect::Kind::announce:
      return std::string("announce ") + kBursts[static_cast<unsigned>(effect.burst)];
    case Effect::Kind::tell_state:
      return std::string(text(effect.from)) + " -> " + text(now) + " (" + text(reason) + ")";
    case Effect::Kind::tell_lower_priority: return "tell lower " + std::to_string(effect.priority);
    case Effect::Kind::tell_higher_priority: return "tell higher " + std::to_string(effect.priority);
    case Effect::Kind::tell_priority_zero: return "tell zero";
    case Effect::Kind::tell_interval: return "tell interval";
    case Effect::Kind::tell_preempt_delay: return "tell preempt delay";
  }
  return "?";
}

/// Drives one router.
class Router {
 public:
  explicit Router(const Parameters& parameters = {}) : router_(parameters, now_) {}

  Router& start(bool faulty = false) { return handle(vrrp::Start{faulty}); }
  Router& hear(std::uint8_t priority, Duration interval = 1s, bool source_is_higher = false) {
    return handle(AdvertReceived{priority, interval, source_is_higher});
  }
  Router& handle(const vrrp::Event& event) {
    const auto effects = router_.handle(event, now_);
    for (const Effect& effect : effects.all()) {
      if (!did_.empty()) did_ += ", ";
      did_ += text(effect, router_.state(), router_.reason());
    }
    return *this;
  }
  /// Time passes, and each deadline is served on time.
  Router& wait(Duration duration) {
    const Time end = now_ + duration;
    for (auto next = router_.deadline(); next && *next <= end; next = router_.deadline()) {
      EXPECT_GE(*next, now_) << "a deadline in the past was served already";
      now_ = std::max(now_, *next);
      handle(vrrp::Timeout{});
    }
    now_ = end;
    return *this;
  }
  /// Time passes, and nobody serves the router: a stopped process.
  Router& sleep(Duration duration) {
    now_ += duration;
    return *this;
  }
  /// A master, and all that it did on the way is forgotten.
  Router& start_master() {
    start();
    wait(router_.master_down());
    did();
    return *this;
  }
  /// What it did since the last call.
  std::string did() { return std::exchange(did_, {}); }
  [[nodiscard]] std::optional<Duration> next() const {
    const auto deadline = router_.deadline();
    return deadline ? std::optional(*deadline - now_) : std::nullopt;
  }
  [[nodiscard]] State state() const { return router_.state(); }
  [[nodiscard]] Time now() const { return now_; }
  const VirtualRouter* operator->() const { return &router_; }

 private:
  Time now_{1'000s};
  VirtualRouter router_;
  std::string did_;
};

}  // namespace sluice::test
