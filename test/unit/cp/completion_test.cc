#include "tools/sluice/completion.h"

#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/sluice/command.h"

namespace sluice::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

/// The program's commands, and a running instance with k8s-api (m1, m2), dns (a) and three virtual routers.
class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    add_run(app_, invocation_);
    add_check(app_, invocation_);
    add_show(app_, invocation_);
    add_explain(app_, invocation_);
    add_server(app_, invocation_);
    add_flow(app_, invocation_);
    add_wait(app_, invocation_);
    add_vrrp(app_, invocation_);
    add_completion(app_, invocation_);
  }
  /// What `line` may become; the word under the cursor is its last, empty behind a blank.
  std::vector<std::string> complete(const std::string& line) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words.push_back(word);
    if (line.empty() || line.back() == ' ') words.emplace_back();
    const Known known{.services =
                          [this] {
                            ++asked_;
                            return std::vector<KnownService>{{"k8s-api", {"m1", "m2"}}, {"dns", {"a"}}};
                          },
                      .vrrp_instances =
                          [this] {
                            ++asked_;
                            return std::vector<std::string>{"VI_1", "VI_2", "inside"};
                          }};
    return candidates(app_, words, known);
  }

  Invocation invocation_;
  CLI::App app_{"sluice"};
  int asked_ = 0;
};

TEST_F(CompletionTest, ProtocolsToExplain) {
  EXPECT_THAT(complete("expl"), ElementsAre("explain"));
  EXPECT_THAT(complete("explain "), ElementsAre("tcp", "udp"));
  EXPECT_THAT(complete("explain u"), ElementsAre("udp"));
  EXPECT_THAT(complete("explain tcp "), testing::IsEmpty());
  EXPECT_THAT(complete("explain --j"), ElementsAre("--json"));
}

TEST_F(CompletionTest, CommandsAndTheirParts) {
  EXPECT_THAT(complete("s"), ElementsAre("show", "server"));
  EXPECT_THAT(complete("server m"), ElementsAre("maint", "maxconn"));
  EXPECT_THAT(complete("flow "), ElementsAre("kill"));
  EXPECT_THAT(complete("show m"), ElementsAre("metrics"));
  EXPECT_EQ(asked_, 0) << "no name was needed";
}

TEST_F(CompletionTest, OptionsOfTheCommand) {
  EXPECT_THAT(complete("show flows --"), Contains("--client"));
  EXPECT_THAT(complete("show ports --"), Not(Contains("--client")));
  EXPECT_THAT(complete("show metrics --"), Not(Contains("--json")));
  EXPECT_THAT(complete("show flows --ser"), ElementsAre("--service", "--server"));
}

TEST_F(CompletionTest, NamesOfTheRunningInstance) {
  EXPECT_THAT(complete("server drain "), ElementsAre("k8s-api/m1", "k8s-api/m2", "k8s-api/*", "dns/a"));
  EXPECT_THAT(complete("server drain k8s-api/m"), ElementsAre("k8s-api/m1", "k8s-api/m2"));
  EXPECT_THAT(complete("show servers --service "), ElementsAre("k8s-api", "dns"));
  EXPECT_THAT(complete("show servers --service=k"), ElementsAre("--service=k8s-api"));
  EXPECT_THAT(complete("show servers --service k8s-api --server "), ElementsAre("m1", "m2"));
  EXPECT_THAT(complete("flow kill --server d"), ElementsAre("dns/a"));
}

TEST_F(CompletionTest, VirtualRoutersOfTheRunningInstance) {
  EXPECT_THAT(complete("vrrp "), ElementsAre("yield", "resume"));
  EXPECT_THAT(complete("show v"), ElementsAre("vrrp"));
  EXPECT_EQ(asked_, 0);
  EXPECT_THAT(complete("vrrp yield "), ElementsAre("VI_1", "VI_2", "inside"));
  EXPECT_THAT(complete("vrrp resume VI"), ElementsAre("VI_1", "VI_2"));
  EXPECT_THAT(complete("vrrp yield VI_1 "), Not(Contains("VI_2"))) << "one at a time";
}

TEST_F(CompletionTest, WordsThatACommandKnows) {
  EXPECT_THAT(complete("wait k8s-api/m1 "), ElementsAre("drained", "up", "down"));
  EXPECT_THAT(complete("run --log-level w"), ElementsAre("warn"));
  EXPECT_THAT(complete("show flows --state est"), ElementsAre("established"));
  EXPECT_THAT(complete("completion "), ElementsAre("bash"));
}

TEST_F(CompletionTest, FilesAndDirectories) {
  EXPECT_THAT(complete("check "), ElementsAre(":files"));
  EXPECT_THAT(complete("check one.json tw"), ElementsAre(":files")) << "it takes several";
  EXPECT_THAT(complete("run -c "), ElementsAre(":files"));
  EXPECT_THAT(complete("show info --runtime-dir=/r"), ElementsAre(":directories"));
}

TEST_F(CompletionTest, NonsenseHasNoContinuation) {
  EXPECT_THAT(complete("nosuch "), Contains("show")) << "what it was is not known";
  EXPECT_THAT(complete("show info --nosuch=x"), IsEmpty());
  EXPECT_THAT(complete("server weight k8s-api/m1 "), IsEmpty()) << "any number";
}

}  // namespace
}  // namespace sluice::cli
