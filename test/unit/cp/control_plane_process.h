#pragma once

#include <algorithm>
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

using namespace std::chrono_literals;
namespace fs = std::filesystem;

inline void send_line(int fd, std::string line) {
  line += '\n';
  // A peer that is gone is seen by the reader.
  [[maybe_unused]] const ssize_t sent = ::send(fd, line.data(), line.size(), MSG_NOSIGNAL);
}

inline bool eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
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
  /// How often it was asked for everything.
  [[nodiscard]] unsigned whole_reports() const { return whole_reports_; }
  /// Says no to every state from now on.
  void refuse(bool refuses) { refuses_ = refuses; }
  /// Somebody else gives it a state.
  void overwrite(config::ForwardingState state) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }
  /// What it reports of itself, but for the generation.
  void report(config::DataplaneReport report) {
    const std::lock_guard lock(mutex_);
    report_ = std::move(report);
  }
  /// The filter of the last request to end flows; it says that there were 3.
  [[nodiscard]] std::optional<config::FlowFilter> killed() const {
    const std::lock_guard lock(mutex_);
    return killed_;
  }
  /// What it explains of any packet; until then it does not know the request.
  void explain(config::Explanation explanation) {
    const std::lock_guard lock(mutex_);
    explanation_ = std::move(explanation);
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
    if (const auto* kill = std::get_if<config::KillRequest>(&*request)) {
      killed_ = kill->filter;
      return config::encode_kill_reply(3);
    }
    if (std::holds_alternative<config::ExplainRequest>(*request)) {
      return explanation_ ? config::encode_explain_reply(*explanation_)
                          : config::encode_error_reply(R"(unknown op "explain" (known: "apply", "report"))");
    }
    config::DataplaneReport report = report_;
    report.generation = state_.generation;
    const auto& only = std::get<config::ReportRequest>(*request).only;
    if (!only) ++whole_reports_;
    for (config::ServiceReport& service : report.services) {
      std::erase_if(service.servers, [&](const config::ServerReport& server) {
        return only && std::ranges::none_of(*only, [&](const config::ServerName& name) {
                 return name.service == service.name && (name.server == "*" || name.server == server.name);
               });
      });
    }
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
  config::DataplaneReport report_;
  std::optional<config::FlowFilter> killed_;
  std::optional<config::Explanation> explanation_;
  std::atomic<bool> refuses_ = false;
  std::atomic<unsigned> applied_ = 0;
  std::atomic<unsigned> whole_reports_ = 0;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

inline constexpr const char* kConfig = R"({
  "ports": [{"name": "lan", "device": "af_packet:lan0"}],
  "services": [{"name": "web", "vip": "192.0.2.1", "port": 80,
                "servers": [{"name": "a", "address": "192.0.2.2"}, {"name": "b", "address": "192.0.2.3"}]}] })";

/// sluice-cp as a process on a runtime directory of its own; stopped and removed at the end.
class ControlPlaneTest : public testing::Test {
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
  /// The reply line to one request.
  [[nodiscard]] std::string ask(const config::CpRequest& request, const char* socket = "cp.sock") const {
    const auto line = base::request(path(socket), config::encode_cp_request(request), 30s);
    return line ? *line : "no reply: " + line.error().message;
  }
  [[nodiscard]] base::Result<std::string> show(config::ShowWhat what) const {
    const auto line =
        base::request(path("cp.sock"), config::encode_cp_request(config::ShowRequest{what, {}}), 10s);
    if (!line) return line.error();
    return config::decode_show_reply(what, *line);
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

}  // namespace sluice::cp
