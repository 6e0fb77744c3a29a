#include <optional>
#include <string>
#include <vector>

#include "cp/check/http_answer.h"
#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using After = Behaviour::After;
using config::CheckType;
using Match = config::Expect::Match;
using config::Expect;

const std::optional<Expect> kNoBody;
const std::optional<Expect> kHello = Expect{Match::string, "hello", false};
const std::optional<Expect> kNotHere = Expect{Match::string, "nothere", false};
const std::optional<Expect> kNoHello = Expect{Match::string, "hello", true};
const std::optional<Expect> kRegex = Expect{Match::regex, "^hel+o$", false};

const std::string kHead = "HTTP/1.1 200 OK\r\n";
const std::string kGood = kHead + "Content-Length: 5\r\n\r\nhello";
const std::string kBusy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
const std::string kTruncated = kHead + "Content-Length: 50\r\n\r\nhello";
const std::string kChunked = kHead + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
const std::string kNoMatch = "HTTP content check did not match";
const std::string kMissing = "HTTP content check could not find a response body";

/// What HAProxy 2.6 said of the same answer (`option httpchk`, body by `http-check expect string`).
struct HttpRow {
  const char* name;
  Behaviour server;
  std::optional<Expect> body;
  CheckStatus status;
  int answer_code;
  std::string info;
  bool late = false;
};

constexpr auto kOk = CheckStatus::l7_ok;
constexpr auto kWrong = CheckStatus::l7_wrong_status;
constexpr auto kInvalid = CheckStatus::l7_invalid;
constexpr auto kLate = CheckStatus::l7_timeout;

const HttpRow kRows[] = {
    {"ok", {kGood}, kNoBody, kOk, 200, ""},
    {"unavailable", {kBusy}, kNoBody, kWrong, 503, "Service Unavailable"},
    {"no_content", {"HTTP/1.1 204 No Content\r\n\r\n"}, kNoBody, kOk, 204, ""},
    {"redirection", {"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n"}, kNoBody, kOk, 301, ""},
    {"no_phrase", {"HTTP/1.1 404\r\n\r\n"}, kNoBody, kWrong, 404, ""},
    {"status_of_four_digits", {"HTTP/1.1 2000 OK\r\n\r\n"}, kNoBody, kWrong, 2000, "OK"},
    {"status_of_one_digit", {"HTTP/1.1 2\r\n\r\n"}, kNoBody, kWrong, 2, ""},
    {"interim_answer", {"HTTP/1.1 100 Continue\r\n\r\n" + kGood}, kNoBody, kWrong, 100, "Continue"},
    {"line_feeds_only", {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"}, kHello, kOk, 200, ""},
    {"long_phrase",
     {"HTTP/1.1 503 " + std::string(300, 'x') + "\r\n\r\n"},
     kNoBody,
     kWrong,
     503,
     std::string(127, 'x')},
    {"head_is_enough", {kTruncated, After::hold}, kNoBody, kOk, 200, ""},
    {"garbage", {"garbage\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"garbage_that_stays_open", {"garbage", After::hold}, kNoBody, kInvalid, 0, ""},
    {"other_protocol", {"ICY 200 OK\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"lower_case", {"http/1.1 200 ok\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"no_status", {"HTTP/1.1\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"bad_field", {kHead + "Bad Field\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"bad_length", {kHead + "Content-Length: abc\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"two_lengths",
     {kHead + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
     kNoBody,
     kInvalid,
     0,
     ""},
    {"half_a_head", {kHead + "Content-Le"}, kNoBody, kInvalid, 0, ""},
    {"huge_head", {kHead + "X: " + std::string(100'000, 'a') + "\r\n\r\n"}, kNoBody, kInvalid, 0, ""},
    {"endless_head", {kHead + "X: ", After::endless}, kNoBody, kInvalid, 0, ""},
    {"closed_without_answer", {""}, kNoBody, kInvalid, 0, ""},
    {"reset_without_answer",
     {"", After::reset},
     kNoBody,
     CheckStatus::socket_error,
     0,
     "Connection reset by peer"},
    {"silence", {"", After::hold}, kNoBody, kLate, 0, "", true},
    {"half_a_head_and_open", {"HTTP/1.1 200", After::hold}, kNoBody, kLate, 0, "", true},
    {"slow", {kGood, After::close, true, 1}, kHello, kOk, 200, ""},
    {"slow_loris",
     {kHead + "X: " + std::string(10'000, 'a'), After::hold, true, 1},
     kNoBody,
     kLate,
     0,
     "",
     true},

    {"body", {kGood}, kHello, kOk, 200, ""},
    {"body_of_an_open_connection", {kGood, After::hold}, kHello, kOk, 200, ""},
    {"body_until_close", {"HTTP/1.0 200 OK\r\n\r\nhello"}, kHello, kOk, 200, ""},
    {"body_in_chunks", {kChunked, After::hold}, kHello, kOk, 200, ""},
    {"body_cut_off", {kTruncated}, kHello, kOk, 200, ""},
    {"body_not_whole_yet_right", {kTruncated, After::hold}, kHello, kOk, 200, ""},
    {"body_not_whole_and_late", {kTruncated, After::hold}, kNotHere, kLate, 0, "", true},
    {"body_by_regex", {kGood}, kRegex, kOk, 200, ""},
    {"body_differs", {kGood}, kNotHere, kInvalid, 0, kNoMatch},
    {"body_in_chunks_differs", {kChunked, After::hold}, kNotHere, kInvalid, 0, kNoMatch},
    {"body_cut_off_differs", {kTruncated}, kNotHere, kInvalid, 0, kNoMatch},
    {"endless_body", {kHead + "\r\n", After::endless}, kHello, kInvalid, 0, kNoMatch},
    {"no_body", {"HTTP/1.1 204 No Content\r\n\r\n"}, kHello, kInvalid, 0, kMissing},
    {"unwanted_body", {kGood}, kNoHello, kInvalid, 0, "HTTP check matched unwanted content"},
    {"unwanted_body_is_absent", {kChunked}, Expect{Match::string, "down", true}, kOk, 200, ""},
    {"bad_chunk", {kHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"}, kHello, kInvalid, 0, ""},
    {"status_goes_before_body", {kBusy}, kHello, kWrong, 503, "Service Unavailable"},
};

class HttpRows : public ProbeTest, public ::testing::WithParamInterface<HttpRow> {};

TEST_P(HttpRows, EndAsWithHaproxy) {
  const HttpRow& row = GetParam();
  const FakeServer server(io_, row.server);
  config::Check check = check_of(CheckType::http, row.late ? 150ms : 20s);
  check.http.body = row.body;
  const CheckResult result = run(check, server.port());
  EXPECT_EQ(code(result.status), code(row.status));
  EXPECT_EQ(result.answer_code, row.answer_code);
  EXPECT_EQ(result.info, row.info);
}

INSTANTIATE_TEST_SUITE_P(Rows, HttpRows, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

using HttpProbe = ProbeTest;

TEST_F(HttpProbe, SendsOneRequestAsConfigured) {
  const FakeServer server(io_, {kGood});
  config::Check check = check_of(CheckType::http);
  check.http.method = "HEAD";
  check.http.path = "/readyz?verbose";
  check.http.host = "kube.example:6443";
  EXPECT_TRUE(run(check, server.port()).passed());
  EXPECT_EQ(server.received(),
            "HEAD /readyz?verbose HTTP/1.1\r\nHost: kube.example:6443\r\nUser-Agent: sluice/" SLUICE_VERSION
            "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
}

TEST_F(HttpProbe, NamesTheServerWhereNoHostIsGiven) {
  const FakeServer server(io_, {kGood});
  EXPECT_TRUE(run(check_of(CheckType::http), server.port()).passed());
  EXPECT_NE(server.received().find("\r\nHost: " + server.endpoint().to_string() + "\r\n"), std::string::npos);
}

TEST_F(HttpProbe, TakesOnlyTheWantedStatuses) {
  const FakeServer server(io_, {kBusy});
  config::Check check = check_of(CheckType::http);
  check.http.status = {{200, 299}, {503, 503}};
  const CheckResult result = run(check, server.port());
  EXPECT_EQ(result.status, CheckStatus::l7_ok);
  EXPECT_EQ(result.answer_code, 503);
}

/// However an answer is cut into pieces, it is read the same.
TEST(HttpAnswer, DoesNotDependOnThePieces) {
  for (std::size_t size = 1; size <= kChunked.size(); ++size) {
    HttpAnswer answer;
    for (std::size_t at = 0; at < kChunked.size(); at += size)
      answer.feed(std::string_view(kChunked).substr(at, size));
    EXPECT_EQ(answer.state(), HttpAnswer::State::complete) << size;
    EXPECT_EQ(answer.status(), 200) << size;
    EXPECT_EQ(answer.body(), "hello") << size;
  }
}

TEST(HttpAnswer, HoldsNoMoreOfABodyThanItLooksAt) {
  HttpAnswer answer;
  answer.feed(kHead + "\r\n");
  const std::string piece(10'000, 'x');
  while (answer.state() == HttpAnswer::State::body) answer.feed(piece);
  EXPECT_EQ(answer.state(), HttpAnswer::State::complete);
  EXPECT_EQ(answer.body().size(), HttpAnswer::kBodyLimit);
}

}  // namespace
}  // namespace sluice::cp
