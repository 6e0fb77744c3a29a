// The MSS option of SYNs and SYN-ACKs: lowered to what both sides carry (VPP: mss_clamping; facts: nat case
// 10).
#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class MssClamp : public testing::Test {
 public:
  static constexpr Family F = T::kFamily;
  static constexpr unsigned kHeaders = F == Family::v4 ? 40 : 60;

  static config::ForwardingService with(std::uint16_t mss, unsigned servers = 1) {
    auto service = web<F>(servers);
    service.mss.limit = mss;
    return service;
  }
  /// What the option says, which is the first one.
  static unsigned mss_of(const Outcome& o) {
    const Bytes options = o.forwarded() ? o.seen().options : Bytes();
    if (options.size() < 4 || options[0] != std::byte{2} || options[1] != std::byte{4}) return 0;
    return std::to_integer<unsigned>(options[2]) << 8 | std::to_integer<unsigned>(options[3]);
  }
  /// The handshake of `c` with the option in both directions.
  static void expect_handshake(Connection<F>& c, std::uint16_t client, unsigned to_server,
                               std::uint16_t server, unsigned to_client) {
    const Outcome syn = c.send_client(c.client_packet(SYN).mss(client).sack_permitted().timestamps(1, 0));
    EXPECT_EQ(mss_of(syn), to_server);
    EXPECT_TRUE(syn.seen().has_option(8));
    ++c.next_;
    c.peer_next_ = 5'000;
    const Outcome syn_ack = c.send_server(c.server_packet(SYN | ACK).mss(server).window_scale(7));
    EXPECT_EQ(mss_of(syn_ack), to_client);
    EXPECT_TRUE(syn_ack.seen().has_option(3));
    ++c.peer_next_;
    EXPECT_TRUE(c.client(ACK).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
  }
};
TYPED_TEST_SUITE(MssClamp, Families);

TYPED_TEST(MssClamp, AutoIsWhatBothSidesCarry) {
  constexpr Family F = TypeParam::kFamily;
  constexpr unsigned kHeaders = TestFixture::kHeaders;
  struct Mtus {
    std::uint16_t client, server;
  };
  for (const auto [client, server] :
       {Mtus{1'500, 1'500}, Mtus{1'500, 1'280}, Mtus{1'280, 1'500}, Mtus{1'300, 1'400}, Mtus{9'000, 1'500}}) {
    SCOPED_TRACE(std::to_string(client) + " " + std::to_string(server));
    const unsigned carried = std::min(client, server) - kHeaders;
    const auto lowered = [&](unsigned mss) { return std::min(mss, carried); };
    for (const unsigned workers : {1U, 4U}) {
      Balancer::Options options;
      options.workers = workers;
      Balancer b(options);
      b.configure({web<F>(1)});
      b.set_mtu(Balancer::kGateway, client);
      b.set_mtu(Balancer::kFirstServer, server);
      for (unsigned n = 0; n < 8; ++n) {
        Connection<F> c(b, n, 40'000);
        c.at_worker(n % workers, (n + 1) % workers);
        TestFixture::expect_handshake(c, 1'460, lowered(1'460), 8'960, lowered(8'960));
        Connection<F> small(b, n, 41'000);
        TestFixture::expect_handshake(small, 536, 536, 1'220, lowered(1'220));
      }
    }
  }
}

TYPED_TEST(MssClamp, OfANumberAndOff) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.set_mtu(Balancer::kGateway, 1'300);
  b.configure({TestFixture::with(1'000)});
  Connection<F> number(b, 0, 40'000);
  TestFixture::expect_handshake(number, 1'460, 1'000, 999, 999);
  b.configure({TestFixture::with(1'400)});
  Connection<F> more(b, 0, 41'000);
  TestFixture::expect_handshake(more, 1'460, 1'400, 1'400, 1'400);
  b.configure({TestFixture::with(config::Mss::kOff)});
  Connection<F> off(b, 0, 42'000);
  TestFixture::expect_handshake(off, 1'460, 1'460, 65'535, 65'535);
}

TYPED_TEST(MssClamp, SynWithoutTheOptionGetsNone) {  // RFC 9293 §3.7.1: it means 536 or 1220
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({TestFixture::with(500)});
  Connection<F> c(b, 0, 40'000);
  const Bytes options{std::byte{4}, std::byte{2}, std::byte{1}, std::byte{1}};
  const Outcome syn = c.send_client(c.client_packet(SYN).tcp_options(options));
  ASSERT_TRUE(syn.forwarded());
  EXPECT_EQ(syn.seen().options, options);
}

TYPED_TEST(MssClamp, OtherSegmentsStayAsTheyAre) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({TestFixture::with(500)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_EQ(TestFixture::mss_of(c.send_client(c.client_packet(ACK).mss(1'460))), 1'460U);
  EXPECT_EQ(TestFixture::mss_of(c.send_server(c.server_packet(ACK).mss(1'460))), 1'460U);
}

TYPED_TEST(MssClamp, SynThatIsSentAgainIsLoweredForItsNextServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(2);
  service.retries = 3;
  b.configure({service});
  b.set_mtu(Balancer::kFirstServer + 1, 1'300);
  Connection<F> c(b, 0, 40'000);
  const auto syn = c.client_packet(SYN).mss(1'460);
  EXPECT_EQ(TestFixture::mss_of(c.send_client(syn)), std::min(1'460U, 1'500U - TestFixture::kHeaders));
  EXPECT_EQ(c.server_number(), 0U);
  ++c.next_;
  EXPECT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  const auto again = b.take_stored();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(TestFixture::mss_of(again[0]), 1'300U - TestFixture::kHeaders);
  c.reached(again[0].seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1U);
  EXPECT_EQ(TestFixture::mss_of(c.send_client(syn)), 1'300U - TestFixture::kHeaders) << "nor its copies";
}

TYPED_TEST(MssClamp, SynThatWaitedForAPlaceIsLowered) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = TestFixture::with(1'200);
  service.servers[0].maxconn = 1;
  b.configure({service});
  Connection<F> first(b, 0, 40'000);
  first.open();
  Connection<F> waits(b, 1, 40'000);
  EXPECT_EQ(waits.send_client(waits.client_packet(SYN).mss(1'460)).verdict, Verdict::hold);
  first.close();
  b.advance(1'000, 100);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(TestFixture::mss_of(stored[0]), 1'200U);
}

TYPED_TEST(MssClamp, OfARenumberedConnection) {  // case 6: without timestamps, and lowered
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = TestFixture::with(1'200);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  Connection<F> old(b, 0, 40'000, 4'000'000);
  old.open();
  old.close_by_server();
  b.advance(11'000);
  Connection<F> c(b, 1, 41'000, 1'000);
  const Outcome o = c.send_client(c.client_packet(SYN).mss(1'460).timestamps(1, 0));
  ASSERT_TRUE(o.forwarded());
  ASSERT_NE(c.shift(), 0U);
  EXPECT_FALSE(o.seen().has_option(8));
  EXPECT_EQ(TestFixture::mss_of(o), 1'200U);
}

TYPED_TEST(MssClamp, NextHopThatIsNotKnownDoesNotCount) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 1'400);
  Connection<F> c(b, Net<F>::stranger(), 40'000);
  EXPECT_EQ(TestFixture::mss_of(c.send_client(c.client_packet(SYN).mss(1'460))),
            1'400U - TestFixture::kHeaders);
}

}  // namespace
}  // namespace sluice::test
