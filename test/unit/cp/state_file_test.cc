#include "cp/state_file.h"

#include <string>

#include <gtest/gtest.h>

#include "cp/controller.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

class StateFile : public testing::Test {
 protected:
  /// Service "web": a, b, both checked, weight 100, slow start 60 s.
  static config::Config web() {
    config::Config config;
    config::Service& service = config.services.emplace_back();
    service.name = "web";
    service.vip = *base::Endpoint::parse("192.0.2.1:80");
    for (const char* name : {"a", "b"}) {
      config::Server& server = service.servers.emplace_back();
      server.name = name;
      server.endpoint = *base::Endpoint::parse("10.0.0.1:8080");
      server.endpoint.port = static_cast<std::uint16_t>(8080 + service.servers.size());
      server.slowstart = 60s;
      server.check.type = config::CheckType::tcp;
      server.check.rise = 2;
      server.check.fall = 3;
    }
    return config;
  }
  void check(Controller& controller, const char* server, bool passes) {
    const CheckResult result{passes ? CheckStatus::l4_ok : CheckStatus::l4_refused, "said \xff \"so\"", 3ms,
                             0};
    controller.record_check(*controller.find("web", server), result, now_.steady);
  }
  void command(Controller& controller, const char* server, config::ServerAction action,
               std::uint32_t value = 0) {
    ASSERT_TRUE(controller.command({"web", server, action, value, false}, now_.steady));
  }
  const ServerState& server(const Controller& controller, const char* name) {
    return *controller.find(*controller.find("web", name));
  }
  /// The process ends and begins anew `later`, on another steady clock.
  Controller restarted(const Controller& before, std::chrono::milliseconds later,
                       config::Config config = web()) {
    const auto saved = decode_state(encode_state(before.save(now_)));
    EXPECT_TRUE(saved) << saved.error().message;
    now_.wall += later.count();
    now_.steady = TimePoint{} + 5s;
    Controller controller(std::move(config), now_.steady);
    controller.restore(*saved, now_);
    return controller;
  }

  Moment now_{TimePoint{} + 1000s, 1'800'000'000'000};
};

TEST_F(StateFile, BringsBackHealthOperatorAndCounters) {
  Controller before(web(), now_.steady);
  check(before, "a", true);
  check(before, "a", false);
  for (int i = 0; i < 3; ++i) check(before, "b", false);
  command(before, "a", config::ServerAction::weight, 30);
  command(before, "a", config::ServerAction::maxconn, 7);
  command(before, "a", config::ServerAction::drain);
  now_.steady += 10s;
  now_.wall += 10'000;
  const Controller after = restarted(before, 2s);
  EXPECT_EQ(server(after, "a").status(), "DRAIN 2/3");
  EXPECT_EQ(server(after, "a").user_weight(), 30U);
  EXPECT_EQ(server(after, "a").user_maxconn(), 7U);
  EXPECT_EQ(server(after, "b").status(), "DOWN");
  EXPECT_EQ(server(after, "b").check().failed_checks(), 1U);
  EXPECT_EQ(server(after, "b").times_down(), 1U);
  EXPECT_EQ(server(after, "b").check().last_result().status, CheckStatus::l4_refused);
  EXPECT_EQ(now_.steady - server(after, "b").last_change(), 12s);
  EXPECT_EQ(after.desired().generation, 1U);
  EXPECT_EQ(after.desired().services[0].servers[0].weight, 0U);
}

TEST_F(StateFile, NothingIsLoggedTwice) {
  Controller before(web(), now_.steady);
  check(before, "a", false);
  Controller after = restarted(before, 1s);
  check(after, "a", false);
  EXPECT_TRUE(after.take_log().empty());
}

TEST_F(StateFile, SlowStartGoesOn) {
  Controller before(web(), now_.steady);
  command(before, "a", config::ServerAction::maint);
  command(before, "a", config::ServerAction::ready);
  const Controller after = restarted(before, 30s);
  EXPECT_EQ(server(after, "a").shown_weight(), 57U);
  EXPECT_EQ(after.next_tick(), now_.steady + 1s);
}

TEST_F(StateFile, ConfigurationWinsWhereItChanged) {
  Controller before(web(), now_.steady);
  command(before, "a", config::ServerAction::weight, 30);
  command(before, "b", config::ServerAction::maint);
  check(before, "a", false);
  config::Config changed = web();
  changed.services[0].servers[0].weight = 50;
  changed.services[0].servers[0].check.type = config::CheckType::none;
  changed.services[0].servers[1].endpoint.port = 9;
  const Controller after = restarted(before, 1s, changed);
  EXPECT_EQ(server(after, "a").user_weight(), 50U);
  EXPECT_EQ(server(after, "a").status(), "no check") << "nothing would ever bring it up";
  EXPECT_EQ(server(after, "b").status(), "UP 1/3") << "another server";
}

TEST_F(StateFile, DisabledInTheConfigurationWinsWhenItIsNew) {
  Controller before(web(), now_.steady);
  command(before, "b", config::ServerAction::maint);
  config::Config changed = web();
  changed.services[0].servers[0].disabled = true;
  const Controller after = restarted(before, 1s, changed);
  EXPECT_EQ(server(after, "a").status(), "MAINT");
  EXPECT_EQ(server(after, "b").status(), "MAINT");
  Controller ready = restarted(after, 1s, changed);
  command(ready, "a", config::ServerAction::ready);
  EXPECT_EQ(server(restarted(ready, 1s, changed), "a").status(), "UP 1/3") << "the operator's word stands";
}

TEST_F(StateFile, WhatAnAgentSaidIsForgottenWithTheAgent) {
  config::Config with_agent = web();
  for (config::Server& server : with_agent.services[0].servers) server.agent.port = 9'999;
  with_agent.services[0].servers[0].check.type = config::CheckType::none;
  Controller before(with_agent, now_.steady);
  for (const char* name : {"a", "b"})
    before.record_agent(*before.find("web", name), parse_agent_answer("down\n"), now_.steady);
  EXPECT_EQ(server(restarted(before, 1s, with_agent), "a").status(), "DOWN (agent)");
  config::Config changed = with_agent;
  for (config::Server& server : changed.services[0].servers) server.agent.port = 0;
  const Controller after = restarted(before, 1s, changed);
  EXPECT_EQ(server(after, "a").status(), "no check") << "nothing would ever bring it up";
  EXPECT_EQ(server(after, "b").status(), "UP 1/3");
  for (int i = 0; i < 3; ++i) check(before, "b", false);
  EXPECT_EQ(server(restarted(before, 1s, changed), "b").status(), "DOWN") << "its check says so, too";
}

TEST_F(StateFile, OldHealthIsForgottenTheOperatorIsNot) {
  Controller before(web(), now_.steady);
  check(before, "a", false);
  command(before, "b", config::ServerAction::drain);
  const Controller after = restarted(before, 6min);
  EXPECT_EQ(server(after, "a").status(), "UP 1/3");
  EXPECT_EQ(server(after, "b").status(), "DRAIN 1/3");
}

TEST_F(StateFile, ClockSetBackDoesNoHarm) {
  Controller before(web(), now_.steady);
  check(before, "a", false);
  const Controller after = restarted(before, -3600s);
  EXPECT_EQ(server(after, "a").status(), "DOWN");
  EXPECT_EQ(server(after, "a").last_change(), now_.steady);
}

TEST_F(StateFile, GarbageIsRefusedWithAReason) {
  Controller controller(web(), now_.steady);
  const std::string good = encode_state(controller.save(now_));
  ASSERT_TRUE(decode_state(good));
  for (std::size_t cut = 0; cut + 2 < good.size(); cut += 7) {
    const auto state = decode_state(good.substr(0, cut));
    ASSERT_FALSE(state) << cut;
    EXPECT_FALSE(state.error().message.empty());
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char byte : {'\0', '9', '"', 'x', '-', '{'}) {
      std::string bad = good;
      bad[at] = byte;
      const auto state = decode_state(bad);
      if (!state) continue;
      Controller other(web(), now_.steady);
      other.restore(*state, now_);
    }
  }
  EXPECT_FALSE(decode_state(std::string(100'000, '[')));
  std::string other_version = good;
  other_version.replace(other_version.find("\"version\":1"), 11, "\"version\":2");
  EXPECT_EQ(decode_state(other_version).error().message, "it is not of version 1");
}

}  // namespace
}  // namespace sluice::cp
