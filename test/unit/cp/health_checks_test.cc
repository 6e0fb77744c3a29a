#include "cp/health_checks.h"

#include <chrono>
#include <functional>
#include <string>

#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using After = Behaviour::After;
using Clock = std::chrono::steady_clock;
using config::CheckType;

/// Servers of one service, their checks run for real against fake servers of the same thread.
class HealthChecksTest : public ProbeTest {
 protected:
  config::Server& add(const std::string& name, std::uint16_t port, CheckType type = CheckType::tcp) {
    if (config_.services.empty()) config_.services.emplace_back().name = "web";
    config::Server& server = config_.services.front().servers.emplace_back();
    server.name = name;
    server.endpoint = {base::Ipv4::from_host(INADDR_LOOPBACK), port};
    server.check = check_of(type, 5s);
    server.check.interval = 20ms;
    return server;
  }
  void start() {
    controller_.emplace(config_, Clock::now());
    checks_.emplace(io_.get_executor(), *controller_);
    checks_->adopt(prepared());
    checks_->start();
  }
  void reload() {
    controller_->replace(config_, Clock::now());
    checks_->adopt(prepared());
  }
  PreparedChecks prepared() {
    auto prepared = prepare_checks(config_);
    EXPECT_TRUE(prepared);
    return *std::move(prepared);
  }
  /// Runs until `condition` holds; false: it does not come to hold.
  bool until(const std::function<bool()>& condition) {
    const auto deadline = Clock::now() + 20s;
    while (!condition()) {
      if (Clock::now() > deadline) return false;
      io_.run_one_for(100ms);
    }
    return true;
  }
  const ServerState& server(std::size_t index) { return controller_->servers(0)[index]; }
  CheckStatus status(std::size_t index) { return server(index).check().last_result().status; }

  config::Config config_;
  std::optional<Controller> controller_;
  std::optional<HealthChecks> checks_;
};

TEST_F(HealthChecksTest, TellTheControllerAgainAndAgain) {
  const FakeServer good(io_, {});
  const ClosedPort closed(io_);
  add("good", good.port());
  add("bad", closed.port()).check.fall = 3;
  start();
  EXPECT_TRUE(until([&] { return status(0) == CheckStatus::l4_ok && !server(1).is_up(); }));
  const auto first = server(0).check().last_check();
  EXPECT_TRUE(until([&] { return server(0).check().last_check() > first; }));
}

/// One server never answers: the others' checks do not wait for it.
TEST_F(HealthChecksTest, AServerThatNeverAnswersDelaysNoOther) {
  const FakeServer silent(io_, {"", After::hold});
  const FakeServer endless(io_, {"HTTP/1.1 200 OK\r\nX: ", After::hold, true, 1});
  const FakeServer good(io_, {"HTTP/1.1 200 OK\r\n\r\n"});
  add("silent", silent.port(), CheckType::http);
  add("endless", endless.port(), CheckType::http);
  add("good", good.port(), CheckType::http);
  start();
  EXPECT_TRUE(until([&] { return good.accepted() >= 5; }));
  EXPECT_EQ(silent.accepted(), 1);
  EXPECT_EQ(endless.accepted(), 1);
}

TEST_F(HealthChecksTest, BeginNothingBeforeTheStart) {
  const ClosedPort closed(io_);
  add("bad", closed.port());
  controller_.emplace(config_, Clock::now());
  checks_.emplace(io_.get_executor(), *controller_);
  checks_->adopt(prepared());
  io_.run();
  EXPECT_EQ(status(0), CheckStatus::initializing);
}

TEST_F(HealthChecksTest, ReloadStartsChangesAndEndsChecks) {
  const FakeServer good(io_, {});
  const ClosedPort closed(io_);
  add("kept", good.port());
  add("removed", good.port());
  start();
  EXPECT_TRUE(until([&] { return status(0) == CheckStatus::l4_ok && status(1) == CheckStatus::l4_ok; }));
  const ServerId removed = server(1).id();

  config_.services.front().servers.pop_back();
  config_.services.front().servers.front().check.port = closed.port();
  add("added", good.port());
  reload();
  EXPECT_EQ(controller_->find(removed), nullptr);
  EXPECT_TRUE(until([&] { return status(0) == CheckStatus::l4_refused && status(1) == CheckStatus::l4_ok; }));
}

/// The check under way when the configuration changes says nothing about the server as it is checked now.
TEST_F(HealthChecksTest, LateResultOfAChangedCheckIsUnheard) {
  const FakeServer silent(io_, {"", After::hold});
  const FakeServer good(io_, {"HTTP/1.1 200 OK\r\n\r\n"});
  add("a", silent.port(), CheckType::http).check.timeout = 300ms;
  start();
  EXPECT_TRUE(until([&] { return silent.accepted() == 1; }));
  config_.services.front().servers.front().check.port = good.port();
  reload();
  EXPECT_TRUE(until([&] { return status(0) != CheckStatus::initializing; }));
  EXPECT_EQ(status(0), CheckStatus::l7_ok);
}

TEST_F(HealthChecksTest, ShorterIntervalHoldsAtOnce) {
  const FakeServer good(io_, {});
  add("a", good.port()).check.interval = 1h;
  start();
  EXPECT_TRUE(until([&] { return status(0) == CheckStatus::l4_ok; }));
  const auto first = server(0).check().last_check();
  config_.services.front().servers.front().check.interval = 20ms;
  reload();
  EXPECT_TRUE(until([&] { return server(0).check().last_check() > first; }));
}

TEST_F(HealthChecksTest, HurryBringsTheNextCheckForward) {
  const FakeServer good(io_, {});
  config::Check& check = add("a", good.port()).check;
  check.interval = 1h;
  check.fast_interval = 20ms;
  start();
  EXPECT_TRUE(until([&] { return status(0) == CheckStatus::l4_ok; }));
  const auto first = server(0).check().last_check();
  checks_->hurry(server(0).id());
  EXPECT_TRUE(until([&] { return server(0).check().last_check() > first; }));
}

TEST_F(HealthChecksTest, MaintenanceIsNotChecked) {
  const FakeServer good(io_, {});
  const FakeServer other(io_, {});
  config::Server& server = add("maint", good.port());
  server.check.linger = true;
  server.disabled = true;
  add("up", other.port()).check.linger = true;
  start();
  EXPECT_TRUE(until([&] { return other.accepted() >= 5; }));
  EXPECT_EQ(good.accepted(), 0);
  EXPECT_TRUE(controller_->command({"web", "maint", config::ServerAction::ready, 0, false}, Clock::now()));
  EXPECT_TRUE(until([&] { return good.accepted() > 0; }));
}

TEST_F(HealthChecksTest, AgentsAreAskedAtTheirOwnPace) {
  const FakeServer agent(io_, {"50%\n", After::close, false});
  config::Server& server = add("a", agent.port(), CheckType::none);
  server.agent.port = agent.port();
  server.agent.interval = 20ms;
  start();
  EXPECT_TRUE(until([&] { return agent.accepted() >= 3; }));
  EXPECT_EQ(controller_->servers(0)[0].user_weight(), 50U);

  config_.services.front().servers.front().agent.port = 0;
  reload();
  const int before = agent.accepted();
  io_.run_for(100ms);
  EXPECT_LE(agent.accepted(), before + 1) << "one may have been under way";
}

TEST(Spread, GoesAsFarAsThePercentageEitherWay) {
  EXPECT_EQ(spread(1000ms, 0, 0.3), 1000ms);
  EXPECT_EQ(spread(1000ms, 50, 0), 1500ms);
  EXPECT_EQ(spread(1000ms, 50, 1), 500ms);
  EXPECT_EQ(spread(1000ms, 10, 0.5), 1000ms);
}

}  // namespace
}  // namespace sluice::cp
