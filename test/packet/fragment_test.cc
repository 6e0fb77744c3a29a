// Fragments of TCP and UDP: forwarded each by itself, in whatever order and at whatever worker they come in,
// and nothing that no whole datagram could be made of (RFC 4787 REQ-14; facts: nat case 3).
#include <algorithm>
#include <set>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

constexpr std::size_t kMtu = 1500;

template <typename T>
class Fragment : public testing::Test {};
TYPED_TEST_SUITE(Fragment, Families);

/// A datagram of a client to the service.
template <Family F>
PacketBuilder query(unsigned client, std::size_t length, std::uint16_t port = 5'000) {
  return from_client<F>(Net<F>::client(client), Net<F>::vip()).udp(port, kPort).payload(length);
}

/// The datagrams that what is forwarded makes up.
class Receiver {
 public:
  void take(const std::vector<Outcome>& outcomes) {
    for (const Outcome& o : outcomes) {
      if (o.forwarded()) frames_.push_back(o.out);
    }
  }
  void take(const Outcome& outcome) { take(std::vector<Outcome>{outcome}); }
  [[nodiscard]] std::size_t frames() const { return frames_.size(); }
  /// What all of it makes up; verified, checksums of the whole included.
  [[nodiscard]] Seen whole() const {
    const auto joined = whole_of(frames_);
    EXPECT_TRUE(joined) << frames_.size() << " frames make up no datagram";
    if (!joined) return {};
    EXPECT_TRUE(valid(*joined));
    return see(*joined);
  }

 private:
  std::vector<Bytes> frames_;
};

/// Sends fragments of a client's or server's datagram, each at the worker that `worker_of` names; what was
/// kept meanwhile counts too.
template <typename WorkerOf>
Receiver send_all(Balancer& b, const std::vector<Bytes>& pieces, std::uint16_t port, WorkerOf&& worker_of) {
  Receiver receiver;
  unsigned n = 0;
  for (const Bytes& piece : pieces) {
    receiver.take(b.send(piece, {.worker = worker_of(n++), .port = port, .segment = 0}));
    receiver.take(b.take_kept());
  }
  return receiver;
}
Receiver send_all(Balancer& b, const std::vector<Bytes>& pieces, std::uint16_t port = 0) {
  return send_all(b, pieces, port, [](unsigned) { return 0U; });
}

Balancer::Options with_workers(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  return options;
}

TYPED_TEST(Fragment, InOrderBothWays) {  // VPP: frag_in_order
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto pieces = fragments(query<F>(0, 8'000).bytes(), kMtu, 77);
  const Receiver server = send_all(b, pieces);
  EXPECT_EQ(server.frames(), pieces.size());
  const Seen got = server.whole();
  EXPECT_EQ(got.to(), (base::Endpoint{Net<F>::server(), kServerPort}));
  EXPECT_EQ(got.payload, pattern(8'000));
  EXPECT_EQ(got.ttl, 63);
  const auto answer = from_server<F>(0, got.src.template as<F>()).udp(kServerPort, got.sport).payload(9'000);
  const auto back = fragments(answer.bytes(), kMtu, 78);
  const Receiver client = send_all(b, back, 1);
  EXPECT_EQ(client.frames(), back.size());
  EXPECT_EQ(client.whole().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(client.whole().to(), (base::Endpoint{Net<F>::client(), 5'000}));
  EXPECT_EQ(client.whole().payload, pattern(9'000));
  const auto counts = b.counts("dns", "s0");
  EXPECT_EQ(counts.packets_in, pieces.size()) << "each fragment counts";
  EXPECT_EQ(counts.packets_out, back.size());
}

TYPED_TEST(Fragment, InAnyOrder) {  // VPP: frag_out_of_order
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  auto order = fragments(query<F>(0, 5'000).bytes(), kMtu, 0);
  std::vector<std::size_t> which(order.size());
  for (std::size_t i = 0; i < which.size(); ++i) which[i] = i;
  std::uint32_t id = 1;
  do {
    const auto pieces = fragments(query<F>(0, 5'000).bytes(), kMtu, id++);
    std::vector<Bytes> shuffled;
    for (const std::size_t i : which) shuffled.push_back(pieces[i]);
    const Receiver server = send_all(b, shuffled);
    ASSERT_EQ(server.frames(), pieces.size());
    ASSERT_EQ(server.whole().payload, pattern(5'000));
  } while (std::next_permutation(which.begin(), which.end()));
  EXPECT_EQ(b.worker().fragments.datagrams(), 0) << "forgotten when all have come";
  EXPECT_EQ(b.worker().fragments.kept(), 0);
}

TYPED_TEST(Fragment, InOneBurstLastFirst) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  auto pieces = fragments(query<F>(0, 20'000).bytes(), kMtu, 5);
  std::reverse(pieces.begin(), pieces.end());
  Receiver server;
  server.take(b.burst(pieces, {}));
  EXPECT_EQ(server.frames(), 1U) << "only the first can go at once";
  server.take(b.take_kept());
  EXPECT_EQ(server.whole().payload, pattern(20'000));
}

TYPED_TEST(Fragment, AtAnyWorker) {
  constexpr Family F = TypeParam::kFamily;
  for (const unsigned workers : {2U, 3U, 4U}) {
    Balancer b(with_workers(workers));
    b.configure({dns<F>(3)});
    for (unsigned n = 0; n < 40; ++n) {
      auto pieces = fragments(query<F>(n, 4'000).bytes(), kMtu, n);
      if (n % 3 == 1) std::reverse(pieces.begin(), pieces.end());
      if (n % 3 == 2) std::rotate(pieces.begin(), pieces.begin() + 1, pieces.end());
      const Receiver server = send_all(b, pieces, 0, [&](unsigned i) { return (i + n) % workers; });
      const Seen got = server.whole();
      ASSERT_EQ(got.payload, pattern(4'000)) << n;
      const auto answer = from_server<F>(number_of_server<F>(got.dst), got.src.template as<F>())
                              .udp(kServerPort, got.sport)
                              .payload(6'000);
      auto back = fragments(answer.bytes(), kMtu, n);
      if (n % 2 == 1) std::reverse(back.begin(), back.end());
      const Receiver client = send_all(b, back, 1, [&](unsigned i) { return (2 * i + n) % workers; });
      ASSERT_EQ(client.whole().payload, pattern(6'000)) << n;
      ASSERT_EQ(client.whole().dst, base::IpAddress(Net<F>::client(n)));
    }
    EXPECT_EQ(b.flows(), 40U);
    EXPECT_GT(b.handed_over(), 0U);
    for (unsigned id = 0; id < workers; ++id) EXPECT_EQ(b.worker(id).fragments.datagrams(), 0);
  }
}

TYPED_TEST(Fragment, OfTheLongestDatagram) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const std::size_t most = 65'535 - 8 - (F == Family::v4 ? 20 : 0);
  const Receiver server = send_all(b, fragments(query<F>(0, most).bytes(), F == Family::v4 ? 576 : 1'280, 9));
  EXPECT_EQ(server.whole().payload.size(), most);
}

TYPED_TEST(Fragment, OfTcp) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint32_t from = c.next_;
  auto pieces = fragments(c.client_packet(ACK, 4'000).bytes(), kMtu, 1);
  std::reverse(pieces.begin(), pieces.end());
  const Seen got = send_all(b, pieces).whole();
  EXPECT_EQ(got.from(), c.local());
  EXPECT_EQ(got.seq, from + c.shift());
  EXPECT_EQ(got.payload, pattern(4'000));
  c.next_ += 4'000;
  EXPECT_EQ(c.flow()->end[dp::index(Direction::to_server)], c.next_) << "all of the segment counts";
  const Seen back = send_all(b, fragments(c.server_packet(ACK, 3'000).bytes(), kMtu, 2), 1).whole();
  EXPECT_EQ(back.ack, c.next_);
  EXPECT_EQ(back.payload, pattern(3'000));
  c.peer_next_ += 3'000;
  // A FIN in fragments ends the connection as a whole one does.
  EXPECT_EQ(send_all(b, fragments(c.client_packet(FIN | ACK, 2'000).bytes(), kMtu, 3)).frames(), 2U);
  c.next_ += 2'001;
  EXPECT_TRUE(c.server(FIN | ACK).forwarded());
  EXPECT_TRUE(c.client(ACK).forwarded());
  EXPECT_EQ(c.state(), FlowState::time_wait);
}

TYPED_TEST(Fragment, OfTcpWithTranslatedNumbers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  Connection<F>(b, 0, 40'000, 2'000'000'000U).open().close_by_server();
  Connection<F> c(b, 1, 40'001, 1'000);
  c.open();
  ASSERT_NE(c.shift(), 0U) << "the row needs a port pair that the server may remember";
  const Seen got = send_all(b, fragments(c.client_packet(ACK, 3'000).bytes(), kMtu, 1)).whole();
  EXPECT_EQ(got.seq, c.next_ + c.shift());
  c.next_ += 3'000;
  const Seen back = send_all(b, fragments(c.server_packet(ACK, 3'000).bytes(), kMtu, 2), 1).whole();
  EXPECT_EQ(back.ack, c.next_);
  EXPECT_EQ(c.flow()->acked[dp::index(Direction::to_client)], c.next_);
}

TYPED_TEST(Fragment, KeepsAFlowAlive) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const auto pieces = fragments(c.client_packet(ACK, 2'000).bytes(), kMtu, 1);
  EXPECT_TRUE(b.send(pieces[0]).forwarded());
  b.advance(1'000);
  EXPECT_TRUE(b.send(pieces[1]).forwarded());
  EXPECT_EQ(c.flow()->last_seen, b.now());
}

TEST(FragmentIpv4, WithoutUdpChecksum) {
  constexpr Family F = Family::v4;
  Balancer b;
  b.configure({dns<F>(1)});
  const Seen got = send_all(b, fragments(query<F>(0, 3'000).no_udp_checksum().bytes(), kMtu, 1)).whole();
  EXPECT_EQ(got.checksum, 0);
  EXPECT_EQ(got.payload, pattern(3'000));
}

TYPED_TEST(Fragment, DuplicatesAreDropped) {  // RFC 8200 §4.5: "drop exact duplicate fragments"
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto pieces = fragments(query<F>(0, 4'000).bytes(), kMtu, 1);
  ASSERT_EQ(pieces.size(), 3U);
  Receiver server;
  EXPECT_EQ(b.send(pieces[1]).verdict, Verdict::keep);
  EXPECT_TRUE(b.send(pieces[1]).dropped(DropReason::fragment_duplicate));
  server.take(b.send(pieces[0]));
  EXPECT_TRUE(b.send(pieces[0]).dropped(DropReason::fragment_duplicate));
  EXPECT_TRUE(b.send(pieces[1]).dropped(DropReason::fragment_duplicate));
  server.take(b.take_kept());
  server.take(b.send(pieces[2]));
  EXPECT_EQ(server.whole().payload, pattern(4'000));
}

/// Pieces of a datagram of another length or cut: they overlap those of pieces().
template <Family F>
std::vector<Bytes> cut_elsewhere(std::uint32_t id) {
  return fragments(query<F>(0, 4'000).bytes(), 1'280, id);
}

TYPED_TEST(Fragment, OverlapsEndTheDatagram) {  // RFC 5722 §4
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto pieces = fragments(query<F>(0, 4'000).bytes(), kMtu, 1);
  EXPECT_TRUE(b.send(pieces[0]).forwarded());
  EXPECT_TRUE(b.send(cut_elsewhere<F>(1)[1]).dropped(DropReason::fragment_overlap));
  EXPECT_TRUE(b.send(pieces[1]).dropped(DropReason::fragment_overlap)) << "also what fits";
  EXPECT_TRUE(b.send(pieces[2]).dropped(DropReason::fragment_overlap));
  const auto others = fragments(query<F>(0, 4'000).bytes(), kMtu, 2);
  EXPECT_EQ(send_all(b, others).frames(), 3U) << "others are none the worse for it";
}

TYPED_TEST(Fragment, OverlapsEndWhatIsKept) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto pieces = fragments(query<F>(0, 4'000).bytes(), kMtu, 1);
  EXPECT_EQ(b.send(pieces[1]).verdict, Verdict::keep);
  EXPECT_EQ(b.send(pieces[2]).verdict, Verdict::keep);
  EXPECT_TRUE(b.send(cut_elsewhere<F>(1)[1]).dropped(DropReason::fragment_overlap));
  const auto kept = b.take_kept();
  ASSERT_EQ(kept.size(), 2U);
  for (const Outcome& o : kept) EXPECT_TRUE(o.dropped(DropReason::fragment_overlap));
  EXPECT_TRUE(b.send(pieces[0]).dropped(DropReason::fragment_overlap));
  EXPECT_EQ(b.flows(), 0U);
  b.advance(dp::Fragments::kPatienceMs);
  EXPECT_EQ(b.worker().fragments.datagrams(), 0);
}

TYPED_TEST(Fragment, TwoEndsContradict) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto pieces = fragments(query<F>(0, 4'000).bytes(), kMtu, 1);
  EXPECT_TRUE(b.send(pieces[0]).forwarded());
  EXPECT_TRUE(b.send(pieces[2]).forwarded());
  EXPECT_TRUE(b.send(fragments(query<F>(0, 6'000).bytes(), kMtu, 1)[3]).dropped(DropReason::fragment_overlap))
      << "beyond the end";
}

/// A fragment that a host would not make: `l4` and what follows it are cut to `length` bytes.
template <Family F>
Bytes first_of(PacketBuilder packet, std::size_t length, std::uint32_t id) {
  const Bytes whole = packet.bytes();
  const std::size_t head = F == Family::v4 ? 34 : 54;
  const std::vector<std::byte> l4(whole.begin() + static_cast<std::ptrdiff_t>(head),
                                  whole.begin() + static_cast<std::ptrdiff_t>(head + length));
  return from_client<F>(Net<F>::client(), Net<F>::vip()).fragment(0, true, id).protocol(6).raw(l4).bytes();
}

TYPED_TEST(Fragment, TinyFirst) {  // RFC 1858 §3, RFC 7112 §5
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const auto data = c.client_packet(ACK, 100).timestamps(1, 2);  // a header of 32 bytes
  for (const std::size_t length : {8U, 16U, 24U}) {
    EXPECT_TRUE(b.send(first_of<F>(data, length, 1)).dropped(DropReason::fragment_tiny)) << length;
  }
  EXPECT_TRUE(b.send(first_of<F>(data, 32, 2)).forwarded());
}

TYPED_TEST(Fragment, FlagsBehindTheFirst) {  // RFC 3128: a fragment at byte 8 would overwrite the flags
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const auto second =
      from_client<F>(Net<F>::client(), Net<F>::vip()).fragment(8, false, 7).protocol(6).payload(32).bytes();
  EXPECT_EQ(b.send(second).verdict, Verdict::keep);
  EXPECT_TRUE(b.send(first_of<F>(c.client_packet(ACK, 100), 40, 7)).dropped(DropReason::fragment_overlap));
  ASSERT_EQ(b.take_kept().size(), 1U);
}

TEST(FragmentIpv6, HeaderChainInTheFirst) {  // RFC 7112 §5
  constexpr Family F = Family::v6;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto ip = from_client<F>(Net<F>::client(), Net<F>::vip());
  // Destination options behind the fragment header: only the first fragment tells that UDP follows.
  const Bytes whole = PacketBuilder(ip).dest_opts(8).udp(5'000, kPort).payload(3'000).bytes();
  auto pieces = fragments(whole, kMtu, 1);
  ASSERT_EQ(pieces.size(), 3U);
  std::reverse(pieces.begin(), pieces.end());
  EXPECT_EQ(send_all(b, pieces).whole().payload, pattern(3'000));
  // Options that reach into the next fragment: nobody can tell what follows.
  const Bytes chain = PacketBuilder(ip).dest_opts(64).udp(5'000, kPort).payload(3'000).bytes();
  const Outcome torn = b.send(fragments(chain, 40 + 8 + 32, 2).front());
  EXPECT_EQ(torn.verdict, Verdict::punt) << torn;
}

TYPED_TEST(Fragment, ThatCannotBe) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  const auto ip = from_client<F>(Net<F>::client(), Net<F>::vip());
  EXPECT_TRUE(b.send(PacketBuilder(ip).fragment(64, true, 1).protocol(17).payload(63))
                  .dropped(DropReason::fragment_malformed));
  EXPECT_TRUE(b.send(PacketBuilder(ip).fragment(65'528, false, 2).protocol(17).payload(64))
                  .dropped(DropReason::fragment_malformed))
      << "beyond 65,535 bytes";
  EXPECT_TRUE(
      b.send(PacketBuilder(ip).fragment(64, false, 3).protocol(17)).dropped(DropReason::fragment_malformed));
  EXPECT_EQ(b.worker().fragments.datagrams(), 0);
}

TYPED_TEST(Fragment, WithoutTheFirstNothingPasses) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  EXPECT_TRUE(b.send(query<F>(0, 10)).forwarded());
  const auto pieces = fragments(query<F>(0, 4'000).bytes(), kMtu, 1);
  EXPECT_EQ(b.send(pieces[1]).verdict, Verdict::keep);
  b.advance(dp::Fragments::kPatienceMs - 1'000);
  EXPECT_EQ(b.send(pieces[2]).verdict, Verdict::keep);
  b.advance(1'000);
  const auto kept = b.take_kept();
  ASSERT_EQ(kept.size(), 2U);
  for (const Outcome& o : kept) EXPECT_TRUE(o.dropped(DropReason::fragment_timeout)) << o;
  EXPECT_EQ(b.worker().fragments.datagrams(), 0);
  EXPECT_TRUE(b.send(pieces[0]).forwarded()) << "what comes then begins anew";
}

TYPED_TEST(Fragment, WithoutAFlowNothingPasses) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>(1);
  service.servers[0].weight = 0;
  service.no_server = config::NoServer::drop;
  b.configure({service});
  const auto pieces = fragments(query<F>(0, 4'000).bytes(), kMtu, 1);
  EXPECT_EQ(b.send(pieces[2]).verdict, Verdict::keep);
  EXPECT_TRUE(b.send(pieces[0]).dropped(DropReason::no_server));
  EXPECT_TRUE(b.send(pieces[1]).dropped(DropReason::fragment_no_flow));
  const auto kept = b.take_kept();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_TRUE(kept[0].dropped(DropReason::fragment_no_flow));
}

TYPED_TEST(Fragment, OfASynBeginNothing) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  const auto syn =
      from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1).payload(2'000);
  const auto pieces = fragments(syn.bytes(), kMtu, 1);
  EXPECT_TRUE(b.send(pieces[0]).dropped(DropReason::fragmented_syn));
  EXPECT_TRUE(b.send(pieces[1]).dropped(DropReason::fragment_no_flow));
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Fragment, OfAnUnknownConnectionAreAnsweredByTheFirst) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  const auto data = from_client<F>(Net<F>::client(), Net<F>::vip());
  const auto pieces =
      fragments(PacketBuilder(data).tcp(40'000, kPort, ACK).seq(1).ack(9).payload(2'000).bytes(), kMtu, 1);
  const Outcome reset = b.send(pieces[0]);
  ASSERT_TRUE(reset.reflected()) << reset;
  EXPECT_EQ(reset.seen().flags, RST);
  EXPECT_EQ(reset.seen().seq, 9U);
  EXPECT_TRUE(b.send(pieces[1]).dropped(DropReason::fragment_no_flow));
  // Without an acknowledgement the answer would have to tell the segment's length.
  const auto bare = fragments(PacketBuilder(data).tcp(1, kPort, PSH).seq(1).payload(2'000).bytes(), kMtu, 2);
  EXPECT_TRUE(b.send(bare[0]).dropped(DropReason::fragment_no_flow));
}

TYPED_TEST(Fragment, ForTheKernelAreTheKernels) {
  constexpr Family F = TypeParam::kFamily;
  for (const unsigned workers : {1U, 4U}) {
    Balancer b(with_workers(workers));
    b.configure({dns<F>(1)});
    const auto other = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, 99).payload(4'000);
    auto pieces = fragments(other.bytes(), kMtu, 1);
    for (const Bytes& piece : pieces) EXPECT_EQ(b.send(piece).verdict, Verdict::punt);
    pieces = fragments(other.bytes(), kMtu, 2);
    EXPECT_EQ(b.send(pieces[2]).verdict, Verdict::keep);
    EXPECT_EQ(b.send(pieces[1]).verdict, Verdict::keep);
    EXPECT_EQ(b.send(pieces[0]).verdict, Verdict::punt);
    const auto kept = b.take_kept();
    ASSERT_EQ(kept.size(), 2U);
    for (const Outcome& o : kept) EXPECT_EQ(o.verdict, Verdict::punt);
    const auto ping = from_client<F>(Net<F>::client(), Net<F>::vip());
    PacketBuilder echo = F == Family::v4 ? PacketBuilder(ping).icmp(8, 0) : PacketBuilder(ping).icmp6(128, 0);
    for (const Bytes& piece : fragments(echo.payload(4'000).bytes(), kMtu, 3)) {
      EXPECT_EQ(b.send(piece).verdict, Verdict::punt);
    }
  }
}

TYPED_TEST(Fragment, OfAServerThatIsTheClient) {  // VPP: reass_hairpinning
  constexpr Family F = TypeParam::kFamily;
  for (const unsigned workers : {1U, 3U}) {
    Balancer b(with_workers(workers));
    b.configure({dns<F>(1)});
    const auto worker_of = [&](unsigned i) { return i % workers; };
    const auto asks = from_server<F>(0, Net<F>::vip()).udp(5'000, kPort).payload(4'000);
    auto pieces = fragments(asks.bytes(), kMtu, 1);
    std::reverse(pieces.begin(), pieces.end());
    const Seen got = send_all(b, pieces, 1, worker_of).whole();
    EXPECT_EQ(got.to(), (base::Endpoint{Net<F>::server(), kServerPort}));
    EXPECT_EQ(got.src, base::IpAddress(Net<F>::vip())) << "not its own address, which it would drop";
    const auto answers = from_server<F>(0, Net<F>::vip()).udp(kServerPort, got.sport).payload(5'000);
    const Seen back = send_all(b, fragments(answers.bytes(), kMtu, 2), 1, worker_of).whole();
    EXPECT_EQ(back.from(), (base::Endpoint{Net<F>::vip(), kPort}));
    EXPECT_EQ(back.to(), (base::Endpoint{Net<F>::server(), 5'000}));
    EXPECT_EQ(back.payload, pattern(5'000));
  }
}

TYPED_TEST(Fragment, WithoutAHopLeft) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({dns<F>(1)});
  EXPECT_TRUE(b.send(query<F>(0, 10)).forwarded());
  const auto pieces = fragments(query<F>(0, 4'000).ttl(1).bytes(), kMtu, 1);
  EXPECT_TRUE(b.send(pieces[0]).reflected());
  const Outcome later = b.send(pieces[1]);
  if (F == Family::v4) {
    EXPECT_TRUE(later.dropped(DropReason::ttl_expired)) << "RFC 1812 §4.3.2.7: only about the first";
  } else {
    EXPECT_TRUE(later.reflected());
  }
}

std::uint32_t id_of(const Bytes& frame) {
  return std::to_integer<std::uint32_t>(frame[18]) << 8 | std::to_integer<std::uint32_t>(frame[19]);
}

TEST(FragmentIpv4, IdentificationsDoNotMeet) {  // RFC 6864 §5.3.1, RFC 7857 §10
  constexpr Family F = Family::v4;
  Balancer b(with_workers(3));
  b.configure({dns<F>(1)});
  std::set<std::uint32_t> used;
  for (unsigned n = 0; n < 200; ++n) {  // all clients use the same
    std::set<std::uint32_t> ids;
    for (const Bytes& piece : fragments(query<F>(n, 4'000).bytes(), kMtu, 1)) {
      const Outcome o = b.send(piece, {.worker = n % 3, .port = 0, .segment = 0});
      ASSERT_TRUE(o.forwarded());
      ids.insert(id_of(o.out));
    }
    ASSERT_EQ(ids.size(), 1U) << "one for all of a datagram";
    ASSERT_TRUE(used.insert(*ids.begin()).second);
    const Outcome whole = b.send(query<F>(n, 100).id(1), {.worker = n % 3, .port = 0, .segment = 0});
    ASSERT_TRUE(used.insert(id_of(whole.out)).second) << "it may be fragmented further on";
  }
  const Outcome atomic = b.send(query<F>(0, 100).id(1).df());
  EXPECT_EQ(id_of(atomic.out), 1U) << "RFC 6864 §4.1: what is never fragmented needs none";
}

TYPED_TEST(Fragment, FloodTouchesNobody) {
  constexpr Family F = TypeParam::kFamily;
  constexpr unsigned kFlood = 200'000;
  for (const unsigned workers : {1U, 2U}) {
    Balancer b(with_workers(workers));
    b.configure({dns<F>(1), web<F>(1)});
    std::vector<Connection<F>> connections;
    for (unsigned n = 0; n < 8; ++n) {
      connections.emplace_back(b, n, static_cast<std::uint16_t>(40'000 + n));
      connections.back().at_worker(n % workers, (n + 1) % workers).open();
    }
    unsigned fragmented = 0;
    for (unsigned n = 0; n < kFlood; n += 20) {
      std::vector<Bytes> burst;
      for (unsigned i = n; i < n + 20; ++i) {
        burst.push_back(from_client<F>(Net<F>::client(i % 5'000), Net<F>::vip())
                            .fragment(8 * (1 + i % 100), i % 2 == 0, i)
                            .protocol(i % 3 == 0 ? 17 : 6)
                            .payload(8 * (1 + i % 4))
                            .bytes());
      }
      for (const Outcome& o : b.burst(burst, {.worker = n / 20 % workers, .port = 0, .segment = 0})) {
        ASSERT_FALSE(o.forwarded());
      }
      for (const Outcome& o : b.take_kept()) ASSERT_FALSE(o.forwarded());
      if (n % 2'000 == 0) b.advance(1, 1);
      for (unsigned id = 0; id < workers; ++id) {
        ASSERT_LE(b.worker(id).fragments.datagrams(), dp::Fragments::kDatagrams);
        ASSERT_LE(b.worker(id).fragments.kept(), dp::Fragments::kPlaces);
      }
      Connection<F>& c = connections[n / 20 % 8];
      ASSERT_TRUE(c.client(ACK, 100).forwarded());
      ASSERT_TRUE(c.server(ACK, 100).forwarded());
      if (n % 400 == 0) {  // and fragments that follow one another closely are well off, too
        const auto pieces = fragments(query<F>(7, 3'000).bytes(), kMtu, 1'000'000 + n);
        const Receiver server = send_all(b, pieces, 0, [&](unsigned) { return n / 20 % workers; });
        ASSERT_EQ(server.whole().payload, pattern(3'000));
        ++fragmented;
      }
    }
    EXPECT_EQ(fragmented, kFlood / 400);
    EXPECT_EQ(b.flows(), 9U) << "none was begun, none was lost";
  }
}

}  // namespace
}  // namespace sluice::test
