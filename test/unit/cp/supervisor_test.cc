#include "tools/sluice/supervisor.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kConfig = R"({
  "ports": [{"name": "lan", "device": "af_packet:lan0"}],
  "services": [{"name": "web", "vip": "192.0.2.1", "port": 80,
                "servers": [{"name": "a", "address": "192.0.2.2"}]}] })";

/// `sluice run` as a process, with fake children in the place of sluice-dp, sluice-cp and sluice-vrrp.
class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sluice-run-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
    fs::create_directory(dir_ / "bin");
    for (const char* child : {"sluice-dp", "sluice-cp", "sluice-vrrp"}) {
      fs::create_symlink(FAKE_CHILD, dir_ / "bin" / child);
      behave(child, "ready");
    }
    write("config.json", kConfig);
  }
  void TearDown() override {
    if (run_ != 0) {
      ::kill(run_, SIGKILL);
      finish();
    }
    for (const char* child : {"sluice-dp", "sluice-cp", "sluice-vrrp"}) {
      for (const pid_t pid : pids(child)) ::kill(pid, SIGKILL);
    }
    fs::remove_all(dir_);
  }

  void write(const fs::path& name, std::string_view text) const { std::ofstream(dir_ / name) << text; }
  void behave(const std::string& child, std::string_view how) const {
    write(fs::path("bin") / (child + ".behaviour"), how);
  }

  [[nodiscard]] pid_t spawn_sluice(const std::string& log, const std::string& runtime_dir = "rt") const {
    const std::vector<std::string> words{SLUICE_BINARY,
                                         "run",
                                         "-c",
                                         (dir_ / "config.json").string(),
                                         "--runtime-dir",
                                         (dir_ / runtime_dir).string(),
                                         "--libexec-dir",
                                         (dir_ / "bin").string()};
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const int fd = ::open((dir_ / log).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(fd, 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  void run() { run_ = spawn_sluice("log"); }
  int finish() {
    int status = 0;
    ::waitpid(run_, &status, 0);
    run_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int stop() {
    ::kill(run_, SIGTERM);
    return finish();
  }

  [[nodiscard]] std::string read(const fs::path& name) const {
    std::ostringstream text;
    text << std::ifstream(dir_ / name).rdbuf();
    return text.str();
  }
  [[nodiscard]] std::string log() const { return read("log"); }
  /// What the children told, pids left out.
  [[nodiscard]] std::vector<std::string> events() const {
    std::vector<std::string> lines;
    std::istringstream stream(read("bin/events"));
    for (std::string child, event, rest; stream >> child >> event; lines.push_back(child + " " + event)) {
      if (event == "start") stream >> rest;
    }
    return lines;
  }
  /// The same of some children.
  [[nodiscard]] std::vector<std::string> events_of(const std::vector<std::string>& children) const {
    auto lines = events();
    std::erase_if(lines, [&](const std::string& line) {
      return std::ranges::find(children, line.substr(0, line.find(' '))) == children.end();
    });
    return lines;
  }
  /// The pids a child had, in order.
  [[nodiscard]] std::vector<pid_t> pids(const std::string& name) const {
    std::vector<pid_t> found;
    std::istringstream stream(read("bin/events"));
    for (std::string child, event; stream >> child >> event;) {
      pid_t pid = 0;
      if (event == "start" && stream >> pid && child == name) found.push_back(pid);
    }
    return found;
  }
  static bool eventually(const std::function<bool()>& condition) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  bool eventually_logged(const std::string& text) const {
    return eventually([&] { return log().find(text) != std::string::npos; });
  }
  static bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0; }

  fs::path dir_;
  pid_t run_ = 0;
};

TEST_F(SupervisorTest, StartsDataPlaneThenControlPlaneAndStopsVrrpFirst) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  EXPECT_EQ(read("rt/accepted.json"), kConfig);
  EXPECT_EQ(stop(), 0);
  // The speaker starts beside the data plane: which of the two tells first is open.
  EXPECT_THAT(events_of({"sluice-dp", "sluice-cp"}),
              ElementsAre("sluice-dp start", "sluice-cp start", "sluice-cp SIGTERM", "sluice-cp end",
                          "sluice-dp SIGTERM", "sluice-dp end"));
  const auto all = events();
  ASSERT_EQ(all.size(), 9U);
  EXPECT_THAT(std::vector(all.begin() + 3, all.end()),
              ElementsAre("sluice-vrrp SIGTERM", "sluice-vrrp end", "sluice-cp SIGTERM", "sluice-cp end",
                          "sluice-dp SIGTERM", "sluice-dp end"));
  EXPECT_FALSE(fs::exists(dir_ / "rt" / "notify.sock"));
}

TEST_F(SupervisorTest, InvalidConfigurationStartsNothing) {
  write("config.json", R"({"ports": 3})");
  run();
  EXPECT_EQ(finish(), 1);
  EXPECT_THAT(log(), HasSubstr("config.json:1:"));
  EXPECT_FALSE(fs::exists(dir_ / "rt"));
  EXPECT_TRUE(events().empty());
}

TEST_F(SupervisorTest, ChildThatFailsToStartEndsEverything) {
  behave("sluice-cp", "fail");
  run();
  EXPECT_EQ(finish(), 1);
  EXPECT_THAT(log(), HasSubstr("fake: interface \"nope\" does not exist"));
  EXPECT_THAT(log(), HasSubstr("sluice-cp exited with status 1 before it was ready"));
  EXPECT_THAT(events_of({"sluice-dp", "sluice-cp"}),
              ElementsAre("sluice-dp start", "sluice-dp SIGTERM", "sluice-dp end"));
  EXPECT_TRUE(std::ranges::all_of(pids("sluice-vrrp"), is_gone));
}

TEST_F(SupervisorTest, VrrpThatFailsToStartEndsEverything) {
  behave("sluice-vrrp", "fail");
  run();
  EXPECT_EQ(finish(), 1);
  EXPECT_THAT(log(), HasSubstr("sluice-vrrp exited with status 1 before it was ready"));
  EXPECT_TRUE(std::ranges::all_of(pids("sluice-dp"), is_gone));
}

TEST_F(SupervisorTest, KilledVrrpIsStartedAgainAndTheOthersLeftAlone) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  ::kill(pids("sluice-vrrp").at(0), SIGKILL);
  ASSERT_TRUE(eventually_logged("sluice-vrrp was killed by signal 9 (Killed)")) << log();
  ASSERT_TRUE(eventually_logged("is ready again")) << log();
  EXPECT_EQ(pids("sluice-vrrp").size(), 2U);
  EXPECT_EQ(pids("sluice-dp").size(), 1U);
  EXPECT_EQ(pids("sluice-cp").size(), 1U);
  EXPECT_EQ(stop(), 0);
}

TEST_F(SupervisorTest, DataPlaneThatFailsToStartLeavesControlPlaneUnstarted) {
  behave("sluice-dp", "fail");
  run();
  EXPECT_EQ(finish(), 1);
  EXPECT_TRUE(events_of({"sluice-dp", "sluice-cp"}).empty());
}

TEST_F(SupervisorTest, MissingProgramIsNamed) {
  fs::remove(dir_ / "bin" / "sluice-dp");
  run();
  EXPECT_EQ(finish(), 1);
  EXPECT_THAT(log(), HasSubstr("the program sluice-dp is missing"));
  EXPECT_FALSE(fs::exists(dir_ / "rt"));
}

TEST_F(SupervisorTest, KilledChildIsStartedAgainAndTheOtherLeftAlone) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  ::kill(pids("sluice-dp").at(0), SIGKILL);
  ASSERT_TRUE(eventually_logged("sluice-dp (pid ")) << log();
  ASSERT_TRUE(eventually_logged("is ready again")) << log();
  EXPECT_THAT(log(), HasSubstr("sluice-dp was killed by signal 9 (Killed)"));
  EXPECT_EQ(pids("sluice-dp").size(), 2U);
  EXPECT_EQ(pids("sluice-cp").size(), 1U);
  EXPECT_EQ(stop(), 0);
}

TEST_F(SupervisorTest, RestartUsesTheAcceptedConfiguration) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  write("config.json", "broken");
  ::kill(pids("sluice-cp").at(0), SIGKILL);
  ASSERT_TRUE(eventually_logged("is ready again")) << log();
  EXPECT_EQ(read("rt/accepted.json"), kConfig);
  EXPECT_EQ(stop(), 0);
}

TEST_F(SupervisorTest, SecondInstanceIsRefusedNamingThePid) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  const pid_t second = spawn_sluice("second");
  int status = 0;
  ::waitpid(second, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(read("second"),
              HasSubstr("another sluice (pid " + std::to_string(run_) + ") runs on the runtime directory"));
  EXPECT_EQ(pids("sluice-dp").size(), 1U);
  EXPECT_EQ(stop(), 0);
}

TEST_F(SupervisorTest, ARuntimeDirectoryTooLongForSocketsIsRefusedBeforeItIsMade) {
  const std::string longest(100, 'x');
  int status = 0;
  ::waitpid(spawn_sluice("log", longest), &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(read("log"), HasSubstr("choose a shorter one with --runtime-dir"));
  EXPECT_FALSE(fs::exists(dir_ / longest));
}

TEST_F(SupervisorTest, ChildrenDieWithAKilledSupervisor) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  ::kill(run_, SIGKILL);
  finish();
  EXPECT_TRUE(eventually([&] { return std::ranges::count(events(), "sluice-dp end") == 1; }));
  EXPECT_TRUE(eventually([&] { return std::ranges::count(events(), "sluice-cp end") == 1; }));
  EXPECT_TRUE(eventually([&] { return std::ranges::count(events(), "sluice-vrrp end") == 1; }));
}

TEST_F(SupervisorTest, SecondSignalKillsAStubbornChild) {
  behave("sluice-dp", "stubborn");
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  ::kill(run_, SIGTERM);
  ASSERT_TRUE(eventually([&] { return events().back() == "sluice-dp SIGTERM"; }));
  EXPECT_EQ(stop(), 0);
  EXPECT_TRUE(eventually([&] { return is_gone(pids("sluice-dp").at(0)); }));
}

TEST_F(SupervisorTest, HangupReloadsThroughTheControlPlane) {
  behave("sluice-cp", "reload");
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  ::kill(run_, SIGHUP);
  ASSERT_TRUE(eventually_logged("the configuration was reloaded: 1 changes; it was a fake")) << log();
  ::kill(run_, SIGHUP);
  ASSERT_TRUE(eventually_logged("the configuration was not reloaded: no second time")) << log();
  EXPECT_EQ(stop(), 0);
}

TEST_F(SupervisorTest, HangupWithoutAControlPlaneIsToldAndHarmsNothing) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  ::kill(run_, SIGHUP);
  EXPECT_TRUE(eventually_logged("the configuration was not reloaded: socket")) << log();
  EXPECT_EQ(pids("sluice-cp").size(), 1U);
  EXPECT_EQ(stop(), 0);
}

TEST_F(SupervisorTest, NothingIsLeftBehind) {
  run();
  ASSERT_TRUE(eventually_logged("ready:")) << log();
  EXPECT_EQ(stop(), 0);
  EXPECT_FALSE(fs::exists(dir_ / "rt")) << "it was made for this instance";
  fs::create_directory(dir_ / "rt");
  behave("sluice-dp", "fail");
  run();
  EXPECT_EQ(finish(), 1);
  EXPECT_TRUE(fs::is_empty(dir_ / "rt")) << "a refusal leaves nothing either";
}

TEST(RestartPause, GrowsWithYoungDeathsUpToALimit) {
  EXPECT_EQ(Supervisor::restart_pause(0), 0ms);
  EXPECT_EQ(Supervisor::restart_pause(1), 250ms);
  EXPECT_EQ(Supervisor::restart_pause(2), 500ms);
  EXPECT_EQ(Supervisor::restart_pause(100), 10s);
}

}  // namespace
}  // namespace sluice::cli
