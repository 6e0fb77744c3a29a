#include "test/packet/world.h"

/// What someone sends who sees none of the answers: it must neither be answered to the wrong host nor end a
/// connection.
namespace sluice::test {
namespace {

template <typename T>
class Hostile : public testing::Test {};
TYPED_TEST_SUITE(Hostile, Families);

template <Family F>
std::vector<base::Address<F>> impossible_sources() {
  std::vector<base::Address<F>> sources{Net<F>::vip(), Net<F>::vip(1)};
  const std::vector<std::string> texts =
      F == Family::v4
          ? std::vector<std::string>{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.18", "255.255.255.255"}
          : std::vector<std::string>{"::", "::1", "ff02::1"};
  for (const std::string& text : texts) sources.push_back(base::IpAddress::parse(text)->template as<F>());
  return sources;
}

TYPED_TEST(Hostile, SourcesThatCannotBeBeginNothingAndGetNoAnswer) {  // RFC 1122 §3.2.1.3, RFC 9293 MUST-57
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto resolver = dns<F>();
  resolver.vip = {Net<F>::vip(1), 53};
  b.configure({web<F>(), resolver});
  for (const auto& source : impossible_sources<F>()) {
    SCOPED_TRACE(base::IpAddress(source).to_string());
    const PacketBuilder from = from_client<F>(source, Net<F>::vip());
    EXPECT_TRUE(b.send(PacketBuilder(from).tcp(kPort, kPort, SYN)).dropped(DropReason::bad_source));
    EXPECT_TRUE(b.send(PacketBuilder(from).tcp(40'000, kPort, ACK)).dropped(DropReason::bad_source));
    EXPECT_TRUE(b.send(PacketBuilder(from).tcp(40'000, 20'000, ACK)).dropped(DropReason::bad_source));
    EXPECT_TRUE(b.send(from_client<F>(source, Net<F>::vip(1)).udp(53, 53)).dropped(DropReason::bad_source));
  }
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Hostile, GroupsOfStationsAreNotAnswered) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(0)});
  const base::Mac group{{0x01, 0x00, 0x5e, 0, 0, 1}};
  const PacketBuilder from = with_ip<F>(eth(group, Balancer::port_mac(0)), Net<F>::client(), Net<F>::vip());
  EXPECT_TRUE(b.send(PacketBuilder(from).tcp(40'000, kPort, SYN)).dropped(DropReason::bad_source));
  EXPECT_TRUE(b.send(PacketBuilder(from).tcp(40'000, kPort, ACK)).dropped(DropReason::bad_source));
}

TYPED_TEST(Hostile, BlindFinsDoNotCloseAConnection) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_TRUE(c.client(ACK, 100).forwarded());
  EXPECT_TRUE(c.server(ACK, 100).forwarded());
  for (const std::uint32_t off :
       {0x1000U, 0x10'0000U, 0x4000'0000U, 0x7fff'0000U, 0x8000'0000U, 0xc000'0000U}) {
    SCOPED_TRACE(off);
    auto to_server = c.client_packet(FIN | ACK), to_client = c.server_packet(FIN | ACK);
    EXPECT_TRUE(c.send_client(to_server.seq(c.next_ - off)).forwarded()) << "the endpoint judges";
    EXPECT_TRUE(c.send_server(to_client.seq(c.peer_next_ - off)).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
  }
  c.close();
}

TYPED_TEST(Hostile, BlindAcksDuringTheHandshakeSpoilNothing) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint32_t guess : {1U, 0x8000'0001U, 0xffff'fff0U}) {
    SCOPED_TRACE(guess);
    Balancer b;
    b.configure({web<F>(1)});
    Connection<F> c(b, 0, 40'000);
    EXPECT_TRUE(c.client(SYN).forwarded());
    EXPECT_TRUE(c.send_client(c.client_packet(ACK).ack(guess)).forwarded());
    c.answer_syn();
    EXPECT_TRUE(c.send_client(c.client_packet(ACK).ack(guess)).forwarded());
    EXPECT_TRUE(c.client(ACK).forwarded());
    EXPECT_EQ(c.state(), FlowState::established);
    EXPECT_EQ(c.flow()->acked[dp::index(Direction::to_server)], Connection<F>::kServerIsn + 1);
    c.close();
  }
}

}  // namespace
}  // namespace sluice::test
