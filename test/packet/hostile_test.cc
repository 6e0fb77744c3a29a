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

/// A SYN that servers drop without a word, and why we do.
struct FlawedSyn {
  const char* name;
  PacketBuilder packet;
  DropReason reason;
};
template <Family F>
std::vector<FlawedSyn> flawed_syns(const PacketBuilder& syn, const PacketBuilder& ip) {
  Bytes md5(18), ao(16);
  md5[0] = std::byte{19};
  md5[1] = std::byte{18};
  ao[0] = std::byte{29};
  ao[1] = std::byte{16};
  const Bytes cut_off{std::byte{3}, std::byte{3}, std::byte{0}, std::byte{19}};
  std::vector<FlawedSyn> syns{
      {"bad checksum", PacketBuilder(syn).bad_checksum(), DropReason::bad_checksum},
      {"TCP-MD5", PacketBuilder(syn).mss(1460).tcp_options(md5), DropReason::signed_segment},
      {"TCP-AO", PacketBuilder(syn).tcp_options(ao), DropReason::signed_segment},
      {"only looks like TCP-MD5", PacketBuilder(syn).tcp_options(cut_off), DropReason::none}};
  if constexpr (F == Family::v6) {
    syns.push_back({"routing header", PacketBuilder(ip).hop_by_hop(8).routing(24, 1).tcp(40'000, kPort, SYN),
                    DropReason::source_routed});
    syns.push_back({"routing header, used up",
                    PacketBuilder(ip).routing(24, 0).dest_opts(8).tcp(40'000, kPort, SYN), DropReason::none});
  }
  return syns;
}

TYPED_TEST(Hostile, SynsThatNoServerAnswersGetNoFurther) {
  constexpr Family F = TypeParam::kFamily;
  const PacketBuilder ip = from_client<F>(Net<F>::client(), Net<F>::vip());
  for (const FlawedSyn& syn : flawed_syns<F>(PacketBuilder(ip).tcp(40'000, kPort, SYN), ip)) {
    SCOPED_TRACE(syn.name);
    Balancer b;
    b.configure({web<F>(2)});
    const Outcome o = b.send(syn.packet);
    EXPECT_EQ(o.reason, syn.reason) << o;
    EXPECT_EQ(b.flows(), syn.reason == DropReason::none ? 1U : 0U);
  }
}

TEST(HostileIpv4, SourceRoutesAndBadHeadersGetNoFurther) {
  constexpr Family F = Family::v4;
  const auto syn_with = [](const Bytes& options) {
    return from_client<F>(Net<F>::client(), Net<F>::vip()).options(options).tcp(40'000, kPort, SYN);
  };
  for (const unsigned kind : {131U, 137U, 7U, 148U}) {  // LSRR, SSRR, record route, router alert
    for (const std::size_t at : {std::size_t{0}, std::size_t{3}}) {
      SCOPED_TRACE(std::to_string(kind) + " at " + std::to_string(at));
      Bytes options(8, std::byte{1});
      options[at] = std::byte(kind);
      options[at + 1] = options[at + 2] = std::byte{4};
      options[at + 3] = std::byte{0};
      Balancer b;
      b.configure({web<F>(2)});
      const Outcome o = b.send(syn_with(options));
      EXPECT_EQ(o.reason, kind == 131 || kind == 137 ? DropReason::source_routed : DropReason::none) << o;
    }
  }
  Balancer b;
  b.configure({web<F>(2)});
  Bytes frame = syn_with(Bytes(8, std::byte{1})).bytes();
  constexpr std::size_t kChecksum = 14 + 10;
  frame[kChecksum + 1] ^= std::byte{1};
  EXPECT_TRUE(b.send(frame).dropped(DropReason::bad_checksum));
}

TYPED_TEST(Hostile, FlawedCopyDoesNotTakeThePlaceOfAGoodOne) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(2);
  service.retries = 3;
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  const PacketBuilder syn = c.client_packet(SYN);
  ASSERT_TRUE(c.client(SYN).forwarded());
  (void)b.send(PacketBuilder(syn).bad_checksum());
  b.advance(5'200, 100);
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  ASSERT_TRUE(stored[0].forwarded());
  EXPECT_TRUE(check(stored[0].out).empty());
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

TYPED_TEST(Hostile, BlindSegmentsDoNotMakeAHandshakeLast) {  // it holds a place of its server's
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.timeouts.connect = config::Milliseconds(5'000);
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  c.answer_syn();
  for (int i = 0; i < 2; ++i) {
    b.advance(2'000);
    EXPECT_TRUE(c.send_client(c.client_packet(ACK).ack(0x8000'0001U)).forwarded());
    EXPECT_TRUE(c.send_client(c.client_packet(ACK, 10).ack(1)).forwarded());
    EXPECT_EQ(c.state(), FlowState::syn_received);
  }
  b.advance(1'300, 100);
  EXPECT_EQ(c.state(), FlowState::unused);
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
