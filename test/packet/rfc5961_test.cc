// Blind in-window attacks, and what defends endpoints against them (RFC 5961), as they concern whoever
// follows a connection from the middle: believe nothing that an endpoint would not, and let challenge ACKs do
// their work. More rows: TcpLife, Hostile and OwnReset, as docs/nat-requirements.md names them.
#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Rfc5961 : public testing::Test {
 public:
  static constexpr Family F = T::kFamily;

  /// A packet that the client, or the server, would send now.
  static PacketBuilder packet_of(const Connection<F>& c, bool by_client, Flags flags,
                                 std::size_t length = 0) {
    return by_client ? c.client_packet(flags, length) : c.server_packet(flags, length);
  }
  static Outcome send(Connection<F>& c, bool by_client, const PacketBuilder& packet) {
    return by_client ? c.send_client(packet) : c.send_server(packet);
  }
};
TYPED_TEST_SUITE(Rfc5961, Families);

TYPED_TEST(Rfc5961, ChallengeAckOfAResetPasses) {  // §3.2
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_client : {true, false}) {
    Balancer b;
    b.configure({web<F>()});
    Connection<F> c(b, 0, 40'000);
    c.open();
    const std::uint32_t next = by_client ? c.next_ : c.peer_next_;
    // In the window, but not the next byte: the receiver asks the real peer, who says nothing to it.
    EXPECT_TRUE(
        TestFixture::send(c, by_client, TestFixture::packet_of(c, by_client, RST).seq(next + 9)).forwarded());
    EXPECT_TRUE(TestFixture::send(c, !by_client, TestFixture::packet_of(c, !by_client, ACK)).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
    // Was it real, though its sender is ahead of what arrived, he answers with the number that was asked for.
    EXPECT_TRUE(TestFixture::send(c, by_client, TestFixture::packet_of(c, by_client, RST)).forwarded());
    EXPECT_EQ(c.state(), FlowState::reset);
  }
}

TYPED_TEST(Rfc5961, DataWithAnImpossibleAckMovesNothing) {  // §5.2
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_client : {true, false}) {
    for (const std::uint32_t off : {1U, 100'000U, 0x7fff'0000U, 0x8000'0000U, 0U - 70'000U, 0U - 200'000U}) {
      SCOPED_TRACE(std::string(by_client ? "client" : "server") + ", off by " + std::to_string(off));
      Balancer b;
      b.configure({web<F>()});
      Connection<F> c(b, 0, 40'000);
      c.open();
      EXPECT_TRUE(c.client(ACK, 100).forwarded());
      EXPECT_TRUE(c.server(ACK, 100).forwarded());
      EXPECT_TRUE(c.client(ACK).forwarded());
      const auto packet = [&](Flags flags, std::size_t length = 0) {
        return TestFixture::packet_of(c, by_client, flags, length);
      };
      const std::uint32_t next = by_client ? c.next_ : c.peer_next_;
      const std::uint32_t right = by_client ? c.peer_next_ : c.next_ + c.shift();
      // The number fits by chance; the receiver drops it for its acknowledgement.
      EXPECT_TRUE(TestFixture::send(c, by_client, packet(PSH | ACK, 500).ack(right + off)).forwarded());
      EXPECT_TRUE(TestFixture::send(c, by_client, packet(PSH, 500)).forwarded()) << "nor without any";
      EXPECT_TRUE(TestFixture::send(c, by_client, packet(RST).seq(next + 500)).forwarded());
      EXPECT_EQ(c.state(), FlowState::established) << "nobody has sent so much";
      EXPECT_TRUE(TestFixture::send(c, by_client, packet(FIN | ACK).seq(next).ack(right + off)).forwarded());
      EXPECT_EQ(c.state(), FlowState::established);

      EXPECT_TRUE(TestFixture::send(c, by_client, packet(PSH | ACK, 500)).forwarded());
      EXPECT_TRUE(TestFixture::send(c, by_client, packet(RST).seq(next + 500)).forwarded());
      EXPECT_EQ(c.state(), FlowState::reset) << "real data counts";
    }
  }
}

TYPED_TEST(Rfc5961, OldAcksAreAcceptable) {  // §5.2: as far back as the largest window
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint32_t long_ago = c.peer_next_;
  for (int i = 0; i < 60; ++i) {
    EXPECT_TRUE(c.server(ACK, 1'000).forwarded());
    EXPECT_TRUE(c.client(ACK).forwarded());
  }
  EXPECT_TRUE(c.send_client(c.client_packet(PSH | ACK, 500).ack(long_ago)).forwarded())
      << "late, or reordered";
  EXPECT_TRUE(c.send_client(c.client_packet(RST).seq(c.next_ + 500)).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
}

}  // namespace
}  // namespace sluice::test
