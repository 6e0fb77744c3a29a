// How connections begin, live and end (facts: nat cases 4 and 5).
#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class TcpLife : public testing::Test {};
TYPED_TEST_SUITE(TcpLife, Families);

TYPED_TEST(TcpLife, HandshakeDataAndCloseByTheClient) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_EQ(c.state(), FlowState::unused);
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(c.state(), FlowState::syn_sent);
  c.answer_syn();
  EXPECT_EQ(c.state(), FlowState::syn_received);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(c.client(PSH | ACK, 100).forwarded());
  EXPECT_TRUE(c.server(ACK, 1400).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::fin_client);
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::closing);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
  b.advance(9'000);
  EXPECT_EQ(c.state(), FlowState::time_wait);
  b.advance(2'000);
  EXPECT_EQ(c.state(), FlowState::unused);
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(TcpLife, CloseByTheServer) {  // VPP: tcp_session_close_out
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::fin_server);
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::closing);
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(TcpLife, SimultaneousClose) {  // VPP: tcp_session_close_simultaneous
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const PacketBuilder server_fin = c.server_packet(FIN | ACK);  // sent before the client's arrives
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  EXPECT_TRUE(c.send_server(server_fin).forwarded());
  ++c.peer_next_;
  EXPECT_EQ(c.state(), FlowState::closing);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::closing) << "the client's FIN is not acknowledged";
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
  // Both ends are in TIME_WAIT now (RFC 9293 §3.6), the server too: its pair lingers.
  EXPECT_NE(c.flow()->flags & dp::Flow<F>::kServerClosedFirst, 0);
}

TYPED_TEST(TcpLife, FinOfOneSideIsNotTheEndOfTheOther) {  // case 4
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  for (int minute = 0; minute < 50; ++minute) {  // the server takes its time, far beyond any closing timeout
    b.advance(60'000);
    EXPECT_TRUE(c.server(ACK, 1000).forwarded());
    EXPECT_TRUE(c.client(ACK).forwarded());
    ASSERT_EQ(c.state(), FlowState::fin_client);
  }
  b.advance(3'500'000);  // silent for an hour less 100 s
  EXPECT_TRUE(c.server(ACK, 1000).forwarded());
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(TcpLife, HalfCloseByTheServerKeepsCarryingTheClientsData) {  // case 4
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  b.advance(600'000);
  EXPECT_TRUE(c.client(ACK, 1000).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::fin_server);
}

TYPED_TEST(TcpLife, LostLastAckIsSentAgain) {  // case 4
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  const PacketBuilder fin = c.server_packet(FIN | ACK);
  EXPECT_TRUE(c.send_server(fin).forwarded());
  ++c.peer_next_;
  EXPECT_TRUE(c.client(ACK).forwarded());  // gets lost behind the balancer
  EXPECT_EQ(c.state(), FlowState::time_wait);
  for (const unsigned wait : {1'000, 2'000, 4'000, 8'000}) {
    b.advance(wait);
    EXPECT_TRUE(c.send_server(fin).forwarded()) << "the FIN retransmitted";
    EXPECT_TRUE(c.client(ACK).forwarded());
  }
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(TcpLife, FinRetransmittedWhileClosing) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const PacketBuilder fin = c.client_packet(FIN | ACK);
  EXPECT_TRUE(c.send_client(fin).forwarded());
  EXPECT_TRUE(c.send_client(fin).forwarded());
  ++c.next_;
  EXPECT_EQ(c.state(), FlowState::fin_client);
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_TRUE(c.send_client(fin).forwarded());
  EXPECT_EQ(c.state(), FlowState::fin_client);
}

TYPED_TEST(TcpLife, SynRetransmitted) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  const PacketBuilder syn = c.client_packet(SYN);
  EXPECT_TRUE(c.send_client(syn).forwarded());
  const base::Endpoint local = c.local();
  const unsigned server = c.server_number();
  b.advance(1'000);
  EXPECT_TRUE(c.send_client(syn).forwarded());
  EXPECT_EQ(c.local(), local);
  EXPECT_EQ(c.server_number(), server);
  EXPECT_EQ(b.flows(), 1U);
  ++c.next_;
  c.answer_syn();
  EXPECT_TRUE(c.send_client(syn).forwarded()) << "also after the SYN-ACK, which got lost";
  EXPECT_EQ(c.state(), FlowState::syn_received);
  c.answer_syn();
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_EQ(b.counts("web", "s" + std::to_string(server)).fresh, 1U);
}

TYPED_TEST(TcpLife, SimultaneousOpen) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint32_t isn : {1'000U, 0x9000'0000U, 0xffff'fffeU}) {
    Balancer b;
    b.configure({web<F>()});
    Connection<F> c(b, 0, 40'000, isn);
    EXPECT_TRUE(c.client(SYN).forwarded());
    c.peer_next_ = 777;
    EXPECT_TRUE(c.server(SYN).forwarded());
    EXPECT_EQ(c.state(), FlowState::syn_received);
    --c.next_;  // the SYN again, now with the acknowledgement
    EXPECT_TRUE(c.client(SYN | ACK).forwarded());
    --c.peer_next_;
    EXPECT_TRUE(c.server(SYN | ACK).forwarded());
    EXPECT_TRUE(c.client(ACK, 10).forwarded());
    EXPECT_TRUE(c.server(ACK, 10).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
    EXPECT_TRUE(c.client(ACK).forwarded());
    c.close();
  }
}

TYPED_TEST(TcpLife, SynWithALesserNumberInTheMiddleOfTheHandshake) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint32_t isn : {0x3000'0000U, 0xb000'0000U}) {
    Balancer b;
    b.configure({web<F>()});
    Connection<F> c(b, 0, 40'000, 0xf000'0000);
    EXPECT_TRUE(c.client(SYN).forwarded());
    const PacketBuilder late = c.server_packet(SYN | ACK).seq(77);
    c.next_ = isn;
    EXPECT_TRUE(c.client(SYN).forwarded());
    EXPECT_TRUE(c.send_server(late).forwarded());
    c.answer_syn();
    EXPECT_TRUE(c.client(ACK).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
    EXPECT_TRUE(c.server(ACK, 10).forwarded());
    EXPECT_TRUE(c.client(ACK).forwarded());
    c.close();
  }
}

TYPED_TEST(TcpLife, ResetOutsideTheWindowKeepsTheFlow) {  // case 4; RFC 5961 §3.2
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(ACK, 100).forwarded());
  EXPECT_TRUE(c.server(ACK, 100).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  for (const std::uint32_t off : {1U, 100'000U, 0x7fff'ffffU, 0x8000'0000U, 0xffff'ff00U, 0xffff'ffffU}) {
    EXPECT_TRUE(c.send_client(c.client_packet(RST).seq(c.next_ + off)).forwarded()) << "the endpoint judges";
    EXPECT_EQ(c.state(), FlowState::established) << "client, off by " << off;
    EXPECT_TRUE(c.send_server(c.server_packet(RST).seq(c.peer_next_ + off)).forwarded());
    EXPECT_EQ(c.state(), FlowState::established) << "server, off by " << off;
  }
  EXPECT_TRUE(c.server(ACK, 10).forwarded()) << "and goes on";
}

TYPED_TEST(TcpLife,
           ResetInTheWindowIsTransitory) {  // case 4; VPP: session_rst_timeout, rst_established_timeout
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_client : {true, false}) {
    Balancer b;
    b.configure({web<F>()});
    Connection<F> c(b, 0, 40'000);
    c.open();
    EXPECT_TRUE(c.client(ACK, 5).forwarded());
    EXPECT_TRUE(c.server(ACK, 5).forwarded());
    // What the sender of the RST had sent before it, and comes late.
    const PacketBuilder late =
        by_client ? c.client_packet(ACK, 5).seq(c.next_ - 5) : c.server_packet(ACK, 5).seq(c.peer_next_ - 5);
    EXPECT_TRUE((by_client ? c.client(RST | ACK) : c.server(RST | ACK)).forwarded());
    EXPECT_EQ(c.state(), FlowState::reset);
    for (int i = 0; i < 3; ++i) {
      b.advance(3'000);
      EXPECT_TRUE((by_client ? c.server(ACK, 500) : c.client(ACK, 500)).forwarded());
      EXPECT_TRUE((by_client ? c.send_client(late) : c.send_server(late)).forwarded());
      EXPECT_EQ(c.state(), FlowState::reset) << "it passes, but brings nothing back";
    }
    b.advance(1'500);
    EXPECT_EQ(b.flows(), 0U) << "nor does it make it last: 10 s from the RST on";
  }
}

TYPED_TEST(TcpLife, ResetOfWhoGoesOnWasNotBelieved) {  // RFC 6146 §3.5.2.2, TRANS
  constexpr Family F = TypeParam::kFamily;
  for (const bool by_client : {true, false}) {
    for (const bool by_data : {true, false}) {
      Balancer b;
      b.configure({web<F>(1)});
      Connection<F> c(b, 0, 40'000);
      c.open();
      EXPECT_TRUE((by_client ? c.client(RST | ACK) : c.server(RST | ACK)).forwarded());
      EXPECT_EQ(b.load().open.taken(), 0U);
      if (!by_data) {
        EXPECT_TRUE((by_client ? c.server(ACK, 100) : c.client(ACK, 100)).forwarded());
        EXPECT_EQ(c.state(), FlowState::reset);
      }
      EXPECT_TRUE(
          (by_client ? c.client(ACK, by_data ? 100 : 0) : c.server(ACK, by_data ? 100 : 0)).forwarded());
      EXPECT_EQ(c.state(), FlowState::established);
      EXPECT_EQ(b.load().open.taken(), 1U);
      b.advance(20'000);
      EXPECT_EQ(c.state(), FlowState::established) << "with the timeouts of one";
      c.close();
      EXPECT_EQ(b.load().open.taken(), 0U);
    }
  }
}

TYPED_TEST(TcpLife, NothingTakesTheResetsOfBothBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(RST | ACK).forwarded());
  EXPECT_TRUE(c.server(RST | ACK).forwarded());
  EXPECT_TRUE(c.client(ACK, 100).forwarded());
  EXPECT_TRUE(c.server(ACK, 100).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
}

TYPED_TEST(TcpLife, ResetOfAHandshakeIsNotTakenBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn(77);
  EXPECT_TRUE(c.client(RST).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
}

TYPED_TEST(TcpLife, ResetThatReachesNobodyEndsNothing) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(b.send(c.client_packet(RST | ACK).ttl(1)).reflected());
  EXPECT_EQ(c.state(), FlowState::established) << "it goes no further than here";
  EXPECT_TRUE(b.send(c.client_packet(RST | ACK).bad_checksum()).dropped(DropReason::bad_checksum));
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(b.send(c.server_packet(RST | ACK).bad_checksum(), {.worker = 0, .port = 1, .segment = 0})
                  .dropped(DropReason::bad_checksum));
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(c.server(ACK, 10).forwarded()) << "and goes on";
}

TYPED_TEST(TcpLife, ResetOfTheNextByteBehindUnacknowledgedDataCounts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint32_t before = c.peer_next_;
  EXPECT_TRUE(c.server(ACK, 1000).forwarded());
  EXPECT_TRUE(c.server(ACK, 1000).forwarded());  // none acknowledged: the client may have read any part
  EXPECT_TRUE(c.send_server(c.server_packet(RST).seq(before + 1000)).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
}

TYPED_TEST(TcpLife, RefusalByTheServerReachesTheClient) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.send_server(c.server_packet(RST | ACK).seq(0).ack(12345)).forwarded());
  EXPECT_EQ(c.state(), FlowState::syn_sent) << "acknowledges something else (RFC 9293 §3.10.7.3)";
  EXPECT_TRUE(c.send_server(c.server_packet(RST).seq(0)).forwarded());
  EXPECT_EQ(c.state(), FlowState::syn_sent) << "acknowledges nothing";
  EXPECT_TRUE(c.server(RST | ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
  EXPECT_EQ(b.counts("web", "s0").failed, 1U);
}

TYPED_TEST(TcpLife, SynOnATimeWaitFlowBeginsAFreshConnectionAtOnce) {  // case 5; VPP: session_reopen
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> old(b, 0, 40'000);
  old.open();
  old.close_by_server();
  Connection<F> c(b, 0, 40'000, old.next_ + 100'000);
  EXPECT_TRUE(c.client(SYN).forwarded()) << "the first SYN, not the one after a timeout";
  EXPECT_EQ(c.state(), FlowState::syn_sent);
  EXPECT_NE(c.server_number(), old.server_number()) << "round robin goes on";
  EXPECT_EQ(b.flows(), 1U);
  c.answer_syn(42);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
}

TYPED_TEST(TcpLife, SynOnAResetFlowBeginsAFreshConnection) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> old(b, 0, 40'000);
  old.open();
  EXPECT_TRUE(old.client(RST).forwarded());
  Connection<F> c(b, 0, 40'000, 1);
  c.open();
  EXPECT_NE(c.local(), old.local());
}

TYPED_TEST(TcpLife, SpoofedSynOnALiveConnectionChangesNothing) {  // case 5; RFC 5961 §4
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(ACK, 100).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  const dp::Flow<F> before = *c.flow();
  for (const std::uint32_t off : {0U, 1U, 1'000U, 65'000U, 0x8000'0000U, 0xffff'ff00U}) {
    const Outcome syn = c.send_client(c.client_packet(SYN).seq(c.next_ + off));
    EXPECT_TRUE(syn.forwarded()) << "the server answers it with a challenge ACK";
    const dp::Flow<F>& flow = *c.flow();
    EXPECT_EQ(flow.state, FlowState::established);
    EXPECT_EQ(flow.end, before.end) << "off by " << off;
    EXPECT_EQ(flow.acked, before.acked);
    EXPECT_EQ(flow.local_port, before.local_port);
    EXPECT_EQ(flow.window_scale, before.window_scale);
    EXPECT_TRUE(c.server(ACK).forwarded()) << "the challenge ACK";
  }
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
}

TYPED_TEST(TcpLife, ClientThatLostItsConnectionGetsThereByChallengeAck) {  // RFC 9293 §3.5.1 figure 11
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint32_t server_expects = c.next_;
  const std::uint32_t fresh = c.next_ + 9'000'000;
  EXPECT_TRUE(c.send_client(c.client_packet(SYN).seq(fresh)).forwarded());
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_TRUE(c.send_client(c.client_packet(RST).seq(server_expects)).forwarded());
  EXPECT_EQ(c.state(), FlowState::reset);
  Connection<F> again(b, 0, 40'000, fresh);
  again.open();
}

TYPED_TEST(TcpLife, HalfReopenInside) {  // VPP: half_reopen_inside
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  ASSERT_EQ(c.state(), FlowState::closing);
  EXPECT_TRUE(c.send_client(c.client_packet(SYN).seq(c.next_ + 5'000)).forwarded());
  EXPECT_EQ(c.state(), FlowState::closing) << "a SYN alone reopens nothing";
  EXPECT_TRUE(c.server(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait) << "and does not disturb the end";
}

TYPED_TEST(TcpLife, HalfReopenOutside) {  // VPP: half_reopen_outside
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  ASSERT_EQ(c.state(), FlowState::closing);
  EXPECT_TRUE(c.send_server(c.server_packet(SYN).seq(c.peer_next_ + 5'000)).forwarded());
  EXPECT_EQ(c.state(), FlowState::closing) << "a SYN alone reopens nothing";
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait) << "and does not disturb the end";
  EXPECT_TRUE(c.send_server(c.server_packet(SYN).seq(c.peer_next_ + 5'000)).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(TcpLife,
           ServerThatAcceptsTheSynReopensAClosingFlow) {  // VPP: session_reopen, seen from both sides
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_TRUE(c.client(FIN | ACK).forwarded());
  // The server's last ACK got lost before the balancer: closing here, TIME_WAIT there.
  c.next_ += 5'000;
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(c.state(), FlowState::closing);
  c.answer_syn(100);  // far below the old numbers
  EXPECT_EQ(c.state(), FlowState::syn_received);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  c.close();
  EXPECT_EQ(c.flow()->flags & dp::Flow<F>::kServerClosedFirst, 0) << "this time the client closed first";
}

TYPED_TEST(TcpLife, LateCopyOfTheSynAckDoesNotReopen) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.peer_next_ = Connection<F>::kServerIsn;
  const PacketBuilder syn_ack = c.server_packet(SYN | ACK);
  c.answer_syn();
  EXPECT_TRUE(c.client(ACK).forwarded());
  c.close();
  EXPECT_TRUE(c.send_server(syn_ack).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(TcpLife,
           HandshakeIsDoneByTheRightAckOnly) {  // case 15: a spoofed SYN and a blind ACK hold nothing
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.send_client(c.client_packet(ACK).ack(99)).forwarded());
  EXPECT_EQ(c.state(), FlowState::syn_sent);
  EXPECT_TRUE(c.send_client(c.client_packet(FIN | ACK).ack(99)).forwarded());
  EXPECT_EQ(c.state(), FlowState::syn_sent)
      << "else SYN and FIN without an answer would last as open flows do";
  c.answer_syn();
  for (const std::uint32_t off : {1U, 0xffff'ffffU, 0x8000'0000U}) {
    EXPECT_TRUE(c.send_client(c.client_packet(ACK).ack(c.peer_next_ + off)).forwarded());
    EXPECT_EQ(c.state(), FlowState::syn_received) << off;
    EXPECT_TRUE(c.send_client(c.client_packet(FIN | ACK).ack(c.peer_next_ + off)).forwarded());
    EXPECT_EQ(c.state(), FlowState::syn_received) << off;
  }
  EXPECT_EQ(b.flows(FlowClass::half_open), 1U);
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
}

TYPED_TEST(TcpLife, FinTogetherWithTheLastAckOfTheHandshake) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn();
  EXPECT_TRUE(c.client(FIN | ACK, 20).forwarded());
  EXPECT_EQ(c.state(), FlowState::fin_client);
  EXPECT_TRUE(c.server(FIN | ACK, 20).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(TcpLife, FirstDataBeforeTheLostAckOfTheHandshake) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn();
  EXPECT_TRUE(c.client(PSH | ACK, 500).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
}

TYPED_TEST(TcpLife, ConnectTimeout) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  b.advance(4'900, 100);
  EXPECT_EQ(b.flows(), 1U);
  b.advance(400, 100);
  EXPECT_EQ(b.flows(), 0U);
  const auto counts = b.counts("web", "s0");
  EXPECT_EQ(counts.fresh, 1U);
  EXPECT_EQ(counts.ended, 1U);
  EXPECT_EQ(counts.failed, 1U);
}

TYPED_TEST(TcpLife, IdleTimeoutIsRestartedByEitherSide) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>();
  service.timeouts.client = config::Milliseconds{300'000};
  service.timeouts.server = config::Milliseconds{600'000};
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.advance(299'000);
  EXPECT_TRUE(c.server(ACK, 1).forwarded());
  b.advance(299'000);
  EXPECT_TRUE(c.client(ACK).forwarded());
  b.advance(299'000);
  EXPECT_EQ(c.state(), FlowState::established);
  b.advance(1'200);
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(TcpLife, WrapOfSequenceNumbers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000, 0xffff'fff0);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn(0xffff'ff00);
  EXPECT_TRUE(c.client(ACK).forwarded());
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(c.client(ACK, 1000).forwarded());
    EXPECT_TRUE(c.server(ACK, 1000).forwarded());
  }
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_TRUE(c.send_server(c.server_packet(RST).seq(c.peer_next_ - 3'000)).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
  c.close();
}

TYPED_TEST(TcpLife, BigWindowsAreBelieved) {  // RFC 7323
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.send_client(c.client_packet(SYN).mss(1460).window_scale(7)).forwarded());
  ++c.next_;
  c.peer_next_ = 1;
  EXPECT_TRUE(c.send_server(c.server_packet(SYN | ACK).mss(1460).window_scale(7)).forwarded());
  ++c.peer_next_;
  EXPECT_TRUE(c.client(ACK).forwarded());
  c.peer_next_ += 1'000'000;  // these were lost before they reached the balancer
  EXPECT_TRUE(c.server(FIN | ACK, 100).forwarded());
  EXPECT_EQ(c.state(), FlowState::fin_server);
}

// Segments of unknown connections (design: silence hangs kubelets): both sides get a RST that they believe.

TYPED_TEST(TcpLife, MidStreamSegmentOfAClientIsAnsweredByAReset) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  const auto packet = from_client<F>(Net<F>::client(), Net<F>::vip())
                          .tcp(40'000, kPort, PSH | ACK)
                          .seq(111)
                          .ack(222)
                          .payload(33);
  const Outcome o = b.send(packet);
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.reason, DropReason::reset_sent);
  EXPECT_EQ(o.port, 0);
  const Seen rst = o.seen();
  EXPECT_EQ(rst.from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(rst.to(), (base::Endpoint{Net<F>::client(), 40'000}));
  EXPECT_EQ(rst.flags, RST);
  EXPECT_EQ(rst.seq, 222U) << "RFC 9293 §3.10.7.1: <SEQ=SEG.ACK><CTL=RST>";
  EXPECT_EQ(rst.dst_mac, Balancer::kGatewayMac);
  EXPECT_EQ(rst.src_mac, Balancer::port_mac(0));
  EXPECT_TRUE(rst.payload.empty());
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(TcpLife, MidStreamSegmentOfAServerIsAnsweredByAReset) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  const auto packet = from_server<F>(0, Net<F>::vip())
                          .tcp(kServerPort, kSourcePorts.first, ACK)
                          .seq(5)
                          .ack(4'000'000'000)
                          .payload(1400);
  const Outcome o = b.send(packet, {.worker = 0, .port = 1, .segment = 0});
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.port, 1);
  const Seen rst = o.seen();
  EXPECT_EQ(rst.from(), (base::Endpoint{Net<F>::vip(), kSourcePorts.first}));
  EXPECT_EQ(rst.to(), (base::Endpoint{Net<F>::server(), kServerPort}));
  EXPECT_EQ(rst.flags, RST);
  EXPECT_EQ(rst.seq, 4'000'000'000U);
  EXPECT_EQ(rst.dst_mac, Balancer::server_mac(0));
}

TYPED_TEST(TcpLife, SegmentWithoutAckIsAnsweredByResetAndAck) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  const auto packet =
      from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(40'000, kPort, FIN | PSH).seq(111).payload(9);
  const Outcome o = b.send(packet);
  ASSERT_TRUE(o.reflected()) << o;
  const Seen rst = o.seen();
  EXPECT_EQ(rst.flags, RST | ACK);
  EXPECT_EQ(rst.seq, 0U);
  EXPECT_EQ(rst.ack, 111U + 9 + 1);
}

TYPED_TEST(TcpLife, ResetOfAnUnknownConnectionIsNotAnswered) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  const auto ends = from_client<F>(Net<F>::client(), Net<F>::vip());
  EXPECT_TRUE(b.send(PacketBuilder(ends).tcp(1, kPort, RST)).dropped(DropReason::stray_reset));
  EXPECT_TRUE(b.send(PacketBuilder(ends).tcp(1, kPort, SYN | RST)).dropped(DropReason::stray_reset));
}

TYPED_TEST(TcpLife, SynAckWithoutFlowIsAnsweredByAReset) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  for (const Flags flags : {SYN | ACK, SYN | FIN}) {
    EXPECT_TRUE(b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(1, kPort, flags)).reflected());
  }
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(TcpLife, FirstPacketsOfABurstAreOneFlow) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  auto packet = from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(40'000, kPort, SYN);
  if constexpr (F == Family::v4) packet.df();  // else each has an identification of its own
  const Bytes syn = packet.bytes();
  const auto outcomes = b.burst({syn, syn, syn}, {});
  EXPECT_EQ(b.flows(), 1U);
  for (const Outcome& o : outcomes) EXPECT_TRUE(same(o.out, outcomes[0].out));
}

TYPED_TEST(TcpLife, FlowThatEndsWithinABurstDoesNotLendItsRecordToEarlierPackets) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> old(b, 0, 40'000);
  old.open();
  old.close();
  const base::Endpoint old_local = old.local();
  // A copy of the last ACK and the SYN of the next connection, in one burst: the new flow takes the old
  // one's record.
  const Bytes last_ack = old.client_packet(ACK).bytes();
  const Bytes syn = from_client<F>(old.address(), Net<F>::vip()).tcp(40'000, kPort, SYN).seq(9).bytes();
  const auto outcomes = b.burst({last_ack, syn}, {});
  ASSERT_TRUE(outcomes[0].forwarded());
  ASSERT_TRUE(outcomes[1].forwarded());
  EXPECT_EQ(outcomes[0].seen().from(), old_local);
  EXPECT_EQ(outcomes[0].seen().dst, base::IpAddress(Net<F>::server(old.server_number())));
  EXPECT_NE(outcomes[1].seen().from(), old_local);
}

}  // namespace
}  // namespace sluice::test
