#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <mutex>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/unix_socket.h"
#include "config/wire.h"

/// The control plane as a process between a data plane of ours and clients of ours.
namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using testing::HasSubstr;

void send_line(int fd, std::string line) {
  line += '\n';
  // A peer that is gone is seen by the reader.
  [[maybe_unused]] const ssize_t sent = ::send(fd, line.data(), line.size(), MSG_NOSIGNAL);
}

/// A data plane that keeps the state it is given and answers everything. One thread; many connections.
class FakeDataPlane {
 public:
  FakeDataPlane(const std::string& path, config::ForwardingState state) : state_(std::move(state)) {
    auto listener = base::listen_unix(path, 0600);
    EXPECT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeDataPlane() {
    ending_ = true;
    thread_.join();
  }
  [[nodiscard]] config::ForwardingState state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  [[nodiscard]] unsigned applied() const { return applied_; }
  /// Says no to every state from now on.
  void refuse(bool refuses) { refuses_ = refuses; }
  /// Somebody else gives it a state.
  void overwrite(config::ForwardingState state) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }
  void fail(std::vector<config::FailureReport> failures) {
    const std::lock_guard lock(mutex_);
    failures_ = std::move(failures);
  }

 private:
  struct Client {
    base::Fd fd;
    std::string text;
  };

  std::string answer(std::string_view line) {
    const auto request = config::decode_dp_request(line);
    if (!request) return config::encode_error_reply(request.error().message);
    const std::lock_guard lock(mutex_);
    if (const auto* apply = std::get_if<config::ApplyRequest>(&*request)) {
      if (refuses_) return config::encode_error_reply("it has no room");
      state_ = apply->state;
      ++applied_;
      return config::encode_apply_reply(state_.generation);
    }
    if (std::holds_alternative<config::StateRequest>(*request)) return config::encode_state_reply(state_);
    if (std::holds_alternative<config::FlowsRequest>(*request)) return config::encode_flows_reply({});
    if (std::holds_alternative<config::FailuresRequest>(*request))
      return config::encode_failures_reply(failures_);
    config::DataplaneReport report;
    report.generation = state_.generation;
    return config::encode_report_reply(report);
  }
  /// False: the client has gone.
  bool take(Client& client) {
    std::array<char, 4096> bytes{};
    const ssize_t length = ::recv(client.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (length == 0) return false;
    if (length < 0) return errno == EAGAIN;
    client.text.append(bytes.data(), static_cast<std::size_t>(length));
    for (std::size_t end = client.text.find('\n'); end != std::string::npos; end = client.text.find('\n')) {
      send_line(client.fd.get(), answer(client.text.substr(0, end)));
      client.text.erase(0, end + 1);
    }
    return true;
  }
  void serve() {
    std::vector<Client> clients;
    while (!ending_) {
      std::vector<pollfd> polled{{listener_.get(), POLLIN, 0}};
      for (const Client& client : clients) polled.push_back({client.fd.get(), POLLIN, 0});
      ::poll(polled.data(), polled.size(), 10);
      std::erase_if(clients, [this](Client& client) { return !take(client); });
      base::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (fd) clients.push_back({std::move(fd), {}});
    }
  }

  base::Fd listener_;
  mutable std::mutex mutex_;
  config::ForwardingState state_;
  std::vector<config::FailureReport> failures_;
  std::atomic<bool> refuses_ = false;
  std::atomic<unsigned> applied_ = 0;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

constexpr const char* kConfig = R"({
  "ports": [{"name": "lan", "device": "af_packet:lan0"}],
  "services": [{"name": "web", "vip": "192.0.2.1", "port": 80,
                "servers": [{"name": "a", "address": "192.0.2.2"}, {"name": "b", "address": "192.0.2.3"}]}] })";

class ExchangeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sluice-cp-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
    std::ofstream(dir_ / "config.json") << kConfig;
  }
  void TearDown() override {
    stop(SIGTERM);
    fs::remove_all(dir_);
  }

  [[nodiscard]] pid_t spawn() const {
    const std::string config = (dir_ / "config.json").string();
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    const int fd = ::open((dir_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(fd, 2);
    ::execl(SLUICE_CP, SLUICE_CP, "--config", config.c_str(), "--runtime-dir", dir_.c_str(), nullptr);
    ::_exit(127);
  }
  void start() {
    pid_ = spawn();
    ASSERT_TRUE(eventually([&] { return base::connect_unix(path("cp.sock")).has_value(); })) << log();
  }
  void stop(int signal) {
    if (pid_ == 0) return;
    ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    if (signal == SIGTERM) {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << log();
    }
  }
  [[nodiscard]] std::string path(const char* name) const { return (dir_ / name).string(); }
  [[nodiscard]] std::string log() const {
    std::ifstream stream(dir_ / "log");
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  [[nodiscard]] base::Result<std::string> show(config::ShowWhat what) const {
    const auto line =
        base::request(path("cp.sock"), config::encode_cp_request(config::ShowRequest{what, {}}), 10s);
    if (!line) return line.error();
    return config::decode_show_reply(what, *line);
  }
  static bool eventually(const std::function<bool()>& condition) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::sleep_for(2ms);
    }
    return true;
  }
  /// What a raw client is told before it is closed.
  [[nodiscard]] static std::string read_to_end(int fd) {
    std::string text;
    std::array<char, 4096> bytes{};
    for (;;) {
      pollfd polled{fd, POLLIN, 0};
      if (::poll(&polled, 1, 20'000) != 1) return text + " [no end]";
      const ssize_t length = ::recv(fd, bytes.data(), bytes.size(), 0);
      if (length <= 0) return text;
      text.append(bytes.data(), static_cast<std::size_t>(length));
    }
  }

  fs::path dir_;
  pid_t pid_ = 0;
};

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
  std::ifstream accepted(dir_ / "accepted.json");
  const std::string text{std::istreambuf_iterator<char>(accepted), {}};
  EXPECT_THAT(text, HasSubstr(R"("name": "c")"));
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

TEST_F(ExchangeTest, StateFileIsWrittenAtTheEndAndGarbageInItIsPassedOver) {
  start();
  stop(SIGTERM);
  EXPECT_TRUE(fs::exists(dir_ / "state.json"));
  std::ofstream(dir_ / "state.json") << "{]";
  start();
  EXPECT_TRUE(show(config::ShowWhat::info));
  EXPECT_THAT(log(), HasSubstr("state.json\": it is not JSON; servers begin as in a first start"));
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
