// SYN cookies: clients answered before a server is asked, and the connection joined of two halves
// (RFC 4987 §3.6).
#include <vector>

#include <gtest/gtest.h>

#include "dp/outbox.h"
#include "dp/splice.h"
#include "test/packet/cookie_halves.h"

namespace sluice::test {
namespace {

template <typename T>
class Cookies : public testing::Test {};
TYPED_TEST_SUITE(Cookies, Families);

Bytes options_of(const PacketBuilder& packet) {
  return see(packet.bytes()).options;
}

TYPED_TEST(Cookies, SynIsAnsweredAndNothingIsKept) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  const Seen answer = h.knock(h.syn());
  EXPECT_EQ(answer.flags, SYN | ACK);
  EXPECT_EQ(answer.ack, kIsn + 1);
  EXPECT_EQ(answer.window, 0) << "nobody could take data yet";
  EXPECT_EQ(answer.from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(answer.to(), (base::Endpoint{h.address, kClientPort}));
  EXPECT_EQ(answer.dst_mac, Balancer::kGatewayMac);
  // In the order: MSS; NOP, window scale; NOP, NOP, SACK permitted. No timestamps.
  const Bytes want = {std::byte{2}, std::byte{4}, std::byte{0x05}, std::byte{F == Family::v4 ? 0xb4 : 0xa0},
                      std::byte{1}, std::byte{3}, std::byte{3},    std::byte{7},
                      std::byte{1}, std::byte{1}, std::byte{4},    std::byte{2}};
  EXPECT_EQ(answer.options, want);
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_EQ(b.leased_ports(), 0U);

  // Without options in the SYN there are none that depend on it; the answer is longer than the SYN.
  const Seen plain = h.knock(h.from_the_client(SYN).seq(kIsn));
  EXPECT_EQ(plain.options.size(), 4U) << "MSS";
}

TYPED_TEST(Cookies, MssIsWhatEveryServerCanTakeIn) {
  constexpr Family F = TypeParam::kFamily;
  constexpr std::uint16_t kHeaders = F == Family::v4 ? 40 : 60;
  Balancer b;
  auto service = cookied<F>();
  b.configure({service});
  b.set_mtu(Balancer::kFirstServer + 1, 1'400);
  const auto told = [&] {
    Halves<F> h(b);
    const Seen answer = h.knock(h.syn());
    return static_cast<unsigned>(answer.options.at(2)) << 8U | static_cast<unsigned>(answer.options.at(3));
  };
  EXPECT_EQ(told(), 1'400U - kHeaders);
  service.mss = config::Mss{1'234};
  b.configure({service});
  EXPECT_EQ(told(), 1'234U);
}

TYPED_TEST(Cookies, AckThatBringsOneBackBeginsTheConnection) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  const Seen syn = h.begin().seen();
  EXPECT_EQ(syn.flags, SYN);
  EXPECT_EQ(syn.seq, kIsn);
  EXPECT_EQ(syn.ack, 0U) << "the cookie is no server's business";
  EXPECT_EQ(syn.window, 1'000 << 5) << "that of a SYN is not scaled";
  EXPECT_TRUE(syn.payload.empty());
  // What the client asked for, its MSS rounded down.
  EXPECT_EQ(syn.options, options_of(h.from_the_client(SYN)
                                        .mss(1'360)
                                        .tcp_options(Bytes{std::byte{1}})
                                        .window_scale(5)
                                        .tcp_options(Bytes(2, std::byte{1}))
                                        .sack_permitted()));
  EXPECT_EQ(h.state(), FlowState::syn_sent);
  EXPECT_EQ(b.worker().counters.cookies_returned.get(), 1U);
  EXPECT_EQ(b.counts("web", "s" + std::to_string(number_of_server<F>(h.server.address))).fresh, 1U);
}

TYPED_TEST(Cookies, ServersSynAckJoinsTheHalves) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.begin();
  const auto syn_ack = h.syn_ack().window(4'000);
  for (const bool copy : {false, true}) {
    const Outcome o = h.server_sends(syn_ack);
    ASSERT_TRUE(o.forwarded()) << o;
    const Seen news = o.seen();
    EXPECT_EQ(news.flags, ACK) << "the client has had its SYN-ACK";
    EXPECT_EQ(news.seq, h.cookie + 1);
    EXPECT_EQ(news.ack, kIsn + 1);
    EXPECT_EQ(news.window, 4'000 >> 7) << "in the scale that the client was told";
    for (const std::byte option : news.options) EXPECT_EQ(option, std::byte{1});
    const auto own = b.take_own();
    ASSERT_EQ(own.size(), 1U) << copy;
    EXPECT_EQ(own[0].port, 1);
    const Seen ack = own[0].seen();
    EXPECT_EQ(ack.flags, ACK);
    EXPECT_EQ(ack.from(), h.local);
    EXPECT_EQ(ack.to(), h.server);
    EXPECT_EQ(ack.seq, kIsn + 1);
    EXPECT_EQ(ack.ack, kServerIsn + 1);
    EXPECT_EQ(ack.window, 1'000);
    EXPECT_EQ(h.state(), FlowState::established);
  }
}

TYPED_TEST(Cookies, NumbersAndWindowsAreTranslatedBothWays) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  h.open();
  const Outcome request = b.send(h.from_the_client(PSH | ACK).window(600).payload(100));
  ASSERT_TRUE(request.forwarded());
  EXPECT_EQ(request.seen().seq, kIsn + 1);
  EXPECT_EQ(request.seen().ack, kServerIsn + 1);
  EXPECT_EQ(request.seen().window, 600) << "the server scales by what the client has told it";
  const Outcome answer = h.server_sends(
      h.from_the_server(PSH | ACK).seq(kServerIsn + 1).ack(kIsn + 101).window(16'000).payload(1'000));
  ASSERT_TRUE(answer.forwarded());
  EXPECT_EQ(answer.seen().seq, h.cookie + 1);
  EXPECT_EQ(answer.seen().ack, kIsn + 101);
  EXPECT_EQ(answer.seen().window, (16'000 << 3) >> 7);
  // The client has lost a segment of the server; then the server one of the client.
  const Outcome gap =
      b.send(h.from_the_client(ACK).seq(kIsn + 101).sack_blocks({{h.cookie + 501, h.cookie + 1'001}}));
  ASSERT_TRUE(gap.forwarded());
  EXPECT_EQ(gap.seen().sack_edges(), (std::vector<std::uint32_t>{kServerIsn + 501, kServerIsn + 1'001}));
  const Outcome theirs = h.server_sends(
      h.from_the_server(ACK).seq(kServerIsn + 1'001).ack(kIsn + 101).sack_blocks({{kIsn + 201, kIsn + 301}}));
  ASSERT_TRUE(theirs.forwarded());
  EXPECT_EQ(theirs.seen().sack_edges(), (std::vector<std::uint32_t>{kIsn + 201, kIsn + 301}));
  // And the end.
  EXPECT_TRUE(
      h.server_sends(h.from_the_server(FIN | ACK).seq(kServerIsn + 1'001).ack(kIsn + 101)).forwarded());
  EXPECT_EQ(h.state(), FlowState::fin_server);
  EXPECT_TRUE(b.send(h.from_the_client(FIN | ACK).seq(kIsn + 101).ack(h.cookie + 1'002)).forwarded());
  EXPECT_TRUE(h.server_sends(h.from_the_server(ACK).seq(kServerIsn + 1'002).ack(kIsn + 102)).forwarded());
  EXPECT_EQ(h.state(), FlowState::time_wait);
}

TYPED_TEST(Cookies, ServerThatDoesNotScaleWindows) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.begin();
  ASSERT_TRUE(h.server_sends(h.from_the_server(SYN | ACK).seq(kServerIsn).window(8'000)).forwarded());
  EXPECT_EQ(b.take_own().at(0).seen().window, 1'000 << 5);
  EXPECT_EQ(b.send(h.from_the_client(ACK).window(100)).seen().window, 100 << 5);
  EXPECT_EQ(b.send(h.from_the_client(ACK).window(10'000)).seen().window, 0xffff) << "as much as can be said";
  EXPECT_EQ(h.server_sends(h.from_the_server(ACK).seq(kServerIsn + 1).window(8'000)).seen().window,
            8'000 >> 7);
}

TYPED_TEST(Cookies, ClientThatDoesNotScaleWindows) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.knock(h.from_the_client(SYN).seq(kIsn).mss(1'460));
  EXPECT_EQ(h.reach(h.come_back(9'000)).seen().window, 9'000);
  ASSERT_TRUE(h.server_sends(h.from_the_server(SYN | ACK).seq(kServerIsn).window(8'000)).forwarded());
  EXPECT_EQ(b.take_own().at(0).seen().window, 9'000);
  EXPECT_EQ(b.send(h.from_the_client(ACK).window(10'000)).seen().window, 10'000);
  EXPECT_EQ(h.server_sends(h.from_the_server(ACK).seq(kServerIsn + 1).window(8'000)).seen().window, 8'000);
}

TYPED_TEST(Cookies, OnlyOnesOwnAndFreshOnesCount) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.knock(h.syn());
  struct Row {
    const char* name;
    PacketBuilder packet;
  };
  const Row rows[] = {
      {"guessed", h.from_the_client(ACK).ack(h.cookie + 2)},
      {"other sequence number", h.from_the_client(ACK).seq(kIsn + 2)},
      {"other port", from_client<F>(h.address, Net<F>::vip())
                         .tcp(kClientPort + 1, kPort, ACK)
                         .seq(kIsn + 1)
                         .ack(h.cookie + 1)},
      {"other client", from_client<F>(Net<F>::client(1), Net<F>::vip())
                           .tcp(kClientPort, kPort, ACK)
                           .seq(kIsn + 1)
                           .ack(h.cookie + 1)},
      {"wrong checksum", h.from_the_client(ACK).bad_checksum()},
      {"no hop left", h.from_the_client(ACK).ttl(1)},
  };
  for (const Row& row : rows) {
    const Outcome o = b.send(row.packet);
    EXPECT_TRUE(o.reflected() && o.seen().flags == RST) << row.name << ": " << o;
    EXPECT_EQ(b.flows(), 0U) << row.name;
  }
  EXPECT_TRUE(b.send(h.from_the_client(RST | ACK)).dropped(DropReason::stray_reset));
  b.advance(16'000);
  EXPECT_TRUE(h.come_back().forwarded()) << "at least 16 s";
  b.advance(60'000);
  (void)h.knock(h.syn().seq(kIsn));
  b.advance(33'000);
  EXPECT_TRUE(h.come_back().reflected()) << "at most 33 s";
}

TYPED_TEST(Cookies, NothingReachesTheServerBeforeItHasAnswered) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.begin();
  EXPECT_TRUE(h.come_back().dropped(DropReason::before_server)) << "a copy";
  EXPECT_TRUE(b.send(h.from_the_client(ACK).seq(kIsn)).dropped(DropReason::before_server))
      << "a window probe";
  EXPECT_TRUE(b.send(h.syn().seq(kIsn)).dropped(DropReason::before_server)) << "a late copy of the first SYN";
  EXPECT_EQ(b.worker().handshakes_open, 0U);
  // It gives up: the server hears of that.
  const Outcome o = b.send(h.from_the_client(RST | ACK));
  EXPECT_TRUE(o.forwarded());
  EXPECT_EQ(h.state(), FlowState::reset);
  EXPECT_EQ(b.worker().handshakes_open, 0U);
}

TYPED_TEST(Cookies, SynThatGetsLostIsRepeated) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  const Outcome first = h.begin();
  b.advance(1'100, 100);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 1U);
  // Only the identification of an IPv4 datagram differs (RFC 6864 §4.1).
  const Seen again = own[0].seen(), before = first.seen();
  EXPECT_EQ(again.from(), before.from());
  EXPECT_EQ(again.to(), before.to());
  EXPECT_EQ(again.flags, SYN);
  EXPECT_EQ(again.seq, before.seq);
  EXPECT_EQ(again.ack, 0U);
  EXPECT_EQ(again.window, before.window);
  EXPECT_EQ(again.options, before.options);
  b.advance(2'000, 100);
  EXPECT_EQ(b.take_own().size(), 2U);
  EXPECT_TRUE(h.server_sends(h.syn_ack()).forwarded());
  EXPECT_EQ(b.take_own().size(), 1U) << "the server's ACK";
  b.advance(3'000, 100);
  EXPECT_TRUE(b.take_own().empty());
}

TYPED_TEST(Cookies, SynForWhichThereIsNoRoomIsCounted) {
  constexpr Family F = TypeParam::kFamily;
  constexpr unsigned kClients = dp::Outbox::kCapacity + 10;
  Balancer b;
  b.configure({cookied<F>()});
  for (unsigned n = 0; n < kClients; ++n) (void)Halves<F>(b, n).begin();
  b.hold_outboxes(true);
  b.advance(dp::kSynAgainMs + 100, 100);
  EXPECT_EQ(b.worker().counters.drops[static_cast<std::size_t>(DropReason::outbox_full)].get(), 10U);
  b.hold_outboxes(false);
  EXPECT_EQ(b.take_own().size(), dp::Outbox::kCapacity);
  EXPECT_EQ(b.flows(), kClients) << "all of them have another turn";
}

TYPED_TEST(Cookies, SilentServerEndsTheConnectionInWordsThatTheClientBelieves) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  (void)h.begin();
  b.advance(6'000, 100);
  const auto own = b.take_own();
  ASSERT_FALSE(own.empty());
  bool told = false;
  for (const Outcome& o : own) {
    if (o.port != 0) continue;
    told = true;
    EXPECT_EQ(o.seen().flags, RST | ACK);
    EXPECT_EQ(o.seen().seq, h.cookie + 1);
    EXPECT_EQ(o.seen().ack, kIsn + 1);
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(h.state(), FlowState::unused);
}

TYPED_TEST(Cookies, RefusalIsToldAtTheNumberThatTheClientExpects) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  (void)h.begin();
  const Outcome o = h.server_sends(h.from_the_server(RST | ACK).seq(0));
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().flags, RST | ACK);
  EXPECT_EQ(o.seen().seq, h.cookie + 1);
  EXPECT_EQ(o.seen().ack, kIsn + 1);
  EXPECT_EQ(h.state(), FlowState::reset);
}

TYPED_TEST(Cookies, RefusedSynIsTriedElsewhere) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(2);
  service.retries = 3;
  b.configure({service});
  Halves<F> h(b);
  (void)h.begin();
  const base::Endpoint refused = h.server;
  EXPECT_TRUE(h.server_sends(h.from_the_server(RST | ACK).seq(0)).dropped(DropReason::retried));
  b.advance(0);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  (void)h.reach(stored[0]);
  EXPECT_NE(h.server, refused);
  const Outcome news = h.server_sends(h.syn_ack());
  ASSERT_TRUE(news.forwarded());
  EXPECT_EQ(news.seen().flags, ACK);
  EXPECT_EQ(news.seen().seq, h.cookie + 1);
}

TYPED_TEST(Cookies, StrangeAnswerOfTheServerIsResetAndTheSynRepeated) {  // RFC 9293 §3.10.7.3
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  (void)h.begin();
  const Outcome o = h.server_sends(h.from_the_server(ACK).seq(123).ack(456));
  ASSERT_TRUE(o.reflected());
  EXPECT_EQ(o.seen().flags, RST);
  EXPECT_EQ(o.seen().seq, 456U);
  b.advance(1'100, 100);
  EXPECT_EQ(b.take_own().size(), 1U);
}

TYPED_TEST(Cookies, ServerThatIsFoundDeadMeanwhile) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint16_t retries : {0, 3}) {
    Balancer b;
    auto service = cookied<F>(2);
    service.retries = retries;
    b.configure({service});
    Halves<F> h(b);
    (void)h.begin();
    const unsigned dead = number_of_server<F>(h.server.address);
    b.set_state(static_cast<dp::AdjacencyId>(Balancer::kFirstServer + dead), dp::AdjacencyState::failed);
    b.advance(1'100, 100);
    const auto own = b.take_own();
    if (retries == 0) {
      ASSERT_EQ(own.size(), 1U);
      EXPECT_EQ(own[0].seen().flags, RST | ACK);
      EXPECT_EQ(own[0].seen().seq, h.cookie + 1);
      EXPECT_EQ(b.flows(), 0U);
    } else {
      const auto stored = b.take_stored();
      ASSERT_EQ(stored.size(), 1U);
      (void)h.reach(stored[0]);
      EXPECT_EQ(number_of_server<F>(h.server.address), 1 - dead);
      EXPECT_EQ(b.flows(), 1U);
    }
    EXPECT_EQ(b.leased_ports(), b.flows());
    b.advance(60'000);
    EXPECT_EQ(b.flows(), 0U);
    EXPECT_EQ(b.leased_ports(), 0U);
    EXPECT_EQ(b.worker().handshakes_open, 0U);
  }
}

TYPED_TEST(Cookies, ServerThatIsDeadAtOnceIsToldAsARefusal) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  (void)h.knock(h.syn());
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::failed);
  const Outcome o = h.come_back();
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.seen().flags, RST | ACK);
  EXPECT_EQ(o.seen().seq, h.cookie + 1);
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Cookies,
           WindowProbeStandsInForAnAckThatGotLost) {  // RFC 9293 §3.8.6.1; Linux: one before the next
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>()});
  Halves<F> h(b);
  (void)h.knock(h.syn());
  const Outcome o = h.reach(b.send(h.from_the_client(ACK).seq(kIsn)));
  EXPECT_EQ(o.seen().seq, kIsn);
  EXPECT_TRUE(h.server_sends(h.syn_ack()).forwarded());
  EXPECT_EQ(b.take_own().at(0).seen().seq, kIsn + 1);
}

TYPED_TEST(Cookies, RefusalOfAnotherConnectionIsNone) {  // RFC 9293 §3.10.7.3
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  (void)h.begin();
  EXPECT_TRUE(h.server_sends(h.from_the_server(RST).seq(77)).dropped(DropReason::before_server));
  EXPECT_TRUE(h.server_sends(h.from_the_server(RST | ACK).ack(kIsn + 2)).dropped(DropReason::before_server));
  EXPECT_EQ(h.state(), FlowState::syn_sent);
}

TYPED_TEST(Cookies, CopyOfTheSynAckGetsTheWindowAsItIs) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  h.open();
  EXPECT_TRUE(b.send(h.from_the_client(PSH | ACK).window(600).payload(10)).forwarded());
  EXPECT_TRUE(h.server_sends(h.syn_ack()).forwarded());
  EXPECT_EQ(b.take_own().at(0).seen().window, 600);
}

TYPED_TEST(Cookies, WhoCannotBeTakenInIsTold) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  Halves<F> first(b, 0), second(b, 1);
  first.open();
  (void)second.knock(second.syn());
  const Outcome o = second.come_back();
  ASSERT_TRUE(o.reflected() && o.reason == DropReason::no_source_port) << o;
  EXPECT_EQ(o.seen().flags, RST | ACK);
  EXPECT_EQ(o.seen().seq, second.cookie + 1);
}

TYPED_TEST(Cookies, WaitForAPlaceLikeAnyOther) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  service.servers[0].maxconn = 1;
  b.configure({service});
  Halves<F> first(b, 0), second(b, 1);
  first.open();
  (void)second.knock(second.syn());
  EXPECT_EQ(second.come_back().verdict, Verdict::hold);
  EXPECT_TRUE(second.come_back().dropped(DropReason::before_server)) << "one place in the queue";
  EXPECT_TRUE(b.send(second.syn().seq(kIsn)).dropped(DropReason::before_server));
  EXPECT_EQ(b.worker().syns.queued(), 1U);
  // The first ends; the second gets its place.
  EXPECT_TRUE(first.server_sends(first.from_the_server(RST | ACK).seq(kServerIsn + 1)).forwarded());
  b.advance(0);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  (void)second.reach(stored[0]);
  EXPECT_TRUE(second.server_sends(second.syn_ack()).forwarded());
  EXPECT_EQ(second.state(), FlowState::established);
}

TYPED_TEST(Cookies, QueueThatTakesTooLongEndsTheWait) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  service.servers[0].maxconn = 1;
  service.timeouts.queue = config::Milliseconds(2'000);
  b.configure({service});
  Halves<F> first(b, 0), second(b, 1);
  first.open();
  (void)second.knock(second.syn());
  EXPECT_EQ(second.come_back().verdict, Verdict::hold);
  b.advance(2'100, 100);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  ASSERT_TRUE(stored[0].reflected());
  EXPECT_EQ(stored[0].seen().flags, RST | ACK);
  EXPECT_EQ(stored[0].seen().seq, second.cookie + 1);
}

TYPED_TEST(Cookies, ServersThatGoMeanwhileAreARefusal) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  b.configure({service});
  Halves<F> h(b);
  (void)h.knock(h.syn());
  service.servers[0].weight = 0;
  b.configure({service});
  const Outcome o = h.come_back();
  ASSERT_TRUE(o.reflected() && o.reason == DropReason::no_server) << o;
  EXPECT_EQ(o.seen().flags, RST | ACK);
  EXPECT_EQ(o.seen().seq, h.cookie + 1);
  // And without a server nobody is told that he is connected.
  const Outcome refused = b.send(h.syn().seq(kIsn));
  EXPECT_TRUE(refused.reflected() && refused.reason == DropReason::no_server) << refused;
}

TYPED_TEST(Cookies, IdleConnectionIsEndedAtBothEnds) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = cookied<F>(1);
  service.timeouts.client = service.timeouts.server = config::Milliseconds(10'000);
  b.configure({service});
  Halves<F> h(b);
  h.open();
  b.advance(12'000);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].seen().seq, h.cookie + 1);
  EXPECT_EQ(own[1].seen().seq, kIsn + 1);
  EXPECT_EQ(own[1].seen().ack, kServerIsn + 1);
}

TYPED_TEST(Cookies, IcmpErrorsAreRenumberedToo) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  h.open();
  const auto too_big = [](PacketBuilder p, const Bytes& about) {
    const Bytes quote(about.begin() + 14, about.end());
    if constexpr (F == Family::v4) {
      return p.icmp(3, 4, 1'300).raw(quote);
    } else {
      return p.icmp6(2, 0, 1'300).raw(quote);
    }
  };
  const Bytes request = b.send(h.from_the_client(ACK).payload(100)).out;
  const Outcome to_client =
      h.server_sends(too_big(with_ip<F>(eth(Balancer::server_mac(0), Balancer::port_mac(1)), Net<F>::router(),
                                        h.local.address.template as<F>()),
                             request));
  ASSERT_TRUE(to_client.forwarded()) << to_client;
  EXPECT_EQ(quoted(to_client.seen()).seq, kIsn + 1);
  EXPECT_EQ(quoted(to_client.seen()).ack, h.cookie + 1);
  const Bytes answer = h.server_sends(h.from_the_server(ACK).seq(kServerIsn + 1).payload(100)).out;
  const Outcome to_server = b.send(too_big(from_client<F>(Net<F>::router(), Net<F>::vip()), answer));
  ASSERT_TRUE(to_server.forwarded()) << to_server;
  EXPECT_EQ(quoted(to_server.seen()).seq, kServerIsn + 1);
  EXPECT_EQ(quoted(to_server.seen()).ack, kIsn + 1);
}

TYPED_TEST(Cookies, NewConnectionOnAClosingOneIsTheServersAlone) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({cookied<F>(1)});
  Halves<F> h(b);
  h.open();
  EXPECT_TRUE(b.send(h.from_the_client(FIN | ACK)).forwarded());
  EXPECT_TRUE(h.server_sends(h.from_the_server(FIN | ACK).seq(kServerIsn + 1).ack(kIsn + 1)).forwarded());
  EXPECT_EQ(h.state(), FlowState::closing);
  constexpr std::uint32_t kNewIsn = 900'000, kNewServerIsn = 40'000'000;
  EXPECT_TRUE(b.send(h.from_the_client(SYN).seq(kNewIsn).window_scale(2)).forwarded());
  const Outcome o = h.server_sends(
      h.from_the_server(SYN | ACK).seq(kNewServerIsn).ack(kNewIsn + 1).window_scale(4).window(77));
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().flags, SYN | ACK);
  EXPECT_EQ(o.seen().window, 77);
  const std::uint32_t shift = o.seen().seq - kNewServerIsn;
  const Outcome ack = b.send(h.from_the_client(ACK).seq(kNewIsn + 1).ack(o.seen().seq + 1).window(55));
  ASSERT_TRUE(ack.forwarded());
  EXPECT_EQ(ack.seen().ack, kNewServerIsn + 1);
  EXPECT_EQ(ack.seen().window, 55) << "both know each other's scale";
  const Outcome data =
      h.server_sends(h.from_the_server(ACK).seq(kNewServerIsn + 1).ack(kNewIsn + 1).window(66));
  EXPECT_EQ(data.seen().seq, kNewServerIsn + 1 + shift);
  EXPECT_EQ(data.seen().window, 66);
}

TYPED_TEST(Cookies, BeginWithTheFloodAndEndAfterIt) {
  constexpr Family F = TypeParam::kFamily;
  constexpr std::uint32_t kBacklog = 64;
  Balancer::Options options;
  options.limits.syn_backlog = kBacklog;
  options.limits.half_open_per_worker = 200;
  Balancer b(options);
  b.configure({web<F>()});
  const auto flood = [&](unsigned n) {
    return b.send(
        from_client<F>(Net<F>::client(1'000 + n), Net<F>::vip()).tcp(kClientPort, kPort, SYN).seq(n));
  };
  for (unsigned n = 0; n <= kBacklog; ++n) EXPECT_TRUE(flood(n).forwarded()) << n;
  for (unsigned n = kBacklog + 1; n < 5'000; ++n) EXPECT_TRUE(flood(n).reflected()) << n;
  EXPECT_EQ(b.worker().handshakes_open, kBacklog + 1);
  // Those that mean it get through.
  Halves<F> h(b);
  h.open();
  // The unfinished ones have gone, but the flood lasts: none of it reaches a server.
  b.advance(6'000);
  EXPECT_EQ(b.worker().handshakes_open, 0U);
  EXPECT_TRUE(flood(6'000).reflected());
  (void)b.take_own();
  b.advance(60'000);
  EXPECT_TRUE(flood(6'001).forwarded()) << "it is over";
}

TYPED_TEST(Cookies, OffMeansOff) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.limits.syn_backlog = 0;
  Balancer b(options);
  auto service = web<F>();
  service.syn_cookies = config::SynCookies::off;
  b.configure({service});
  for (unsigned n = 0; n < 10; ++n) {
    EXPECT_TRUE(
        b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).tcp(kClientPort, kPort, SYN)).forwarded());
  }
}

TYPED_TEST(Cookies, AreHandedToTheOwner) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.workers = 4;
  Balancer b(options);
  b.configure({cookied<F>()});
  for (unsigned n = 0; n < 32; ++n) {
    Halves<F> h(b, n);
    const Outcome answer = b.send(h.syn(), {.worker = n % 4, .port = 0, .segment = 0});
    ASSERT_TRUE(answer.reflected());
    h.cookie = answer.seen().seq;
    ++h.next;
    EXPECT_TRUE(b.send(h.from_the_client(ACK), {.worker = (n + 1) % 4, .port = 0, .segment = 0}).forwarded());
  }
}

}  // namespace
}  // namespace sluice::test
