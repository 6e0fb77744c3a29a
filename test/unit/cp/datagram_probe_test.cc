#include <functional>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "cp/check/dns_message.h"
#include "probe_fixture.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace std::string_literals;
using asio::ip::udp;
using config::CheckType;
using Replies = std::vector<std::string>;

class DatagramProbe : public ProbeTest {
 protected:
  /// Answers one datagram with what `answer` makes of it; returns the port.
  std::uint16_t serve(std::function<Replies(std::string)> answer) {
    socket_ = udp::socket(io_, udp::endpoint(asio::ip::address_v4::loopback(), 0));
    asio::co_spawn(io_, reply(std::move(answer)), asio::detached);
    return socket_.local_endpoint().port();
  }

 private:
  asio::awaitable<void> reply(std::function<Replies(std::string)> answer) {
    constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);
    std::string request(1500, '\0');
    udp::endpoint client;
    const auto [error, length] = co_await socket_.async_receive_from(asio::buffer(request), client, as_tuple);
    if (error) co_return;
    request.resize(length);
    const Replies replies = answer(request);
    for (const std::string& datagram : replies)
      co_await socket_.async_send_to(asio::buffer(datagram), client, as_tuple);
  }

  udp::socket socket_{io_};
};

TEST_F(DatagramProbe, AnyAnswerIsRightWhereNothingIsExpected) {
  config::Check check = check_of(CheckType::udp);
  check.send = "ping";
  std::string got;
  const CheckResult result = run(check, serve([&got](std::string request) {
                                   got = std::move(request);
                                   return Replies{"whatever"};
                                 }));
  EXPECT_EQ(code(result.status), "L7OK");
  EXPECT_EQ(got, "ping");
}

TEST_F(DatagramProbe, AnswerIsComparedWithWhatIsExpected) {
  config::Check check = check_of(CheckType::udp);
  check.send = "ping";
  check.expect = config::Expect{config::Expect::Match::string, "pong", false};
  EXPECT_EQ(code(run(check, serve([](std::string) { return Replies{"a pong"}; })).status), "L7OK");
  EXPECT_EQ(code(run(check, serve([](std::string) { return Replies{"error"}; })).status), "L7RSP");
  check.expect->negate = true;
  EXPECT_EQ(code(run(check, serve([](std::string) { return Replies{"a pong"}; })).status), "L7RSP");
}

TEST_F(DatagramProbe, TellsSilenceAndRefusal) {
  config::Check check = check_of(CheckType::udp, 100ms);
  check.send = "ping";
  EXPECT_EQ(code(run(check, serve([](std::string) { return Replies{}; })).status), "L7TOUT");
  std::uint16_t closed = 0;
  {
    udp::socket once(io_, udp::endpoint(asio::ip::address_v4::loopback(), 0));
    closed = once.local_endpoint().port();
  }
  const CheckResult refused = run(check, closed);
  EXPECT_EQ(code(refused.status), "L4CON");
  EXPECT_EQ(refused.info, "Connection refused");
}

/// The query with its response bit set and the given response code.
std::string response(std::string query, int rcode) {
  query[2] = static_cast<char>(query[2] | 0x80);
  query[3] = static_cast<char>(rcode);
  return query;
}

TEST_F(DatagramProbe, DnsTakesNoerror) {
  config::Check check = check_of(CheckType::dns);
  check.query = "example.org";
  const CheckResult result = run(check, serve([](std::string query) { return Replies{response(query, 0)}; }));
  EXPECT_EQ(code(result.status), "L7OK");
  EXPECT_EQ(result.info, "NOERROR");
}

TEST_F(DatagramProbe, DnsTellsTheResponseCode) {
  config::Check check = check_of(CheckType::dns);
  check.query = "example.org";
  const CheckResult result = run(check, serve([](std::string query) { return Replies{response(query, 2)}; }));
  EXPECT_EQ(code(result.status), "L7STS");
  EXPECT_EQ(result.info, "SERVFAIL");
  EXPECT_EQ(result.answer_code, 2);
}

TEST_F(DatagramProbe, DnsPassesOverWhatIsNoAnswerToItsQuestion) {
  config::Check check = check_of(CheckType::dns, 20s);
  check.query = "example.org";
  const auto confused = [](std::string query) {
    std::string other = response(query, 0);
    other[0] = static_cast<char>(other[0] ^ 1);  // another id
    return Replies{"", "x", std::string(60'000, 'y'), query, other, response(query, 0)};
  };
  EXPECT_EQ(code(run(check, serve(confused)).status), "L7OK");
  check.timeout = 100ms;
  EXPECT_EQ(code(run(check, serve([](std::string) { return Replies{"garbage garbage"}; })).status), "L7RSP");
}

TEST(DnsMessage, QueryIsAsRfc1035HasIt) {
  const auto query = dns_query(0x1234, "www.example.org", "AAAA");
  ASSERT_TRUE(query);
  EXPECT_EQ(*query,
            "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
            "\3www\7example\3org\0\x00\x1c\x00\x01"s);
  EXPECT_EQ(*dns_query(1, "a.", "A"), *dns_query(1, "a", "A"));
  const auto root = dns_query(1, ".", "NS");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->substr(12), "\0\0\2\0\1"s);
}

TEST(DnsMessage, RefusesWhatIsNoName) {
  for (const std::string& name : {""s, "a..b"s, ".a"s, "a.."s, std::string(64, 'a')})
    EXPECT_FALSE(dns_query(1, name, "A")) << name;
  std::string longest;
  for (int i = 0; i < 127; ++i) longest += "a.";
  EXPECT_TRUE(dns_query(1, longest, "A"));
  EXPECT_FALSE(dns_query(1, longest + "a", "A"));
  EXPECT_FALSE(dns_query(1, "a", "ANY"));
}

TEST(DnsMessage, OnlyAnswersToTheQueryHaveACode) {
  const std::string answer = "\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00"s;
  EXPECT_EQ(dns_rcode(answer, 0x1234), 3);
  EXPECT_EQ(dns_rcode(answer, 0x1235), std::nullopt);
  EXPECT_EQ(dns_rcode(answer.substr(0, 11), 0x1234), std::nullopt);
  EXPECT_EQ(dns_rcode("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s, 0x1234), std::nullopt)
      << "a query";
  EXPECT_EQ(dns_rcode("\x12\x34\xa8\x00\x00\x01\x00\x00\x00\x00\x00\x00"s, 0x1234), std::nullopt)
      << "an update";
  EXPECT_EQ(dns_rcode_name(3), "NXDOMAIN");
  EXPECT_EQ(dns_rcode_name(15), "RCODE15");
}

}  // namespace
}  // namespace sluice::cp
