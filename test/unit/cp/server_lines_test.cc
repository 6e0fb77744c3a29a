#include <gmock/gmock.h>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cp/controller.h"

/// What a server does and what the log says of it, beside what haproxy 2.6 did and said when it was told the
/// same over its runtime socket, by its agents and by its checks. Service "bk": a (health check, slow start),
/// b (health check and agent), c (backup, no check), d (disabled, health check), g (agent alone).
namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAreArray;

/// `act`: the server's letter, then what happens to it: drain, maint, ready, up, stopping, down (the
/// operator's health), agent+ and agent- (the operator's), pass and fail (its check), or a line of its agent
/// in quotes.
struct Step {
  const char* act;
  std::vector<const char*> lines;  ///< with no sessions
  const char* status;              ///< of that server then
};
struct Row {
  const char* name;
  std::vector<Step> steps;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

class ServerLines : public testing::TestWithParam<Row> {
 protected:
  static config::Config bk() {
    config::Config config;
    config::Service& service = config.services.emplace_back();
    service.name = "bk";
    service.vip = *base::Endpoint::parse("192.0.2.1:80");
    for (const char* name : {"a", "b", "c", "d", "g"}) {
      config::Server server;
      server.name = name;
      server.endpoint = {*base::IpAddress::parse("10.0.0.1"),
                         static_cast<std::uint16_t>(8000 + service.servers.size())};
      server.check.rise = 2;
      server.check.fall = 3;
      const char letter = *name;
      if (letter != 'c' && letter != 'g') server.check.type = config::CheckType::tcp;
      if (letter == 'a' || letter == 'd') server.slowstart = 12s;
      if (letter == 'b' || letter == 'g') server.agent.port = 9000;
      server.backup = letter == 'c';
      server.disabled = letter == 'd';
      service.servers.push_back(server);
    }
    return config;
  }

  void act(const std::string& text) {
    const std::string server = text.substr(0, 1);
    const std::string what = text.substr(2);
    const ServerId id = *controller_.find("bk", server);
    if (what == "pass") {
      controller_.record_check(id, {CheckStatus::l4_ok, "", 0ms, 0}, now_);
    } else if (what == "fail") {
      controller_.record_check(id, {CheckStatus::l4_refused, "Connection refused", 0ms, 0}, now_);
    } else if (what.starts_with('"')) {
      controller_.record_agent(id, parse_agent_answer(what.substr(1, what.size() - 2) + "\n"), now_);
    } else {
      const auto done = controller_.command({"bk", server, action(what), 0, false}, now_);
      EXPECT_TRUE(done) << done.error().message;
    }
  }
  static config::ServerAction action(const std::string& what) {
    using config::ServerAction;
    if (what == "drain") return ServerAction::drain;
    if (what == "maint") return ServerAction::maint;
    if (what == "up") return ServerAction::health_up;
    if (what == "stopping") return ServerAction::health_stopping;
    if (what == "down") return ServerAction::health_down;
    if (what == "agent+") return ServerAction::agent_up;
    if (what == "agent-") return ServerAction::agent_down;
    EXPECT_EQ(what, "ready");
    return ServerAction::ready;
  }

  TimePoint now_{};
  Controller controller_{bk(), now_};
};

TEST_P(ServerLines, AreHaproxys) {
  for (const Step& step : GetParam().steps) {
    SCOPED_TRACE(step.act);
    act(step.act);
    std::vector<std::string> lines;
    for (const LogLine& line : controller_.take_log()) lines.push_back(line.complete(Load{}));
    EXPECT_THAT(lines, ElementsAreArray(step.lines.begin(), step.lines.end()));
    EXPECT_EQ(controller_.find(*controller_.find("bk", std::string(1, *step.act)))->status(), step.status);
    now_ += 150ms;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ServerLines,
    testing::Values(
        Row{"drain_and_back",
            {{"a pass", {}, "UP"},
             {"a drain",
              {"Server bk/a enters drain state. 2 active and 1 backup servers online. 0 sessions requeued, 0 "
               "total "
               "in queue."},
              "DRAIN"},
             {"a drain", {}, "DRAIN"},
             {"a ready", {"Server bk/a is UP (leaving forced drain)."}, "UP"}}},
        Row{"drain_of_a_server_that_is_down",
            {{"a down",
              {"Server bk/a is DOWN, changed from CLI. 2 active and 1 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "DOWN"},
             {"a drain",
              {"Server bk/a enters drain state. 2 active and 1 backup servers left. 0 sessions active, 0 "
               "requeued, 0 "
               "remaining in queue."},
              "DOWN"},
             {"a ready", {"Server bk/a is DOWN (leaving forced drain)."}, "DOWN"},
             {"a maint", {"Server bk/a was DOWN and now enters maintenance."}, "MAINT"},
             {"a ready", {"Server bk/a is UP/READY (leaving forced maintenance)."}, "UP 1/3"}}},
        Row{"maintenance_out_of_drain_and_back_into_it",
            {{"a drain",
              {"Server bk/a enters drain state. 2 active and 1 backup servers online. 0 sessions requeued, 0 "
               "total "
               "in queue."},
              "DRAIN 1/3"},
             {"a maint",
              {"Server bk/a is going DOWN for maintenance. 2 active and 1 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "MAINT"},
             {"a drain",
              {"Server bk/a is UP/DRAIN (leaving forced maintenance).",
               "Server bk/a remains in forced drain mode."},
              "DRAIN 1/3"},
             {"a ready", {"Server bk/a is UP (leaving forced drain)."}, "UP 1/3"}}},
        Row{"maintenance_ignores_what_checks_say",
            {{"a maint",
              {"Server bk/a is going DOWN for maintenance. 2 active and 1 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "MAINT"},
             {"a pass", {}, "MAINT"},
             {"a fail", {}, "MAINT"},
             {"a ready", {"Server bk/a is UP/READY (leaving forced maintenance)."}, "UP 1/3"},
             {"a fail",
              {"Server bk/a is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check "
               "duration: "
               "0ms. 2 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in "
               "queue."},
              "DOWN"}}},
        Row{"operator_says_stopping_until_a_check_passes",
            {{"a stopping",
              {"Server bk/a is stopping, changed from CLI. 2 active and 1 backup servers online. 0 sessions "
               "requeued, 0 "
               "total in queue."},
              "NOLB"},
             {"a pass",
              {"Server bk/a is UP, reason: Layer4 check passed, check duration: 0ms. 3 active and 1 backup "
               "servers "
               "online. 0 sessions requeued, 0 total in queue."},
              "UP"},
             {"a stopping",
              {"Server bk/a is stopping, changed from CLI. 2 active and 1 backup servers online. 0 sessions "
               "requeued, 0 "
               "total in queue."},
              "NOLB"},
             {"a fail", {}, "NOLB 2/3"},
             {"a maint",
              {"Server bk/a is going DOWN for maintenance. 2 active and 1 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "MAINT"},
             {"a ready", {"Server bk/a is UP/READY (leaving forced maintenance)."}, "UP 1/3"},
             {"a stopping",
              {"Server bk/a is stopping, changed from CLI. 2 active and 1 backup servers online. 0 sessions "
               "requeued, 0 "
               "total in queue."},
              "NOLB"},
             {"a up",
              {"Server bk/a is UP, changed from CLI. 3 active and 1 backup servers online. 0 sessions "
               "requeued, 0 total "
               "in queue."},
              "UP"}}},
        Row{"disabled_in_the_configuration",
            {{"d ready", {"Server bk/d is UP/READY (leaving forced maintenance)."}, "UP 1/3"}}},
        Row{"backup_server",
            {{"c down",
              {"Backup Server bk/c is DOWN, changed from CLI. 3 active and 0 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "DOWN"},
             {"c up",
              {"Backup Server bk/c is UP, changed from CLI. 3 active and 1 backup servers online. 0 sessions "
               "requeued, "
               "0 total in queue."},
              "no check"}}},
        Row{"down_to_the_backup_then_to_nothing",
            {{"a drain",
              {"Server bk/a enters drain state. 2 active and 1 backup servers online. 0 sessions requeued, 0 "
               "total in "
               "queue."},
              "DRAIN 1/3"},
             {"b drain",
              {"Server bk/b enters drain state. 1 active and 1 backup servers online. 0 sessions requeued, 0 "
               "total in "
               "queue."},
              "DRAIN (agent)"},
             {"g down",
              {"Server bk/g is DOWN, changed from CLI. 0 active and 1 backup servers left. Running on "
               "backup. 0 sessions "
               "active, 0 requeued, 0 remaining in queue."},
              "DOWN 0/2"},
             {"c maint",
              {"Backup Server bk/c is going DOWN for maintenance. 0 active and 0 backup servers left. 0 "
               "sessions "
               "active, 0 requeued, 0 remaining in queue.",
               "backend bk has no server available!"},
              "MAINT"},
             {"c ready", {"Backup Server bk/c is UP/READY (leaving forced maintenance)."}, "no check"}}},
        Row{"operator_speaks_for_the_agent",
            {{"b agent-",
              {"Server bk/b is DOWN, changed from CLI. 2 active and 1 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "DOWN (agent)"},
             {"b pass", {}, "DOWN (agent)"},
             {"b agent+",
              {"Server bk/b is UP, changed from CLI. 3 active and 1 backup servers online. 0 sessions "
               "requeued, 0 total "
               "in queue."},
              "UP"}}},
        Row{"agent_takes_out_and_brings_back",
            {{"b pass", {}, "UP"},
             {"b \"drain\"",
              {"Server bk/b enters drain state. 2 active and 1 backup servers online. 0 sessions requeued, 0 "
               "total in "
               "queue."},
              "DRAIN (agent)"},
             {"b \"ready\"", {"Server bk/b is UP (leaving forced drain)."}, "UP"},
             {"b \"down #because\"",
              {"Server bk/b is DOWN, reason: Layer7 wrong status, code: 0, info: \"via agent : down "
               "(because)\", check "
               "duration: 0ms. 2 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 "
               "remaining in "
               "queue."},
              "DOWN (agent)"},
             {"b \"75%\"", {}, "DOWN (agent)"},
             {"b pass", {}, "DOWN (agent)"},
             {"b \"up 100%\"",
              {"Server bk/b is UP, reason: Layer7 check passed, code: 0, info: \"via agent : up\", check "
               "duration: 0ms. "
               "3 active and 1 backup servers online. 0 sessions requeued, 0 total in queue."},
              "UP"},
             {"b \"maint\"",
              {"Server bk/b is going DOWN for maintenance. 2 active and 1 backup servers left. 0 sessions "
               "active, 0 "
               "requeued, 0 remaining in queue."},
              "MAINT"},
             {"b \"up\"", {}, "MAINT"},
             {"b \"up ready maxconn:7\"",
              {"Server bk/b is UP/READY (leaving forced maintenance)."},
              "UP 1/3"}}},
        Row{"agent_does_not_overrule_the_check",
            {{"b pass", {}, "UP"},
             {"b fail", {}, "UP 2/3"},
             {"b fail", {}, "UP 1/3"},
             {"b fail",
              {"Server bk/b is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check "
               "duration: "
               "0ms. 2 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in "
               "queue."},
              "DOWN"},
             {"b \"down\"", {}, "DOWN (agent)"},
             {"b \"up\"", {}, "DOWN"},
             {"b pass", {}, "DOWN 1/2"},
             {"b pass",
              {"Server bk/b is UP, reason: Layer4 check passed, check duration: 0ms. 3 active and 1 backup "
               "servers "
               "online. 0 sessions requeued, 0 total in queue."},
              "UP"}}},
        Row{"agent_alone",
            {{"g \"down\"",
              {"Server bk/g is DOWN, reason: Layer7 wrong status, code: 0, info: \"via agent : down\", check "
               "duration: "
               "0ms. 2 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in "
               "queue."},
              "DOWN (agent)"},
             {"g \"drain\"",
              {"Server bk/g enters drain state. 2 active and 1 backup servers left. 0 sessions active, 0 "
               "requeued, 0 "
               "remaining in queue."},
              "DOWN (agent)"},
             {"g \"up\"",
              {"Server bk/g is UP, reason: Layer7 check passed, code: 0, info: \"via agent : up\", check "
               "duration: 0ms. "
               "2 active and 1 backup servers online. 0 sessions requeued, 0 total in queue.",
               "Server bk/g remains in forced drain mode."},
              "DRAIN (agent)"},
             {"g \"ready\"", {"Server bk/g is UP (leaving forced drain)."}, "no check"}}}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace sluice::cp
