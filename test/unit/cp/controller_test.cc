#include "cp/controller.h"

#include <functional>
#include <gmock/gmock.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

base::Endpoint endpoint(std::string_view text) {
  return *base::Endpoint::parse(text);
}

/// One service "web" with servers a and b (checked, weight 100) and c (unchecked, weight 50).
class ControllerTest : public testing::Test {
 protected:
  static config::Config web() {
    config::Service service;
    service.name = "web";
    service.vip = endpoint("192.0.2.1:80");
    service.local_addresses = {service.vip.address};
    for (const char* name : {"a", "b", "c"}) {
      config::Server server;
      server.name = name;
      server.endpoint = endpoint("10.0.0.1:8080");
      server.endpoint.port = static_cast<std::uint16_t>(8080 + service.servers.size());
      server.check.type = config::CheckType::tcp;
      service.servers.push_back(server);
    }
    service.servers[2].check.type = config::CheckType::none;
    service.servers[2].weight = 50;
    config::Config config;
    config.services.push_back(service);
    return config;
  }

  [[nodiscard]] const ServerState& server(std::size_t index) const { return controller_.servers(0)[index]; }
  void pass(std::size_t index) {
    controller_.record_check(server(index).id(), {CheckStatus::l4_ok, "", 0ms, 0}, now_);
  }
  void fail(std::size_t index) {
    controller_.record_check(server(index).id(), {CheckStatus::l4_refused, "", 0ms, 0}, now_);
  }
  /// The data plane takes what is wanted.
  void apply() {
    running_ = controller_.desired();
    controller_.acknowledge(running_.generation);
  }
  [[nodiscard]] std::uint32_t weight(std::size_t server) const {
    return controller_.desired().services[0].servers[server].weight;
  }

  TimePoint now_{};
  Controller controller_{web(), now_};
  config::ForwardingState running_;
};

TEST_F(ControllerTest, StartsWithEveryServerUpAndGenerationOne) {
  EXPECT_EQ(controller_.desired().generation, 1U);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(weight(0), 1600U);
  EXPECT_EQ(weight(2), 800U);
  EXPECT_EQ(controller_.usable(0).active, 3U);
  EXPECT_EQ(controller_.servers().size(), 3U);
}

TEST_F(ControllerTest, ServerThatGoesDownGetsWeightZeroInTheNextGeneration) {
  apply();
  fail(0);
  EXPECT_EQ(weight(0), 0U);
  EXPECT_EQ(controller_.desired().generation, 2U);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.usable(0).active, 2U);
}

TEST_F(ControllerTest, ResultThatChangesNothingMakesNoGeneration) {
  apply();
  pass(0);
  pass(1);
  EXPECT_TRUE(controller_.in_step());
}

TEST_F(ControllerTest, ServerComesBackWithItsWeight) {
  fail(0);
  pass(0);
  EXPECT_EQ(weight(0), 0U);
  pass(0);
  EXPECT_EQ(weight(0), 1600U);
}

TEST_F(ControllerTest, FreshDataPlaneIsGivenTheState) {
  controller_.reconcile({}, now_);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 1U);
}

TEST_F(ControllerTest, RestartedDataPlaneIsGivenTheStateAgain) {
  controller_.reconcile({}, now_);
  fail(0);
  apply();
  controller_.forget_acknowledged();
  controller_.reconcile({}, now_);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 2U);
}

TEST_F(ControllerTest, RestartAdoptsWhatRunsAlready) {
  running_ = controller_.desired();
  running_.generation = 17;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 17U);
}

TEST_F(ControllerTest, RestartContinuesAboveAForeignGeneration) {
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers.pop_back();
  controller_.reconcile(running_, now_);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 18U);
  apply();
  fail(0);
  EXPECT_EQ(controller_.desired().generation, 19U);
}

TEST_F(ControllerTest, RestartInheritsWhichServersAreDown) {
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers[1].weight = 0;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(controller_.in_step()) << "b was down and stays down: nothing to change";
  EXPECT_FALSE(server(1).is_up());
  pass(1);
  pass(1);
  EXPECT_EQ(weight(1), 1600U);
}

TEST_F(ControllerTest, OwnCheckResultOutweighsWhatIsInherited) {
  pass(1);
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers[1].weight = 0;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(server(1).is_up());
  EXPECT_EQ(controller_.desired().generation, 18U);
}

TEST_F(ControllerTest, UncheckedOrMovedServerInheritsNothing) {
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers[2].weight = 0;
  running_.services[0].servers[1].weight = 0;
  running_.services[0].servers[1].endpoint = endpoint("10.0.0.9:1");
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(server(1).is_up());
  EXPECT_TRUE(server(2).is_up());
}

TEST_F(ControllerTest, OnlyTheFirstContactInherits) {
  controller_.reconcile({}, now_);
  running_ = controller_.desired();
  running_.services[0].servers[1].weight = 0;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(server(1).is_up());
  EXPECT_FALSE(controller_.in_step());
}

/// Service "web": a and b active, x and y backup; all without checks, weights 100, 100, 10, 20.
class BackupTest : public testing::Test {
 protected:
  static config::Config web(const std::function<void(config::Service&)>& adjust) {
    config::Config config;
    config::Service& service = config.services.emplace_back();
    service.name = "web";
    service.vip = endpoint("192.0.2.1:80");
    for (const char* name : {"a", "b", "x", "y"}) {
      config::Server& server = service.servers.emplace_back();
      server.name = name;
      server.endpoint = endpoint("10.0.0.1:8080");
      server.endpoint.port = static_cast<std::uint16_t>(8080 + service.servers.size());
    }
    service.servers[2].backup = service.servers[3].backup = true;
    service.servers[2].weight = 10;
    service.servers[3].weight = 20;
    adjust(service);
    return config;
  }
  void begin(const std::function<void(config::Service&)>& adjust = [](config::Service&) {}) {
    controller_.emplace(web(adjust), now_);
  }
  static void a_ends_sessions(config::Service& service) {
    service.servers[0].on_marked_down = config::OnMarkedDown::shutdown_sessions;
  }
  void act(const char* server, config::ServerAction action, std::uint32_t value = 0) {
    const auto done = controller_->command({"web", server, action, value, false}, now_);
    ASSERT_TRUE(done) << done.error().message;
  }
  [[nodiscard]] std::vector<std::uint32_t> weights() const {
    std::vector<std::uint32_t> weights;
    for (const auto& server : controller_->desired().services[0].servers)
      weights.push_back(server.weight / 16);
    return weights;
  }
  [[nodiscard]] std::vector<std::uint32_t> shutdowns() const {
    std::vector<std::uint32_t> counts;
    for (const auto& server : controller_->desired().services[0].servers) counts.push_back(server.shutdowns);
    return counts;
  }

  TimePoint now_{};
  std::optional<Controller> controller_;
};

TEST_F(BackupTest, TheFirstUsableOneStandsInWhenNoActiveServerIsUsable) {
  begin();
  EXPECT_THAT(weights(), ElementsAre(100, 100, 0, 0));
  act("a", config::ServerAction::health_down);
  EXPECT_THAT(weights(), ElementsAre(0, 100, 0, 0));
  act("b", config::ServerAction::drain);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 10, 0));
  act("x", config::ServerAction::weight, 0);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 0, 20));
  act("y", config::ServerAction::maint);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 0, 0));
  act("b", config::ServerAction::ready);
  EXPECT_THAT(weights(), ElementsAre(0, 100, 0, 0));
}

TEST_F(BackupTest, AllOfThemWithAllbackups) {
  begin([](config::Service& service) { service.allbackups = true; });
  act("a", config::ServerAction::maint);
  act("b", config::ServerAction::maint);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 10, 20));
}

TEST_F(BackupTest, FailOpenTakesTheActiveServersThatNobodyHasTakenOut) {
  begin([](config::Service& service) {
    service.no_server = config::NoServer::fail_open;
    service.servers.resize(3);
  });
  act("x", config::ServerAction::health_down);
  act("a", config::ServerAction::health_down);
  act("b", config::ServerAction::health_down);
  EXPECT_THAT(weights(), ElementsAre(100, 100, 0)) << "as if all were up";
  act("a", config::ServerAction::drain);
  EXPECT_THAT(weights(), ElementsAre(0, 100, 0));
  act("b", config::ServerAction::maint);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 10));
  act("x", config::ServerAction::health_up);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 10));
  act("x", config::ServerAction::maint);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 0));
}

TEST_F(BackupTest, SessionsOfAServerThatIsMarkedDownEnd) {
  begin([](config::Service& service) {
    service.servers[0].on_marked_down = config::OnMarkedDown::shutdown_sessions;
    service.servers[1].on_marked_down = config::OnMarkedDown::shutdown_sessions;
    service.servers[1].disabled = true;
  });
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 0, 0)) << "disabled from the start";
  act("a", config::ServerAction::health_down);
  EXPECT_THAT(shutdowns(), ElementsAre(1, 0, 0, 0));
  act("a", config::ServerAction::health_up);
  EXPECT_THAT(shutdowns(), ElementsAre(1, 0, 0, 0)) << "also where nobody was told in between";
  act("a", config::ServerAction::drain);
  EXPECT_THAT(shutdowns(), ElementsAre(1, 0, 0, 0)) << "drain lets them be";
  act("a", config::ServerAction::maint);
  EXPECT_THAT(shutdowns(), ElementsAre(2, 0, 0, 0));
}

TEST_F(BackupTest, SessionsDoNotEndBecauseTheConfigurationBeginsToSaySo) {
  begin();
  act("a", config::ServerAction::health_down);
  act("a", config::ServerAction::health_up);
  config::Config after = controller_->config();
  after.services[0].servers[0].on_marked_down = config::OnMarkedDown::shutdown_sessions;
  controller_->replace(after, now_);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 0, 0));
}

TEST_F(BackupTest, CountOfEndedSessionsGoesOnFromWhatTheDataPlaneHasSeen) {
  begin(a_ends_sessions);
  act("a", config::ServerAction::health_down);
  act("a", config::ServerAction::health_up);
  const config::ForwardingState running = controller_->desired();
  begin(a_ends_sessions);  // another process
  controller_->reconcile(running, now_);
  EXPECT_THAT(shutdowns(), ElementsAre(1, 0, 0, 0));
  EXPECT_EQ(controller_->desired().generation, running.generation) << "nothing to be told";
  act("a", config::ServerAction::health_down);
  EXPECT_THAT(shutdowns(), ElementsAre(2, 0, 0, 0));
  controller_->reconcile(controller_->desired(), now_);
  EXPECT_THAT(shutdowns(), ElementsAre(2, 0, 0, 0)) << "once";
  begin(a_ends_sessions);
  act("a", config::ServerAction::health_down);
  controller_->reconcile(running, now_);
  EXPECT_THAT(shutdowns(), ElementsAre(2, 0, 0, 0)) << "went down before they had met";
}

TEST_F(BackupTest, SessionsEndThoughTheProcessDidBeforeItCouldSaySo) {
  begin(a_ends_sessions);
  act("a", config::ServerAction::health_down);
  act("a", config::ServerAction::health_up);
  const config::ForwardingState running = controller_->desired();
  act("a", config::ServerAction::health_down);
  const SavedState saved = controller_->save({now_, 0});
  begin(a_ends_sessions);  // another process
  controller_->restore(saved, {now_, 0});
  controller_->reconcile(running, now_);
  EXPECT_THAT(shutdowns(), ElementsAre(2, 0, 0, 0));
  begin(a_ends_sessions);
  controller_->restore({}, {now_, 0});
  controller_->reconcile(running, now_);
  EXPECT_THAT(shutdowns(), ElementsAre(1, 0, 0, 0)) << "whatever the file knew";
}

TEST_F(BackupTest, SessionsOfBackupServersEndWhenAnActiveOneComesBack) {
  begin([](config::Service& service) {
    for (int i : {0, 1}) service.servers[i].on_marked_up = config::OnMarkedUp::shutdown_backup_sessions;
  });
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 0, 0));
  act("b", config::ServerAction::maint);
  act("a", config::ServerAction::health_down);
  EXPECT_THAT(weights(), ElementsAre(0, 0, 10, 0));
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 0, 0));
  act("a", config::ServerAction::health_up);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 1, 1));
  act("a", config::ServerAction::health_down);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 1, 1));
  act("a", config::ServerAction::health_up);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 2, 2)) << "at each time";
  act("b", config::ServerAction::ready);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 3, 3)) << "of each such server";
  act("a", config::ServerAction::drain);
  act("b", config::ServerAction::drain);
  act("a", config::ServerAction::ready);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 3, 3)) << "that leaves a drain was not down";
}

TEST_F(BackupTest, SessionsOfBackupServersEndAgainAfterAReloadTookOutTheServerThatEndedThem) {
  begin([](config::Service& service) {
    for (int i : {0, 1}) service.servers[i].on_marked_up = config::OnMarkedUp::shutdown_backup_sessions;
  });
  act("b", config::ServerAction::maint);
  act("a", config::ServerAction::health_down);
  act("a", config::ServerAction::health_up);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 0, 1, 1));
  config::Config without_a = controller_->config();
  without_a.services[0].servers.erase(without_a.services[0].servers.begin());
  controller_->replace(without_a, now_);
  EXPECT_THAT(weights(), ElementsAre(0, 10, 0));
  EXPECT_THAT(shutdowns(), ElementsAre(0, 1, 1)) << "the backup server's connections live now";
  act("b", config::ServerAction::ready);
  EXPECT_THAT(shutdowns(), ElementsAre(0, 2, 2));
}

TEST_F(BackupTest, CommandsThatCannotBeAreRefusedWithAReason) {
  begin();
  const std::uint64_t generation = controller_->desired().generation;
  const auto refused = [&](config::ServerRequest request) {
    const auto done = controller_->command(request, now_);
    return done ? std::string() : done.error().message;
  };
  using config::ServerAction;
  EXPECT_EQ(refused({"web", "q", ServerAction::drain, 0, false}), R"(no server "q" in "web": a, b, x, y)");
  EXPECT_THAT(refused({"wbe", "a", ServerAction::drain, 0, false}),
              testing::HasSubstr(R"(no service "wbe": web)"));
  EXPECT_EQ(refused({"web", "a", ServerAction::weight, 257, false}),
            R"(server "web/a": weight 257 is not allowed: it is 0 to 256, or a percentage)");
  EXPECT_EQ(refused({"web", "a", ServerAction::agent_up, 0, false}), R"(server "web/a" has no agent)");
  EXPECT_EQ(refused({"web", "*", ServerAction::drain, 0, false}), R"("web/*" is not one server)");
  EXPECT_EQ(controller_->desired().generation, generation);
}

TEST_F(BackupTest, WeightInPerCentIsOfTheConfiguredOneAndAtMostTheLargest) {
  begin();
  ASSERT_TRUE(controller_->command({"web", "a", config::ServerAction::weight, 50, true}, now_));
  EXPECT_THAT(weights(), ElementsAre(50, 100, 0, 0));
  ASSERT_TRUE(controller_->command({"web", "a", config::ServerAction::weight, 10, true}, now_));
  EXPECT_THAT(weights(), ElementsAre(10, 100, 0, 0)) << "not of what it was";
  ASSERT_TRUE(controller_->command({"web", "a", config::ServerAction::weight, 999, true}, now_));
  EXPECT_THAT(weights(), ElementsAre(256, 100, 0, 0));
}

TEST_F(BackupTest, LastWeightTakenIsToldAsNoServerAvailable) {
  begin([](config::Service& service) { service.servers.resize(2); });
  act("a", config::ServerAction::weight, 0);
  EXPECT_TRUE(controller_->take_log().empty()) << "haproxy logs no change of weight";
  act("b", config::ServerAction::weight, 0);
  const auto lines = controller_->take_log();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].complete({}), "backend web has no server available!");
  EXPECT_EQ(lines[0].urgency, Urgency::emergency);
}

/// `observe`: one server, rise 2, fall 3, error_limit 2.
struct ObserveRow {
  const char* name;
  config::OnError on_error;
  std::vector<std::uint32_t> told;  ///< failures in a row, as the data plane tells of them
  const char* status;
  std::size_t hurries;
};
class Observed : public testing::TestWithParam<ObserveRow> {};

TEST_P(Observed, FailuresOfConnectionsCountAsHaproxyCountsThem) {
  const ObserveRow& row = GetParam();
  config::Config config;
  config::Service& service = config.services.emplace_back();
  service.name = "bk";
  config::Server& server = service.servers.emplace_back();
  server.name = "a";
  server.endpoint = endpoint("10.0.0.1:80");
  server.check.type = config::CheckType::tcp;
  server.check.rise = 2;
  server.check.fall = 3;
  server.observe = config::Observe::layer4;
  server.error_limit = 2;
  server.on_error = row.on_error;
  Controller controller(config, TimePoint{});
  const ServerId id = controller.servers()[0];
  controller.record_check(id, {CheckStatus::l4_ok, "", 0ms, 0}, TimePoint{});
  EXPECT_TRUE(controller.observes());
  std::size_t hurries = 0;
  for (const std::uint32_t in_row : row.told) {
    controller.record_failures({{"bk", "a", server.endpoint, in_row, "refused"}}, TimePoint{});
    hurries += controller.take_hurried().size();
  }
  EXPECT_EQ(controller.find(id)->status(), row.status);
  EXPECT_EQ(hurries, row.hurries);
  const auto lines = controller.take_log();
  if (row.status == std::string("DOWN")) {
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(
        lines[0].complete(Load{1, 0, 0}),
        "Server bk/a is DOWN, reason: Health analyze, info: \"Detected 2 consecutive errors, last one was: "
        "L4 "
        "unsuccessful connection\". 0 active and 0 backup servers left. 1 sessions active, 0 requeued, 0 "
        "remaining in queue.");
  } else {
    EXPECT_TRUE(lines.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Observed,
    testing::Values(
        ObserveRow{"below_the_limit", config::OnError::mark_down, {1, 1}, "UP", 0},
        ObserveRow{"fastinter_only_hurries", config::OnError::fastinter, {2}, "UP", 1},
        ObserveRow{"fail_check_is_one_failed_check", config::OnError::fail_check, {1, 2}, "UP 2/3", 1},
        ObserveRow{"each_limit_is_one_failed_check", config::OnError::fail_check, {4}, "UP 1/3", 1},
        ObserveRow{"one_that_was_answered_starts_anew", config::OnError::fail_check, {1, 0, 1}, "UP", 0},
        ObserveRow{
            "fewer_than_before_means_an_answer_between", config::OnError::fail_check, {3, 1}, "UP 2/3", 1},
        ObserveRow{"sudden_death_leaves_one_failure", config::OnError::sudden_death, {2}, "UP 1/3", 1},
        ObserveRow{"sudden_death_twice_is_down", config::OnError::sudden_death, {2, 4}, "DOWN", 2},
        ObserveRow{"mark_down_at_once", config::OnError::mark_down, {2}, "DOWN", 1},
        ObserveRow{"fail_check_until_down", config::OnError::fail_check, {2, 4, 6}, "DOWN", 3}),
    [](const auto& row) { return row.param.name; });

TEST_F(ControllerTest, PassedCheckForgivesTheFailuresBefore) {
  config::Config config = web();
  config.services[0].servers[0].observe = config::Observe::layer4;
  config.services[0].servers[0].error_limit = 2;
  config.services[0].servers[0].on_error = config::OnError::mark_down;
  controller_ = Controller(config, now_);
  const auto failures = [&](std::uint32_t in_row) {
    controller_.record_failures({{"web", "a", server(0).config().endpoint, in_row, "refused"}}, now_);
  };
  failures(1);
  pass(0);
  failures(2);
  EXPECT_TRUE(server(0).is_up());
  failures(3);
  EXPECT_FALSE(server(0).is_up());
}

TEST_F(ControllerTest, ReloadKeepsWhatItKnowsByNameAndEndpoint) {
  fail(0);
  ASSERT_TRUE(controller_.command({"web", "b", config::ServerAction::weight, 7, false}, now_));
  ASSERT_TRUE(controller_.command({"web", "c", config::ServerAction::drain, 0, false}, now_));
  const ServerId a = server(0).id();
  const ServerId b = server(1).id();
  config::Config changed = web();
  changed.services[0].servers[2].endpoint.port = 9;                           // c moves
  std::swap(changed.services[0].servers[0], changed.services[0].servers[1]);  // the order changes
  changed.services.insert(changed.services.begin(), changed.services[0]);     // a service comes
  changed.services[0].name = "new";
  const auto preview = controller_.preview(changed, now_);
  EXPECT_EQ(preview.generation, controller_.desired().generation + 1);
  EXPECT_EQ(server(0).id(), a) << "a preview changes nothing";
  controller_.replace(changed, now_);
  EXPECT_EQ(controller_.desired(), preview);
  const auto web = controller_.servers(1);
  EXPECT_EQ(web[0].id(), b);
  EXPECT_EQ(web[0].user_weight(), 7U);
  EXPECT_EQ(web[1].id(), a);
  EXPECT_EQ(web[1].status(), "DOWN");
  EXPECT_EQ(web[2].status(), "no check") << "the moved one is new";
  EXPECT_EQ(controller_.servers(0)[1].status(), "UP 1/3") << "the same servers in another service are others";
  changed.services.erase(changed.services.begin() + 1);
  controller_.replace(changed, now_);
  EXPECT_EQ(controller_.find(a), nullptr);
  controller_.record_check(a, {CheckStatus::l4_ok, "", 0ms, 0}, now_);  // a late result is passed over
}

TEST_F(ControllerTest, ReloadDropsAnOverrideOfWhatTheFileNowSays) {
  ASSERT_TRUE(controller_.command({"web", "a", config::ServerAction::weight, 7, false}, now_));
  ASSERT_TRUE(controller_.command({"web", "b", config::ServerAction::weight, 7, false}, now_));
  config::Config changed = web();
  changed.services[0].servers[0].weight = 40;
  controller_.replace(changed, now_);
  EXPECT_EQ(weight(0), 40U * 16);
  EXPECT_EQ(weight(1), 7U * 16);
}

TEST_F(ControllerTest, ReloadThatTakesTheCheckAwayBringsTheServerUp) {
  fail(0);
  static_cast<void>(controller_.take_log());
  config::Config changed = web();
  changed.services[0].servers[0].check.type = config::CheckType::none;
  controller_.replace(changed, now_);
  EXPECT_EQ(server(0).status(), "no check");
  EXPECT_EQ(weight(0), 1600U);
  const auto lines = controller_.take_log();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].text, "Server web/a is UP, no longer checked. 3 active and 0 backup servers online.");
}

TEST_F(ControllerTest, ReloadToDisabledAndBack) {
  config::Config changed = web();
  changed.services[0].servers[0].disabled = true;
  controller_.replace(changed, now_);
  EXPECT_EQ(server(0).status(), "MAINT");
  controller_.replace(web(), now_);
  EXPECT_EQ(server(0).status(), "UP 1/3");
}

TEST_F(ControllerTest, ReloadThatChangesNothingMakesNoGeneration) {
  apply();
  controller_.replace(web(), now_);
  EXPECT_TRUE(controller_.in_step());
}

TEST_F(ControllerTest, TellsWhoWaitsThatThereIsSomethingNew) {
  int calls = 0;
  controller_.on_change([&calls] { ++calls; });
  pass(0);
  EXPECT_EQ(calls, 1) << "the counter went to the top: worth saving";
  pass(0);
  EXPECT_EQ(calls, 1);
  fail(1);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(controller_.take_log().size(), 1U);
  EXPECT_TRUE(controller_.take_log().empty());
}

}  // namespace
}  // namespace sluice::cp
