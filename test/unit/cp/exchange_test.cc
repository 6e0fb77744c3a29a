#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "test/unit/cp/control_plane_process.h"

/// The control plane as a process between a data plane of ours and clients of ours.
namespace sluice::cp {
namespace {

using testing::HasSubstr;
using ExchangeTest = ControlPlaneTest;

TEST_F(ExchangeTest, GivesAFreshDataPlaneTheState) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  EXPECT_TRUE(eventually([&] { return dp.state().generation == 1; })) << log();
  ASSERT_EQ(dp.state().services.size(), 1U);
  EXPECT_EQ(dp.state().services[0].servers.size(), 2U);
}

TEST_F(ExchangeTest, FindsADataPlaneThatComesLaterAndAfterEachRestart) {
  start();
  for (int restart = 0; restart < 3; ++restart) {
    const FakeDataPlane dp(path("dp.sock"), {});
    EXPECT_TRUE(eventually([&] { return dp.state().generation == 1; })) << log();
  }
}

TEST_F(ExchangeTest, RestartedControlPlaneAdoptsWhatRuns) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  stop(SIGKILL);
  start();
  ASSERT_TRUE(eventually(
      [&] { return log().find("it runs the desired state (generation 1)") != std::string::npos; }));
  EXPECT_EQ(dp.applied(), 1U) << "the data plane was told nothing new";
}

TEST_F(ExchangeTest, SaysThatTheDataPlaneDoesNotAnswer) {
  start();
  const auto servers = show(config::ShowWhat::servers);
  ASSERT_FALSE(servers);
  EXPECT_THAT(servers.error().message, HasSubstr("the data plane (sluice-dp) does not answer"));
  const auto info = show(config::ShowWhat::info);
  ASSERT_TRUE(info) << "info is answered all the same";
  EXPECT_THAT(*info, HasSubstr(R"("connected":false)"));
  const auto metrics = show(config::ShowWhat::metrics);
  ASSERT_TRUE(metrics) << "so are metrics";
  EXPECT_THAT(*metrics, HasSubstr(R"("data_plane":false)"));
  EXPECT_THAT(*metrics, HasSubstr("sluice_server_up"));
}

TEST_F(ExchangeTest, GarbageAndEndlessLinesAreToldAndClosed) {
  start();
  const auto garbage = base::connect_unix(path("cp.sock"));
  ASSERT_TRUE(garbage);
  send_line(garbage->get(), "\x01\x02 this is no JSON {{{");
  EXPECT_THAT(read_to_end(garbage->get()), HasSubstr(R"("ok":false)"));

  const auto endless = base::connect_unix(path("cp.sock"));
  ASSERT_TRUE(endless);
  const std::string much(std::size_t{1} << 20, 'x');
  // Stops short where the other side has closed.
  [[maybe_unused]] const ssize_t sent = ::send(endless->get(), much.data(), much.size(), MSG_NOSIGNAL);
  EXPECT_TRUE(show(config::ShowWhat::info)) << "others are served meanwhile";
}

TEST_F(ExchangeTest, SilentClientsKeepNobodyWaiting) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  std::vector<base::Fd> silent;
  for (int i = 0; i < 50; ++i) {
    auto fd = base::connect_unix(path("cp.sock"));
    ASSERT_TRUE(fd) << fd.error().message;
    silent.push_back(std::move(*fd));
  }
  EXPECT_TRUE(show(config::ShowWhat::services));
}

TEST_F(ExchangeTest, SecondInstanceIsRefused) {
  start();
  const pid_t second = spawn();
  int status = 0;
  ::waitpid(second, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(log(), HasSubstr("another sluice runs on this runtime directory"));
  EXPECT_TRUE(show(config::ShowWhat::info)) << "the first one goes on";
}

TEST_F(ExchangeTest, StopRemovesTheSocket) {
  start();
  stop(SIGTERM);
  EXPECT_FALSE(fs::exists(dir_ / "cp.sock"));
}

/// Writes the configuration, with the text `from` replaced by `to`.
void write_config(const fs::path& dir, const std::string& from, const std::string& to) {
  std::string text = kConfig;
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  std::ofstream(dir / "config.json") << text;
}

TEST_F(ExchangeTest, HangupReloadsAndKeepsTheTextForRestarts) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  write_config(dir_, R"({"name": "b", "address": "192.0.2.3"})", R"({"name": "c", "address": "192.0.2.4"})");
  ::kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return log().find("the configuration was reloaded") != std::string::npos; }))
      << log();
  EXPECT_EQ(dp.state().services[0].servers[1].name, "c");
  EXPECT_THAT(log(), HasSubstr(R"(reload: server "web/c" added)"));
  EXPECT_THAT(log(), HasSubstr(R"(reload: server "web/b" removed)"));
  // Written after the log has it.
  EXPECT_TRUE(eventually([&] {
    std::ifstream accepted(dir_ / "accepted.json");
    const std::string text{std::istreambuf_iterator<char>(accepted), {}};
    return text.find(R"("name": "c")") != std::string::npos;
  }));
}

TEST_F(ExchangeTest, BrokenFileChangesNothing) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  write_config(dir_, R"("name": "b")", R"("nam": "b")");
  ::kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return log().find("was not reloaded") != std::string::npos; })) << log();
  EXPECT_EQ(dp.applied(), 1U);
  EXPECT_FALSE(fs::exists(dir_ / "accepted.json"));
  EXPECT_TRUE(show(config::ShowWhat::info));
}

TEST_F(ExchangeTest, WhatNeedsARestartIsRefusedByName) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  write_config(dir_, "af_packet:lan0", "af_packet:lan1");
  ::kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return log().find("was not reloaded") != std::string::npos; })) << log();
  EXPECT_THAT(log(), HasSubstr(R"(port "lan")"));
  EXPECT_EQ(dp.applied(), 1U);
}

TEST_F(ExchangeTest, StateThatTheDataPlaneRefusesIsNotTakenOver) {
  FakeDataPlane dp(path("dp.sock"), {});
  start();
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  dp.refuse(true);
  write_config(dir_, R"("name": "b")", R"("name": "c")");
  ::kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return log().find("was not reloaded") != std::string::npos; })) << log();
  EXPECT_THAT(log(), HasSubstr("the data plane refused it: "));
  EXPECT_THAT(log(), HasSubstr("it has no room"));
  EXPECT_FALSE(fs::exists(dir_ / "accepted.json"));
  const auto info = show(config::ShowWhat::info);
  ASSERT_TRUE(info);
  EXPECT_THAT(*info, HasSubstr(R"("wanted":1)")) << "the former configuration holds";
}

TEST_F(ExchangeTest, ReloadWithoutADataPlaneReachesItLater) {
  start();
  write_config(dir_, R"("name": "b")", R"("name": "c")");
  ::kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return log().find("the configuration was reloaded") != std::string::npos; }))
      << log();
  const FakeDataPlane dp(path("dp.sock"), {});
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  EXPECT_EQ(dp.state().services[0].servers[1].name, "c");
}

/// A sluice-vrrp that gives one answer to all that is asked, and keeps the last request.
class FakeVrrp {
 public:
  FakeVrrp(const std::string& path, std::string answer) : answer_(std::move(answer)) {
    auto listener = base::listen_unix(path, 0600);
    EXPECT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeVrrp() {
    ending_ = true;
    thread_.join();
  }
  [[nodiscard]] std::string asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void serve() {
    while (!ending_) {
      pollfd polled{listener_.get(), POLLIN, 0};
      if (::poll(&polled, 1, 10) != 1) continue;
      const base::Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::array<char, 4096> bytes{};
      const ssize_t length = ::recv(client.get(), bytes.data(), bytes.size(), 0);
      const std::lock_guard lock(mutex_);
      asked_.assign(bytes.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
      send_line(client.get(), answer_);
    }
  }

  base::Fd listener_;
  std::string answer_;
  mutable std::mutex mutex_;
  std::string asked_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

constexpr const char* kEndOfServices = R"("address": "192.0.2.3"}]}])";
constexpr const char* kWithVrrp =
    R"("address": "192.0.2.3"}]}], "vrrp": [{"name": "VI_1", "interface": "lan", "virtual_router_id": 61,
       "addresses": ["192.0.2.1/24"]}])";

TEST_F(ExchangeTest, ReloadReachesVrrpOnceTheTextIsKept) {
  const FakeDataPlane dp(path("dp.sock"), {});
  const FakeVrrp vrrp(path("vrrp.sock"), config::encode_done_reply("VI_1 stays BACKUP"));
  start();
  const auto unchanged = config::decode_reload_reply(ask(config::ReloadRequest{}));
  ASSERT_TRUE(unchanged) << unchanged.error().message;
  EXPECT_EQ(unchanged->note, "");
  EXPECT_EQ(vrrp.asked(), "") << "there is no virtual router";
  write_config(dir_, kEndOfServices, kWithVrrp);
  const auto report = config::decode_reload_reply(ask(config::ReloadRequest{}));
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->changes.size(), 1U);
  EXPECT_EQ(report->changes.at(0).object, R"(vrrp instance "VI_1")");
  EXPECT_EQ(report->note, "VI_1 stays BACKUP");
  EXPECT_EQ(vrrp.asked(), "{\"op\":\"reload\"}\n");
  std::ifstream accepted(dir_ / "accepted.json");
  const std::string text{std::istreambuf_iterator<char>(accepted), {}};
  EXPECT_THAT(text, HasSubstr("VI_1"));
}

TEST_F(ExchangeTest, VrrpThatRefusesOrIsGoneIsToldInTheReloadsNote) {
  const FakeDataPlane dp(path("dp.sock"), {});
  start();
  write_config(dir_, kEndOfServices, kWithVrrp);
  const auto gone = config::decode_reload_reply(ask(config::ReloadRequest{}));
  ASSERT_TRUE(gone) << gone.error().message;
  EXPECT_THAT(gone->note, HasSubstr("sluice-vrrp does not answer"));
  const FakeVrrp vrrp(path("vrrp.sock"), config::encode_error_reply("no room for VI_1"));
  write_config(dir_, "", "");
  const auto refused = config::decode_reload_reply(ask(config::ReloadRequest{}));
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(refused->note, "sluice-vrrp goes on with its former configuration: no room for VI_1");
  EXPECT_THAT(log(), HasSubstr("sluice-vrrp goes on with its former configuration: no room for VI_1"));
}

TEST_F(ExchangeTest, StateFileIsWrittenAtTheEndAndGarbageInItIsPassedOver) {
  start();
  stop(SIGTERM);
  EXPECT_TRUE(fs::exists(dir_ / "state.json"));
  std::ofstream(dir_ / "state.json") << "{]";
  start();
  EXPECT_TRUE(eventually([&] {
    return log().find("state.json\": it is not JSON; servers begin as in a first start") != std::string::npos;
  })) << log();
  EXPECT_TRUE(show(config::ShowWhat::info));
}

TEST_F(ExchangeTest, FailuresOfConnectionsTakeAnObservedServerDown) {
  FakeDataPlane dp(path("dp.sock"), {});
  // Nobody listens where the check goes: it would need 3 failures, the first of them after a minute.
  write_config(
      dir_, R"({"name": "b", "address": "192.0.2.3"})",
      R"({"name": "b", "address": "192.0.2.3", "observe": "layer4", "error_limit": 4, "on_error": "mark-down",
                   "check": {"type": "tcp", "interval": "60s", "timeout": "60s"}})");
  start();
  ASSERT_TRUE(eventually([&] { return dp.applied() == 1; })) << log();
  dp.fail({{"web", "b", *base::Endpoint::parse("192.0.2.3:80"), 4, "refused"}});
  ASSERT_TRUE(eventually([&] { return dp.state().services[0].servers[1].weight == 0; })) << log();
  EXPECT_TRUE(eventually([&] {
    return log().find("Server web/b is DOWN, reason: Health analyze") != std::string::npos;
  })) << log();
}

}  // namespace
}  // namespace sluice::cp
