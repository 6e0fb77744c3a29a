// SYN cookies where frames come in other ways than the plain one: tagged, with extension headers, in several
// segments, to a host that is not known yet, on a pair of ports that the server has seen before.
#include <vector>

#include <gtest/gtest.h>

#include "test/packet/cookie_halves.h"

namespace sluice::test {
namespace {

template <typename T>
class CookieWays : public testing::Test {};
TYPED_TEST_SUITE(CookieWays, Families);

TYPED_TEST(CookieWays, TagsOfBothSides) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  b.set_tags(Balancer::kGateway, {10});
  b.set_tags(Balancer::kFirstServer, {200, 20});
  const auto tagged = [](const Bytes& frame, bool outer) {
    Bytes bytes(frame.begin(), frame.begin() + 12);
    const auto put = [&bytes](unsigned word) {
      bytes.push_back(std::byte(word >> 8));
      bytes.push_back(std::byte(word & 0xff));
    };
    if (outer) {
      put(0x88a8);
      put(200);
    }
    put(0x8100);
    put(outer ? 20 : 10);
    bytes.insert(bytes.end(), frame.begin() + 12, frame.end());
    return bytes;
  };
  Halves<F> h(b);
  const Outcome answer = b.send(tagged(h.syn().bytes(), false), {});
  ASSERT_TRUE(answer.reflected()) << answer;
  EXPECT_EQ(answer.seen().tags, (std::vector<std::uint16_t>{10}));
  h.cookie = answer.seen().seq;
  ++h.next;
  const Outcome syn = h.reach(b.send(tagged(h.from_the_client(ACK).bytes(), false), {}));
  ASSERT_TRUE(syn.forwarded()) << syn;
  EXPECT_EQ(syn.seen().tags, (std::vector<std::uint16_t>{200, 20}));
  EXPECT_EQ(syn.seen().flags, SYN);
  const Outcome news = b.send(tagged(h.syn_ack().bytes(), true), {.worker = 0, .port = 1, .segment = 0});
  ASSERT_TRUE(news.forwarded()) << news;
  EXPECT_EQ(news.seen().tags, (std::vector<std::uint16_t>{10}));
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own[0].seen().tags, (std::vector<std::uint16_t>{200, 20}));
  EXPECT_EQ(own[0].seen().flags, ACK);
}

TYPED_TEST(CookieWays, HeadersBetweenAreNotTheServersBusiness) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.knock(h.syn());
  // IPv4: options that ask for nothing; IPv6: a header of options for the destination.
  PacketBuilder ack = eth(Balancer::kGatewayMac, Balancer::port_mac(0));
  if constexpr (F == Family::v4) {
    ack.ip4(h.address, Net<F>::vip()).options(std::vector<std::byte>(8, std::byte{1}));
  } else {
    ack.ip6(h.address, Net<F>::vip()).dest_opts(16);
  }
  ack.tcp(kClientPort, kPort, ACK).seq(h.next).ack(h.cookie + 1).window(1'000);
  const Outcome syn = h.reach(b.send(ack));
  ASSERT_TRUE(syn.forwarded()) << syn;
  EXPECT_EQ(syn.seen().flags, SYN);
  EXPECT_EQ(syn.seen().seq, kIsn);
  EXPECT_TRUE(syn.seen().payload.empty());
  EXPECT_TRUE(h.server_sends(h.syn_ack()).forwarded());
  EXPECT_EQ(h.state(), FlowState::established);
}

TYPED_TEST(CookieWays, AckWithDataThatIsSpreadOverSegments) {
  constexpr Family F = TypeParam::kFamily;
  constexpr std::size_t kHeaders = F == Family::v4 ? 54 : 74;
  for (const std::size_t first : {kHeaders, kHeaders + 1}) {
    Balancer b;
    b.configure({cookied<F>()});
    Halves<F> h(b);
    (void)h.knock(h.syn());
    // The client has been told a window of 0 and tries all the same: the server never sees the data.
    const Bytes ack = h.from_the_client(PSH | ACK).payload(700).bytes();
    const Outcome syn = h.reach(b.send(ack, {.worker = 0, .port = 0, .segment = first}));
    ASSERT_TRUE(syn.forwarded()) << syn;
    EXPECT_EQ(syn.seen().flags, SYN);
    EXPECT_TRUE(syn.seen().payload.empty());
    EXPECT_EQ(syn.seen().trailer, 0U);
  }
}

TYPED_TEST(CookieWays, SynThatIsParkedGoesOnWhereItWas) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  Halves<F> h(b);
  (void)h.knock(h.syn());
  EXPECT_EQ(h.come_back().verdict, Verdict::park);
  EXPECT_EQ(h.state(), FlowState::syn_sent);
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::reachable);
  // What was parked is the SYN, which still tells of the cookie where a SYN has no acknowledgement.
  const PacketBuilder parked = h.from_the_client(SYN).seq(kIsn).ack(h.cookie + 1).mss(1'400);
  const Outcome syn = h.reach(b.send(parked));
  ASSERT_TRUE(syn.forwarded()) << syn;
  EXPECT_EQ(b.flows(), 1U);
  EXPECT_TRUE(h.server_sends(h.syn_ack()).forwarded());
  EXPECT_EQ(h.state(), FlowState::established);
}

TYPED_TEST(CookieWays, AnswerThatIsParkedJoinsOnce) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  (void)h.begin();
  b.set_state(Balancer::kGateway, dp::AdjacencyState::incomplete);
  EXPECT_EQ(h.server_sends(h.syn_ack()).verdict, Verdict::park);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 1U) << "the server is told at once";
  EXPECT_EQ(own[0].seen().ack, kServerIsn + 1);
  b.set_state(Balancer::kGateway, dp::AdjacencyState::reachable);
  // The ACK that was made of it, in the server's numbers still.
  const Outcome news = h.server_sends(h.from_the_server(ACK).seq(kServerIsn + 1).window(1'000));
  ASSERT_TRUE(news.forwarded()) << news;
  EXPECT_EQ(news.seen().seq, h.cookie + 1);
  EXPECT_EQ(news.seen().flags, ACK);
  EXPECT_TRUE(b.take_own().empty());
  EXPECT_EQ(h.state(), FlowState::established);
}

TYPED_TEST(CookieWays, PairThatTheServerHasSeenIsNumberedAnewAndJoined) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  // Its numbers end above those of the next.
  auto plain = service;
  plain.syn_cookies = config::SynCookies::off;
  b.configure({plain});
  Connection<F> old(b, 5, 41'000, 5'000);
  old.open();
  EXPECT_TRUE(old.client(ACK, 1'000).forwarded());
  old.close_by_server();
  b.advance(11'000);
  ASSERT_EQ(b.flows(), 0U);
  b.configure({service});

  Halves<F> h(b);
  (void)h.begin();
  ASSERT_NE(h.shift, 0U);
  EXPECT_TRUE(h.server_sends(h.syn_ack()).forwarded());
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own[0].seen().seq, kIsn + 1 + h.shift);
  EXPECT_EQ(own[0].seen().ack, kServerIsn + 1);
  const Outcome request = b.send(h.from_the_client(PSH | ACK).payload(100));
  ASSERT_TRUE(request.forwarded());
  EXPECT_EQ(request.seen().seq, kIsn + 1 + h.shift);
  EXPECT_EQ(request.seen().ack, kServerIsn + 1);
  const Outcome answer = h.server_sends(
      h.from_the_server(PSH | ACK).seq(kServerIsn + 1).ack(kIsn + 101 + h.shift).payload(1'000));
  ASSERT_TRUE(answer.forwarded());
  EXPECT_EQ(answer.seen().seq, h.cookie + 1);
  EXPECT_EQ(answer.seen().ack, kIsn + 101);
  // Each end acknowledges in blocks what it has of the other.
  const Outcome gap =
      b.send(h.from_the_client(ACK).seq(kIsn + 101).sack_blocks({{h.cookie + 501, h.cookie + 1'001}}));
  ASSERT_TRUE(gap.forwarded());
  EXPECT_EQ(gap.seen().sack_edges(), (std::vector<std::uint32_t>{kServerIsn + 501, kServerIsn + 1'001}));
  const Outcome theirs = h.server_sends(h.from_the_server(ACK)
                                            .seq(kServerIsn + 1'001)
                                            .ack(kIsn + 101 + h.shift)
                                            .sack_blocks({{kIsn + 201 + h.shift, kIsn + 301 + h.shift}}));
  ASSERT_TRUE(theirs.forwarded());
  EXPECT_EQ(theirs.seen().sack_edges(), (std::vector<std::uint32_t>{kIsn + 201, kIsn + 301}));
  // A reset of the server's ends it in words that the client believes.
  const Outcome reset =
      h.server_sends(h.from_the_server(RST | ACK).seq(kServerIsn + 1'001).ack(kIsn + 101 + h.shift));
  ASSERT_TRUE(reset.forwarded());
  EXPECT_EQ(reset.seen().seq, h.cookie + 1'001);
  EXPECT_EQ(h.state(), FlowState::reset);
}

TYPED_TEST(CookieWays, RefusalOnAPairThatTheServerHasSeen) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  Halves<F> first(b);
  first.open();
  EXPECT_TRUE(first.server_sends(first.from_the_server(FIN | ACK).seq(kServerIsn + 1)).forwarded());
  EXPECT_TRUE(b.send(first.from_the_client(FIN | ACK).ack(first.cookie + 2)).forwarded());
  EXPECT_TRUE(first.server_sends(first.from_the_server(ACK).seq(kServerIsn + 2).ack(kIsn + 2)).forwarded());
  b.advance(11'000);
  ASSERT_EQ(b.flows(), 0U);

  Halves<F> h(b, 7);
  (void)h.begin();
  ASSERT_NE(h.shift, 0U);
  const Outcome refusal = h.server_sends(h.from_the_server(RST | ACK).seq(0));
  ASSERT_TRUE(refusal.forwarded()) << refusal;
  EXPECT_EQ(refusal.seen().flags, RST | ACK);
  EXPECT_EQ(refusal.seen().seq, h.cookie + 1) << "RFC 5961 §3.2: at the very number";
  EXPECT_EQ(refusal.seen().ack, kIsn + 1);
}

}  // namespace
}  // namespace sluice::test
