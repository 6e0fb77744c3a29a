#include "cp/agent_answer.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::string_literals;

/// Lines that were sent to HAProxy 2.6, and what it made of them.
struct AnswerRow {
  const char* name;
  std::string line;
  std::optional<AgentHealth> health;
  std::optional<AgentAdmin> admin;
  std::optional<AgentWeight> weight;
  std::optional<std::uint32_t> maxconn;
  CheckStatus status;
  std::string info;
};

constexpr auto kNone = std::nullopt;
constexpr auto kUp = AgentHealth::up;
constexpr auto kDown = AgentHealth::down;
constexpr auto kGood = CheckStatus::l7_ok;
constexpr auto kBad = CheckStatus::l7_wrong_status;
constexpr auto kSame = CheckStatus::no_change;

const AnswerRow kRows[] = {
    {"up", "up\n", kUp, kNone, kNone, kNone, kGood, "via agent : up"},
    {"down_in_capitals", "DOWN\n", kDown, kNone, kNone, kNone, kBad, "via agent : DOWN"},
    {"description_needs_a_blank", "down#going away\n", kNone, kNone, kNone, kNone, kSame,
     "agent reports an error : down#going"},
    {"stopped_with_description", "stopped # sched\n", AgentHealth::stopped, kNone, kNone, kNone, kBad,
     "via agent : stopped (sched)"},
    {"fail_and_weight", "fail,50%\n", AgentHealth::fail, kNone, AgentWeight{50}, kNone, kBad,
     "via agent : fail"},
    {"weight_alone", "75%\n", kNone, kNone, AgentWeight{75}, kNone, kSame, ""},
    {"drain", "drain\n", kNone, AgentAdmin::drain, kNone, kNone, kSame, ""},
    {"maint", "maint\n", kNone, AgentAdmin::maint, kNone, kNone, kSame, ""},
    {"ready_up_weight", "ready up 30%\n", kUp, AgentAdmin::ready, AgentWeight{30}, kNone, kGood,
     "via agent : up"},
    {"first_unknown_word", "hello world\n", kNone, kNone, kNone, kNone, kSame,
     "agent reports an error : hello"},
    {"unknown_word_beside_up", "up bogus\n", kUp, kNone, kNone, kNone, kGood, "via agent : up (bogus)"},
    {"description_goes_before_unknown_word", "down bogus # real\n", kDown, kNone, kNone, kNone, kBad,
     "via agent : down (real)"},
    {"description_of_up", "up # fine\n", kUp, kNone, kNone, kNone, kGood, "via agent : up (fine)"},
    {"empty_description", "down #\n", kDown, kNone, kNone, kNone, kBad, "via agent : down"},
    {"only_a_description", "#just a comment\n", kNone, kNone, kNone, kNone, kSame, ""},
    {"maxconn", "maxconn:7\n", kNone, kNone, kNone, 7, kSame, ""},
    {"maxconn_garbage", "maxconn:x\n", kNone, kNone, kNone, kNone, kSame,
     "agent warns : maxconn string empty or preceded by garbage"},
    {"maxconn_negative", "maxconn:-1\n", kNone, kNone, kNone, kNone, kSame,
     "agent warns : maxconn string empty or preceded by garbage"},
    {"maxconn_trailing_garbage", "maxconn:5x\n", kNone, kNone, kNone, kNone, kSame,
     "agent warns : Trailing garbage in maxconn string"},
    {"maxconn_too_large", "maxconn:99999999999999999999\n", kNone, kNone, kNone, UINT32_MAX, kSame, ""},
    {"cr_ends_the_line", "MAXCONN:3 UP\r\nfoo", kUp, kNone, kNone, 3, kGood, "via agent : UP"},
    {"more_than_all", "300%\n", kNone, kNone, AgentWeight{300}, kNone, kSame, ""},
    {"far_more_than_all", "99999999999%\n", kNone, kNone, AgentWeight{25'600}, kNone, kSame, ""},
    {"weight_with_garbage", "5x%\n", kNone, kNone, kNone, kNone, kSame,
     "agent warns : Trailing garbage in weight string"},
    {"weight_then_garbage", "50%foo\n", kNone, kNone, kNone, kNone, kSame,
     "agent warns : Trailing garbage in weight string"},
    {"negative_weight", "-5%\n", kNone, kNone, kNone, kNone, kSame, "agent reports an error : -5%"},
    {"percent_alone", "%\n", kNone, kNone, kNone, kNone, kSame, "agent reports an error : %"},
    {"zero_weight", "0% up\n", kUp, kNone, AgentWeight{0}, kNone, kGood, "via agent : up"},
    {"absolute_weight", "weight:20\n", kNone, kNone, AgentWeight{20, false}, kNone, kSame, ""},
    {"named_percentage", "Weight:20%\n", kNone, kNone, AgentWeight{20}, kNone, kSame, ""},
    {"absolute_weight_too_large", "weight:257\n", kNone, kNone, kNone, kNone, kSame,
     "agent warns : Absolute weight can only be between 0 and 256 inclusive"},
    {"last_word_counts", "up,down,up\n", kUp, kNone, kNone, kNone, kGood, "via agent : up"},
    {"last_admin_word_counts", "drain ready\n", kNone, AgentAdmin::ready, kNone, kNone, kSame, ""},
    {"tab_between", "up\tdown;\n", kUp, kNone, kNone, kNone, kGood, "via agent : up (down;)"},
    {"quotes", "down \"quoted\" bogus\n", kDown, kNone, kNone, kNone, kBad, "via agent : down (\"quoted\")"},
    {"empty_line", "\n", kNone, kNone, kNone, kNone, kSame, ""},
    {"separators_only", " ,\t ,\n", kNone, kNone, kNone, kNone, kSame, ""},
    {"incomplete", "up", kNone, kNone, kNone, kNone, CheckStatus::l7_timeout,
     "Ignoring incomplete line from agent"},
    {"nothing", "", kNone, kNone, kNone, kNone, CheckStatus::l7_invalid,
     "TCPCHK got an empty response at step 2"},
    {"binary_garbage", "\0\xff\xfe garbage \x01\n"s, kNone, kNone, kNone, kNone, CheckStatus::l7_timeout,
     "Ignoring incomplete line from agent"},
    {"long_description_is_cut", "down # " + std::string(200, 'z') + "\n", kDown, kNone, kNone, kNone, kBad,
     "via agent : down (" + std::string(109, 'z')},
    {"endless_line", std::string(kAgentLine, 'a'), kNone, kNone, kNone, kNone, CheckStatus::l7_timeout,
     "Ignoring incomplete line from agent"},
};

class AgentAnswerTest : public ::testing::TestWithParam<AnswerRow> {};

TEST_P(AgentAnswerTest, IsReadAsHaproxyReadsIt) {
  const AnswerRow& row = GetParam();
  const AgentAnswer answer = parse_agent_answer(row.line);
  EXPECT_EQ(answer.health, row.health);
  EXPECT_EQ(answer.admin, row.admin);
  EXPECT_EQ(answer.weight, row.weight);
  EXPECT_EQ(answer.maxconn, row.maxconn);
  EXPECT_EQ(code(answer.result.status), code(row.status));
  EXPECT_EQ(answer.result.info, row.info);
}

INSTANTIATE_TEST_SUITE_P(Rows, AgentAnswerTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace sluice::cp
