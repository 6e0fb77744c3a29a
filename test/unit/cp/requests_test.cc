#include <future>
#include <gmock/gmock.h>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gtest/gtest.h>

#include "test/unit/cp/control_plane_process.h"

/// What operators ask on cp.sock, and what everybody may ask on cp-read.sock.
namespace sluice::cp {
namespace {

using config::ServerAction;
using config::WaitFor;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class RequestsTest : public ControlPlaneTest {
 protected:
  void SetUp() override {
    ControlPlaneTest::SetUp();
    dp_ = std::make_unique<FakeDataPlane>(path("dp.sock"), config::ForwardingState{});
    start();
    ASSERT_TRUE(eventually([&] { return dp_->applied() == 1; })) << log();
  }
  void TearDown() override {
    ControlPlaneTest::TearDown();
    dp_.reset();
  }
  [[nodiscard]] std::string command(const std::string& server, ServerAction action, std::uint32_t value = 0,
                                    bool percent = false) const {
    return ask(config::ServerRequest{"web", server, action, value, percent});
  }
  [[nodiscard]] std::string wait(const std::string& server, WaitFor what,
                                 config::Milliseconds timeout) const {
    return ask(config::WaitRequest{"web", server, what, timeout});
  }
  /// The weight of server number `i` at the data plane, in sixteenths.
  [[nodiscard]] std::uint32_t weight(std::size_t i) const {
    return dp_->state().services.at(0).servers.at(i).weight;
  }
  /// The data plane tells of web/a: its weight and its open connections.
  void tell(std::uint32_t weight, std::uint64_t connections, bool draining = false) {
    config::DataplaneReport report;
    config::ServiceReport& service = report.services.emplace_back();
    service.name = "web";
    config::ServerReport& server = service.servers.emplace_back();
    server.name = draining ? "gone" : "a";
    server.endpoint = *base::Endpoint::parse("192.0.2.2:80");
    server.weight = weight;
    server.draining = draining;
    server.counters.connections_current = connections;
    dp_->report(report);
  }
  /// Connections on which something was asked and nothing answered yet.
  [[nodiscard]] std::vector<base::Fd> clients(std::size_t count, const char* socket,
                                              const std::string& line) {
    std::vector<base::Fd> open;
    while (open.size() < count) {
      auto fd = base::connect_unix(path(socket));
      if (!fd) break;
      if (!line.empty()) send_line(fd->get(), line);
      open.push_back(std::move(*fd));
    }
    return open;
  }

  std::unique_ptr<FakeDataPlane> dp_;
};

TEST_F(RequestsTest, WhatTheOperatorWantsReachesTheDataPlane) {
  EXPECT_THAT(command("a", ServerAction::drain), HasSubstr(R"(server \"web/a\": DRAIN)"));
  EXPECT_TRUE(eventually([&] { return weight(0) == 0; })) << log();
  EXPECT_THAT(command("a", ServerAction::ready), HasSubstr(R"("ok":true)"));
  EXPECT_TRUE(eventually([&] { return weight(0) == 1600; })) << log();
  EXPECT_THAT(command("a", ServerAction::weight, 50, true), HasSubstr("weight 50 (configured: 100)"));
  EXPECT_TRUE(eventually([&] { return weight(0) == 800; })) << log();
  EXPECT_THAT(command("a", ServerAction::maxconn, 7), HasSubstr("maxconn 7 (configured: 0)"));
  EXPECT_TRUE(eventually([&] { return dp_->state().services[0].servers[0].maxconn == 7; })) << log();
  EXPECT_THAT(log(), HasSubstr("cp.sock: uid " + std::to_string(::getuid())));
}

/// What an operator does next, he does to a server that gets no new connection any more.
TEST_F(RequestsTest, WhatIsAnsweredIsDoneAlready) {
  for (int round = 0; round < 20; ++round) {
    EXPECT_THAT(command("a", ServerAction::drain), HasSubstr(R"("ok":true)"));
    ASSERT_EQ(weight(0), 0U) << "round " << round;
    EXPECT_THAT(command("a", ServerAction::ready), HasSubstr(R"("ok":true)"));
    ASSERT_EQ(weight(0), 1600U) << "round " << round;
  }
}

TEST_F(RequestsTest, WhatTheDataPlaneDoesNotDoIsSaid) {
  dp_->refuse(true);
  EXPECT_THAT(command("a", ServerAction::drain),
              AllOf(HasSubstr(R"("ok":true)"), HasSubstr("does not do it yet"), HasSubstr("it has no room")));
  dp_->refuse(false);
  EXPECT_TRUE(eventually([&] { return weight(0) == 0; })) << log();
  dp_.reset();
  EXPECT_TRUE(eventually([&] {
    return command("a", ServerAction::ready).find("not there") != std::string::npos;
  })) << log();
}

TEST_F(RequestsTest, AStarMeansAllServersOfTheService) {
  EXPECT_THAT(command("*", ServerAction::maint), AllOf(HasSubstr("web/a"), HasSubstr("web/b")));
  EXPECT_TRUE(eventually([&] { return weight(0) == 0 && weight(1) == 0; })) << log();
}

TEST_F(RequestsTest, UnknownNamesAreAnsweredWithThoseThereAre) {
  EXPECT_THAT(command("m4", ServerAction::drain), HasSubstr(R"(no server \"m4\" in \"web\": a, b)"));
  EXPECT_THAT(ask(config::ServerRequest{"wbe", "a", ServerAction::drain}),
              HasSubstr(R"(no service \"wbe\": web (did you mean \"web\"?))"));
  config::ShowRequest show{config::ShowWhat::servers, {}};
  show.filter.service = "nosuch";
  EXPECT_THAT(ask(show), HasSubstr(R"(no service \"nosuch\": web)"));
  show.filter = {};
  show.filter.server = "nosuch";
  EXPECT_THAT(ask(show), HasSubstr(R"(no server \"nosuch\": a, b)"));
}

TEST_F(RequestsTest, WhatAReloadRemovedIsKnownAsLongAsItHasConnections) {
  tell(0, 2, true);
  config::ShowRequest show{config::ShowWhat::servers, {}};
  show.filter.service = "web";
  show.filter.server = "gone";
  EXPECT_THAT(ask(show), HasSubstr("REMOVED"));
  EXPECT_THAT(wait("gone", WaitFor::drained, 1ms), HasSubstr("has 2 open connections"));
}

TEST_F(RequestsTest, RefusalsOfTheControllerComeBack) {
  EXPECT_THAT(command("a", ServerAction::weight, 300), AllOf(HasSubstr(R"("ok":false)"), HasSubstr("300")));
  EXPECT_THAT(command("a", ServerAction::agent_up), HasSubstr("has no agent"));
}

TEST_F(RequestsTest, EndsTheFlowsThatMatchButNeverAll) {
  config::FlowFilter filter;
  filter.service = "web";
  filter.client_port = 40'000;
  EXPECT_THAT(ask(config::KillRequest{filter}), HasSubstr(R"("killed":3)"));
  ASSERT_TRUE(dp_->killed());
  EXPECT_EQ(dp_->killed()->service, "web");
  EXPECT_EQ(dp_->killed()->client_port, 40'000);
  EXPECT_THAT(ask(config::KillRequest{}), HasSubstr("matches all flows"));
  filter.service = "nosuch";
  EXPECT_THAT(ask(config::KillRequest{filter}), HasSubstr("no service"));
}

TEST_F(RequestsTest, ReloadTellsWhatChanged) {
  std::ofstream(dir_ / "config.json")
      << std::string(kConfig).replace(std::string(kConfig).find("192.0.2.3"), 9, "192.0.2.9");
  EXPECT_THAT(ask(config::ReloadRequest{}), AllOf(HasSubstr(R"("ok":true)"), HasSubstr("192.0.2.9:80")));
  std::ofstream(dir_ / "config.json") << "{";
  EXPECT_THAT(ask(config::ReloadRequest{}), AllOf(HasSubstr(R"("ok":false)"), HasSubstr("config.json:1:")));
}

TEST_F(RequestsTest, EverybodyMayLookAndOnlyLook) {
  struct stat status {};
  ASSERT_EQ(::stat(path("cp.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660U);
  ASSERT_EQ(::stat(path("cp-read.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666U);
  EXPECT_THAT(ask(config::ShowRequest{config::ShowWhat::health, {}}, "cp-read.sock"),
              HasSubstr(R"("ok":true)"));
  EXPECT_THAT(ask(config::WaitRequest{"web", "a", WaitFor::up, 1s}, "cp-read.sock"),
              HasSubstr(R"("ok":true)"));
  const std::vector<config::CpRequest> changes{config::ServerRequest{"web", "a", ServerAction::drain},
                                               config::KillRequest{}, config::ReloadRequest{}};
  for (const auto& change : changes)
    EXPECT_THAT(ask(change, "cp-read.sock"), HasSubstr("asked for on cp.sock"));
  EXPECT_EQ(weight(0), 1600U);
}

TEST_F(RequestsTest, WaitAnswersWhenTheServerIsUpOrDown) {
  ASSERT_THAT(command("a", ServerAction::maint), HasSubstr(R"("ok":true)"));
  EXPECT_THAT(wait("a", WaitFor::down, 1s), HasSubstr(R"(server \"web/a\": down)"));
  auto up = std::async(std::launch::async, [&] { return wait("a", WaitFor::up, 20s); });
  EXPECT_EQ(up.wait_for(100ms), std::future_status::timeout);
  ASSERT_THAT(command("a", ServerAction::ready), HasSubstr(R"("ok":true)"));
  EXPECT_THAT(up.get(), HasSubstr(R"(server \"web/a\": up)"));
}

TEST_F(RequestsTest, WaitForDrainedGoesByTheDataPlane) {
  tell(1600, 0);
  EXPECT_THAT(wait("a", WaitFor::drained, 1ms), HasSubstr("gets new connections"));
  ASSERT_THAT(command("a", ServerAction::drain), HasSubstr(R"("ok":true)"));
  tell(0, 1);
  EXPECT_THAT(wait("a", WaitFor::drained, 1ms), HasSubstr("has 1 open connection"));
  auto drained = std::async(std::launch::async, [&] { return wait("a", WaitFor::drained, 20s); });
  EXPECT_EQ(drained.wait_for(100ms), std::future_status::timeout);
  tell(0, 0);
  EXPECT_THAT(drained.get(), HasSubstr(R"(server \"web/a\": drained)"));
}

/// A report on thousands of servers is much to read again and again.
TEST_F(RequestsTest, WaitAndTheLogAskOnlyForTheServersConcerned) {
  tell(1600, 0);
  EXPECT_THAT(wait("a", WaitFor::drained, 500ms), HasSubstr("not drained"));
  ASSERT_THAT(command("a", ServerAction::maint), HasSubstr(R"("ok":true)"));
  EXPECT_TRUE(eventually([&] { return log().find("going DOWN for maintenance") != std::string::npos; }));
  EXPECT_EQ(dp_->whole_reports(), 0U);
}

TEST_F(RequestsTest, WhoeverLooksOnlyCostsOneReportASecond) {
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(ask(config::ShowRequest{config::ShowWhat::servers, {}}, "cp-read.sock"),
                HasSubstr(R"("ok":true)"));
  }
  const auto seconds = (std::chrono::steady_clock::now() - began) / 1s;
  EXPECT_LE(dp_->whole_reports(), static_cast<unsigned>(seconds) + 1);
  EXPECT_TRUE(show(config::ShowWhat::servers)) << "on cp.sock one is shown how it is now";
  EXPECT_TRUE(show(config::ShowWhat::servers));
  EXPECT_GE(dp_->whole_reports(), 3U);
}

TEST_F(RequestsTest, WaitSaysWhatIsMissingWhenTheTimeIsOver) {
  EXPECT_THAT(wait("*", WaitFor::down, 1ms), AllOf(HasSubstr("not down within 1ms"), HasSubstr("web/a")));
  EXPECT_THAT(wait("x", WaitFor::up, 20s), HasSubstr("no server"));
  dp_.reset();
  EXPECT_THAT(wait("a", WaitFor::drained, 1ms), HasSubstr("does not answer"));
}

TEST_F(RequestsTest, WaitingClientsAreLimitedAndGoneOnesGiveTheirPlaceBack) {
  const std::string line = config::encode_cp_request(config::WaitRequest{"web", "a", WaitFor::down, 60s});
  std::vector<base::Fd> waiting = clients(64, "cp.sock", line);
  ASSERT_EQ(waiting.size(), 64U);
  EXPECT_TRUE(
      eventually([&] { return wait("a", WaitFor::down, 1ms).find("64 clients wait") != std::string::npos; }));
  EXPECT_TRUE(show(config::ShowWhat::services)) << "others are served meanwhile";
  waiting.clear();
  EXPECT_TRUE(
      eventually([&] { return wait("a", WaitFor::down, 1ms).find("not down") != std::string::npos; }));
}

TEST_F(RequestsTest, EndsInOrderWhileClientsWait) {
  tell(1600, 0);
  const auto line = [](WaitFor what) {
    return config::encode_cp_request(config::WaitRequest{"web", "*", what, 60s});
  };
  std::vector<base::Fd> waiting = clients(32, "cp.sock", line(WaitFor::drained));
  for (base::Fd& fd : clients(32, "cp.sock", line(WaitFor::down))) waiting.push_back(std::move(fd));
  ASSERT_EQ(waiting.size(), 64U);
  EXPECT_TRUE(
      eventually([&] { return wait("a", WaitFor::down, 1ms).find("64 clients wait") != std::string::npos; }));
  stop(SIGTERM);
}

TEST_F(RequestsTest, ACrowdThatLooksKeepsNobodyFromAdministering) {
  // As many as are served at once, and as many as wait in the kernel.
  std::vector<base::Fd> crowd;
  ASSERT_TRUE(eventually([&] {
    for (base::Fd& fd : clients(1'000, "cp-read.sock", "")) crowd.push_back(std::move(fd));
    return crowd.size() >= 128 + 64;
  }));
  EXPECT_THAT(command("a", ServerAction::drain), HasSubstr(R"("ok":true)"));
  EXPECT_TRUE(show(config::ShowWhat::info));
}

TEST_F(RequestsTest, AClientThatNeverEndsItsLineIsClosed) {
  const auto slow = base::connect_unix(path("cp-read.sock"));
  ASSERT_TRUE(slow);
  ASSERT_EQ(::send(slow->get(), "{\"op\":", 6, MSG_NOSIGNAL), 6);
  EXPECT_EQ(read_to_end(slow->get()), "");
}

TEST_F(RequestsTest, DeepAndHugeRequestsAreRefusedByBothSockets) {
  for (const char* socket : {"cp.sock", "cp-read.sock"}) {
    const auto fd = base::connect_unix(path(socket));
    ASSERT_TRUE(fd);
    send_line(fd->get(), std::string(60'000, '['));
    EXPECT_THAT(read_to_end(fd->get()), AllOf(HasSubstr(R"("ok":false)"), Not(HasSubstr("no end"))));
  }
  EXPECT_TRUE(show(config::ShowWhat::info));
}

/// The data plane's explanation of a packet to web: neither a nor b takes it.
config::Explanation explanation_of_web() {
  config::Explanation explanation;
  explanation.tuple = {config::Protocol::tcp, *base::Endpoint::parse("198.51.100.7:40000"),
                       *base::Endpoint::parse("192.0.2.1:80")};
  explanation.claim = config::Claim::service;
  explanation.service = "web";
  explanation.worker = 0;
  config::ExplainedStart& start = explanation.start.emplace();
  start.fate = config::Fate::answer;
  start.reason = "no_server";
  for (const char* row : {"a 192.0.2.2:80", "b 192.0.2.3:80", "gone 192.0.2.4:80"}) {
    const std::string text(row);
    const std::size_t blank = text.find(' ');
    config::ExplainedServer& server = start.servers.emplace_back();
    server.name = text.substr(0, blank);
    server.endpoint = *base::Endpoint::parse(text.substr(blank + 1));
    server.standing = config::Standing::no_weight;
  }
  start.servers[1].standing = config::Standing::chosen;
  start.servers[1].weight = 33;
  return explanation;
}

TEST_F(RequestsTest, ExplainAddsWhatTheControlPlaneKnows) {
  dp_->explain(explanation_of_web());
  EXPECT_THAT(command("a", ServerAction::maint), HasSubstr("MAINT"));
  for (const char* socket : {"cp.sock", "cp-read.sock"}) {
    const std::string line = ask(config::ExplainRequest{explanation_of_web().tuple}, socket);
    const auto told = config::decode_explain_reply(line);
    ASSERT_TRUE(told) << line;
    const auto& servers = told->start->servers;
    ASSERT_EQ(servers.size(), 3U);
    ASSERT_TRUE(servers[0].known);
    EXPECT_EQ(servers[0].known->status, "MAINT");
    EXPECT_EQ(servers[0].known->admin, "maint");
    EXPECT_EQ(servers[0].known->why_no_weight, "in maintenance");
    ASSERT_TRUE(servers[1].known);
    EXPECT_EQ(servers[1].known->why_no_weight, "") << "it gets connections";
    EXPECT_EQ(servers[1].weight, 3U) << "sixteenths, rounded up, as in `show servers`";
    EXPECT_FALSE(servers[2].known) << "not in the configuration";
  }
}

TEST_F(RequestsTest, ExplainSaysWhyAServerGetsNothing) {
  dp_->explain(explanation_of_web());
  const auto why = [this] {
    const auto told = config::decode_explain_reply(ask(config::ExplainRequest{explanation_of_web().tuple}));
    return told ? told->start->servers[0].known->why_no_weight : told.error().message;
  };
  EXPECT_THAT(command("a", ServerAction::drain), HasSubstr("DRAIN"));
  EXPECT_EQ(why(), "drained");
  EXPECT_THAT(command("a", ServerAction::ready), HasSubstr("no check"));
  EXPECT_THAT(command("a", ServerAction::weight, 0), HasSubstr("weight 0"));
  EXPECT_EQ(why(), "its weight is 0");
  EXPECT_THAT(command("a", ServerAction::health_down), HasSubstr("DOWN"));
  EXPECT_THAT(why(), testing::StartsWith("DOWN"));
}

TEST_F(RequestsTest, ExplainWithoutADataPlaneThatCan) {
  const config::ExplainRequest request{explanation_of_web().tuple};
  EXPECT_THAT(ask(request), HasSubstr("the data plane (sluice-dp) that runs is older"));
  dp_.reset();
  EXPECT_THAT(ask(request), HasSubstr("the data plane (sluice-dp) does not answer"));
}

}  // namespace
}  // namespace sluice::cp
