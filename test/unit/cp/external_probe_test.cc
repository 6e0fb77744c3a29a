#include <filesystem>
#include <fstream>
#include <signal.h>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using config::CheckType;

class ExternalProbe : public ProbeTest {
 protected:
  ExternalProbe() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-external-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~ExternalProbe() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  /// A check that runs the shell script `text`.
  config::Check script(const std::string& text, config::Milliseconds timeout = 20s) {
    const auto path = directory_ / ("script" + std::to_string(++scripts_));
    std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    config::Check check = check_of(CheckType::external, timeout);
    check.command = path.string();
    return check;
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(directory_ / name).rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
  int scripts_ = 0;
};

TEST_F(ExternalProbe, ExitCodeDecides) {
  CheckResult result = run(script("exit 0"), 80);
  EXPECT_EQ(code(result.status), "PROCOK");
  EXPECT_EQ(result.answer_code, 0);
  result = run(script("exit 3"), 80);
  EXPECT_EQ(code(result.status), "PROCERR");
  EXPECT_EQ(result.answer_code, 3);
  EXPECT_EQ(result.info, "");
  result = run(script("kill -9 $$"), 80);
  EXPECT_EQ(code(result.status), "PROCERR");
  EXPECT_EQ(result.answer_code, -1);
}

TEST_F(ExternalProbe, CommandsThatCannotBeRunAreErrors) {
  config::Check check = script("exit 0");
  check.command += "-missing";
  const CheckResult result = run(check, 80);
  EXPECT_EQ(code(result.status), "PROCERR");
  EXPECT_EQ(result.answer_code, 255);
  EXPECT_NE(result.info.find("No such file"), std::string::npos) << result.info;
}

TEST_F(ExternalProbe, IsToldOfServerAndProxyAsByHaproxy) {
  const auto out = directory_.string() + "/out";
  const CheckResult result = run(script("echo \"$@\" >" + out + "; env | grep ^HAPROXY_ | sort >>" + out +
                                        "; cat; ls /proc/self/fd | wc -l >>" + out),
                                 8080);
  EXPECT_EQ(code(result.status), "PROCOK");
  // Of descriptors ls has its three and the directory.
  EXPECT_EQ(
      content("out"),
      "192.0.2.1 80 127.0.0.1 8080\n"
      "HAPROXY_PROXY_ADDR=192.0.2.1\nHAPROXY_PROXY_ID=1\nHAPROXY_PROXY_NAME=web\nHAPROXY_PROXY_PORT=80\n"
      "HAPROXY_SERVER_ADDR=127.0.0.1\nHAPROXY_SERVER_ID=1\nHAPROXY_SERVER_MAXCONN=17\n"
      "HAPROXY_SERVER_NAME=a\nHAPROXY_SERVER_PORT=8080\nHAPROXY_SERVER_PROTO=tcp\nHAPROXY_SERVER_SSL=0\n"
      "4\n");
}

TEST_F(ExternalProbe, AtTheTimeoutTheWholeGroupIsKilled) {
  const auto out = directory_.string() + "/pids";
  const CheckResult result = run(script("sleep 300 & echo $! $$ >" + out + "; wait", 300ms), 80);
  EXPECT_EQ(code(result.status), "PROCTOUT");
  EXPECT_GE(result.duration, 300ms);
  std::istringstream pids(content("pids"));
  pid_t sleeper = 0, shell = 0;
  ASSERT_TRUE(pids >> sleeper >> shell);
  // The shell is buried by us, its child by whoever inherits it.
  while (::kill(shell, 0) == 0) io_.run_one();
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  const auto runs = [](pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    return static_cast<bool>(file >> number >> name >> state) && state != "Z";
  };
  while (runs(sleeper) && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  EXPECT_FALSE(runs(sleeper));
}

TEST_F(ExternalProbe, OnlySoManyRunAtOneTimeAndNoneIsForgotten) {
  config::Config config;
  config::Service& service = config.services.emplace_back();
  service.name = "web";
  const auto log = directory_.string() + "/log";
  for (int i = 0; i < 6; ++i) {
    config::Server& server = service.servers.emplace_back();
    server.name = "a" + std::to_string(i);
    server.check = script("echo + >>" + log + "; sleep 0.05; echo - >>" + log);
  }
  const auto prepared = prepare_checks(config);
  ASSERT_TRUE(prepared);
  const CommandSlots two(io_.get_executor(), 2);
  int passed = 0;
  for (const auto& target : prepared->front()) {
    boost::asio::co_spawn(
        io_, run_check(target, two),
        [&passed](std::exception_ptr, const CheckResult& result) { passed += result.passed() ? 1 : 0; });
  }
  io_.run();
  EXPECT_EQ(passed, 6);
  std::istringstream lines(content("log"));
  int running = 0, most = 0;
  for (char sign; lines >> sign;) most = std::max(most, running += sign == '+' ? 1 : -1);
  EXPECT_EQ(most, 2);
  EXPECT_EQ(running, 0);
}

}  // namespace
}  // namespace sluice::cp
