#include <string>
#include <vector>

#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using After = Behaviour::After;
using config::CheckStep;
using config::CheckType;
using Match = config::Expect::Match;

CheckStep connect(std::uint16_t port = 0, const char* comment = "") {
  CheckStep step;
  step.port = port;
  step.comment = comment;
  return step;
}
CheckStep send(std::string data) {
  CheckStep step;
  step.kind = CheckStep::Kind::send;
  step.data = std::move(data);
  return step;
}
CheckStep expect(std::string pattern, Match match = Match::string, bool negate = false) {
  CheckStep step;
  step.kind = CheckStep::Kind::expect;
  step.expect = {match, std::move(pattern), negate};
  return step;
}
CheckStep with_comment(CheckStep step, const char* comment) {
  step.comment = comment;
  return step;
}
CheckStep at_least(CheckStep step, std::uint32_t bytes) {
  step.min_recv = bytes;
  return step;
}

const Behaviour kPong{"+PONG\r\n", After::hold};
const Behaviour kPongOnce{"+PONG\r\n", After::close};
const Behaviour kError{"-ERR\r\n", After::close};
const Behaviour kErrorOpen{"-ERR\r\n", After::hold};
const Behaviour kSilent{"", After::hold};
const Behaviour kReadsAndCloses{"", After::close};
const Behaviour kReadsAndResets{"", After::reset};
const Behaviour kEndless{"x", After::endless};

/// What HAProxy 2.6 said of the same script and the same server.
struct ScriptRow {
  const char* name;
  Behaviour server;
  std::vector<CheckStep> steps;
  CheckStatus status;
  std::string info;
  bool late = false;  ///< ends at the timeout
};

const std::string kExpectPong = " at step 2 of tcp-check (expect string 'PONG')";

const ScriptRow kRows[] = {
    {"no_steps", kPong, {}, CheckStatus::l4_ok, ""},
    {"connect_only", kPong, {connect()}, CheckStatus::l4_ok, "(tcp-check)"},
    {"answer_matches", kPong, {send("PING"), expect("PONG")}, CheckStatus::l7_ok, "(tcp-check)"},
    {"answer_differs_and_stays_open",
     kErrorOpen,
     {send("PING"), expect("PONG")},
     CheckStatus::l7_timeout,
     kExpectPong,
     true},
    {"answer_differs",
     kError,
     {send("PING"), expect("PONG")},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content 'PONG' at step 2"},
    {"silence", kSilent, {send("PING"), expect("PONG")}, CheckStatus::l7_timeout, kExpectPong, true},
    {"closed_without_answer",
     kReadsAndCloses,
     {send("PING"), expect("PONG")},
     CheckStatus::l7_invalid,
     "TCPCHK got an empty response at step 2"},
    {"reset_without_answer",
     kReadsAndResets,
     {send("PING"), expect("PONG")},
     CheckStatus::socket_error,
     "Connection reset by peer" + kExpectPong},
    {"endless_answer",
     kEndless,
     {send("PING"), expect("PONG")},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content 'PONG' at step 2"},
    {"explicit_connect_counts",
     kError,
     {connect(), send("PING"), expect("PONG")},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content 'PONG' at step 3"},
    {"regex_differs",
     kError,
     {send("x"), expect("^PO", Match::regex)},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content (regex) at step 2"},
    {"regex_matches", kPong, {send("x"), expect("^[+]PO", Match::regex)}, CheckStatus::l7_ok, "(tcp-check)"},
    {"unwanted_regex",
     kPong,
     {send("x"), expect("PO", Match::regex, true)},
     CheckStatus::l7_invalid,
     "TCPCHK matched unwanted content (regex) at step 2"},
    {"unwanted_string",
     kPong,
     {send("x"), expect("PONG", Match::string, true)},
     CheckStatus::l7_invalid,
     "TCPCHK matched unwanted content 'PONG' at step 2"},
    {"unwanted_string_is_absent",
     kError,
     {send("x"), expect("PONG", Match::string, true)},
     CheckStatus::l7_ok,
     "(tcp-check)"},
    {"unwanted_string_may_still_come",
     kErrorOpen,
     {send("x"), expect("PONG", Match::string, true)},
     CheckStatus::l7_timeout,
     kExpectPong,
     true},
    {"binary_differs",
     kError,
     {send("PING"), expect("PONG", Match::binary)},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content (binary) at step 2"},
    {"unwanted_binary",
     kPong,
     {send("PING"), expect("PONG", Match::binary, true)},
     CheckStatus::l7_invalid,
     "TCPCHK matched unwanted content (binary) at step 2"},
    {"binary_with_zero_bytes",
     {std::string("a\0b", 3), After::hold},
     {send("x"), expect(std::string("\0b", 2), Match::binary)},
     CheckStatus::l7_ok,
     "(tcp-check)"},
    {"comment",
     kError,
     {connect(), send("x"), with_comment(expect("PONG"), "my-expect")},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content 'PONG' at step 3 comment: my-expect"},
    {"late_regex_with_comment",
     kSilent,
     {send("x"), with_comment(expect("^PO", Match::regex), "c1")},
     CheckStatus::l7_timeout,
     " at step 2 of tcp-check (expect regex) comment: 'c1'",
     true},
    {"late_binary",
     kSilent,
     {send("x"), expect("PONG", Match::binary)},
     CheckStatus::l7_timeout,
     " at step 2 of tcp-check (expect binary 'PONG')",
     true},
    {"late_binary_with_zero_bytes",
     kSilent,
     {send("x"), expect(std::string("\r\n\0\xff", 4), Match::binary)},
     CheckStatus::l7_timeout,
     " at step 2 of tcp-check (expect binary '\r\n')",
     true},
    {"too_little_then_closed",
     kError,
     {send("x"), at_least(expect("PONG"), 100)},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content 'PONG' at step 2"},
    {"too_little_and_open",
     kErrorOpen,
     {send("x"), at_least(expect("PONG"), 100)},
     CheckStatus::l7_timeout,
     kExpectPong,
     true},
    {"enough_without_match",
     kErrorOpen,
     {send("x"), at_least(expect("PONG"), 2)},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content 'PONG' at step 2"},
    {"same_answer_serves_two_steps",
     kPong,
     {send("x"), expect("PO"), expect("NG")},
     CheckStatus::l7_ok,
     "(tcp-check)"},
    {"sending_forgets_the_answer",
     kPong,
     {send("x"), expect("PONG"), send("y"), expect("PONG")},
     CheckStatus::l7_timeout,
     " at step 4 of tcp-check (expect string 'PONG')",
     true},
    {"sent_only", kSilent, {send("x")}, CheckStatus::l7_ok, "(tcp-check)"},
    {"long_texts_are_cut",
     kError,
     {send("x"), expect(std::string(90, 'a'))},
     CheckStatus::l7_invalid,
     "TCPCHK did not match content '" + std::string(90, 'a') + "' at st"},
    {"tls_with_a_server_that_has_none",
     kErrorOpen,
     {[] {
       CheckStep step;
       step.tls = true;
       return step;
     }()},
     CheckStatus::l6_invalid,
     "SSL handshake failure at step 1 of tcp-check (connect)"},
    {"byte_by_byte",
     {"+" + std::string(300, 'x') + "PONG", After::hold, true, 1},
     {send("x"), expect("PONG")},
     CheckStatus::l7_ok,
     "(tcp-check)"},
};

class ScriptRows : public ProbeTest, public ::testing::WithParamInterface<ScriptRow> {};

TEST_P(ScriptRows, EndAsWithHaproxy) {
  const ScriptRow& row = GetParam();
  const FakeServer server(io_, row.server);
  config::Check check = check_of(CheckType::tcp_check, row.late ? 150ms : 20s);
  check.tls.verify = false;
  check.steps = row.steps;
  const CheckResult result = run(check, server.port());
  EXPECT_EQ(code(result.status), code(row.status));
  EXPECT_EQ(result.info, row.info);
  if (row.late) {
    EXPECT_GE(result.duration, 150ms);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, ScriptRows, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

using ScriptProbe = ProbeTest;

TEST_F(ScriptProbe, NamesTheStepWhoseConnectionWasRefused) {
  const FakeServer server(io_, kPong);
  const ClosedPort closed(io_);
  config::Check check = check_of(CheckType::tcp_check);
  CheckResult result = run(check, closed.port());
  EXPECT_EQ(result.status, CheckStatus::l4_refused);
  EXPECT_EQ(result.info, "Connection refused at initial connection step of tcp-check");

  check.steps = {connect()};
  EXPECT_EQ(run(check, closed.port()).info, "Connection refused at step 1 of tcp-check (connect)");

  const std::string port = std::to_string(closed.port());
  check.steps = {connect(), connect(closed.port(), "second-port")};
  EXPECT_EQ(run(check, server.port()).info,
            "Connection refused at step 2 of tcp-check (connect port " + port + ") comment: 'second-port'");
}

TEST_F(ScriptProbe, ChecksSeveralPortsAndEndsWithTheLastStepsLayer) {
  const FakeServer first(io_, kPongOnce);
  const FakeServer second(io_, kSilent);
  config::Check check = check_of(CheckType::tcp_check);
  check.steps = {connect(), send("x"), expect("PONG"), connect(second.port())};
  const CheckResult result = run(check, first.port());
  EXPECT_EQ(result.status, CheckStatus::l4_ok);
  EXPECT_EQ(result.info, "(tcp-check)");
  EXPECT_EQ(first.received(), "x");
}

}  // namespace
}  // namespace sluice::cp
