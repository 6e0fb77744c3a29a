// Packets larger than the next hop's MTU that may be fragmented are (RFC 4787 REQ-13a; RFC 791 §3.2).
#include "test/packet/world.h"

namespace sluice::test {
namespace {

constexpr Family F = Family::v4;

PacketBuilder query(std::size_t length) {
  return from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).payload(length);
}

/// Of each piece: fits, verified by the fixture; all together are the datagram.
void expect_pieces(const Outcome& o, std::size_t pieces, std::size_t mtu, const Bytes& payload) {
  ASSERT_TRUE(o.forwarded()) << o;
  ASSERT_EQ(o.pieces.size(), pieces);
  for (const Bytes& piece : o.pieces) {
    EXPECT_LE(see(piece).ip_length, mtu);
    EXPECT_EQ(see(piece).ttl, 63);
    EXPECT_EQ(see(piece).dst_mac, Balancer::server_mac(0));
  }
  const auto whole = whole_of(o.pieces);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(valid(*whole));
  EXPECT_EQ(see(*whole).payload, payload);
  EXPECT_EQ(see(*whole).to(), (base::Endpoint{Net<F>::server(), kServerPort}));
}

TEST(Split, IntoAsManyAsItTakes) {
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 576);
  const Outcome fits = b.send(query(548));
  EXPECT_TRUE(fits.forwarded());
  EXPECT_TRUE(fits.pieces.empty());
  expect_pieces(b.send(query(549)), 2, 576, pattern(549));
  expect_pieces(b.send(query(1'400)), 3, 576, pattern(1'400));
  expect_pieces(b.send(query(1'400).padding(7)), 3, 576, pattern(1'400));
  EXPECT_EQ(b.counts("dns", "s0").packets_in, 4U);
}

TEST(Split, SegmentsOfTcp) {
  Balancer b;
  b.configure({web<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 1'400);
  Connection<F> c(b, 0, 40'000);
  c.open();
  const Outcome o = b.send(c.client_packet(ACK, 1'400));
  ASSERT_TRUE(o.forwarded()) << o;
  const auto whole = whole_of(o.pieces);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(valid(*whole));
  EXPECT_EQ(see(*whole).payload, pattern(1'400));
}

TEST(Split, AFragmentFurther) {
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 1'000);
  std::vector<Bytes> arrived;
  for (const Bytes& piece : fragments(query(4'000).bytes(), 1'500, 1)) {
    const Outcome o = b.send(piece);
    ASSERT_TRUE(o.forwarded()) << o;
    if (o.pieces.empty()) arrived.push_back(o.out);
    arrived.insert(arrived.end(), o.pieces.begin(), o.pieces.end());
  }
  EXPECT_EQ(arrived.size(), 6U);
  const auto whole = whole_of(arrived);
  ASSERT_TRUE(whole) << "all have one identification";
  EXPECT_EQ(see(*whole).payload, pattern(4'000));
}

TEST(Split, OptionsThatAreNotToBeCopied) {  // RFC 791 §3.1: record route is not, router alert is
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 600);
  const Bytes plain = query(1'000).options(12).bytes();
  Bytes frame = plain;
  const std::uint8_t options[12]{7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0};
  std::copy_n(reinterpret_cast<const std::byte*>(options), 12, frame.begin() + 34);
  // The checksum goes on being right: words are exchanged for others of the same sum at its place.
  std::uint32_t sum = 0;
  frame[24] = frame[25] = std::byte{0};
  for (std::size_t i = 14; i < 46; i += 2)
    sum += std::to_integer<std::uint32_t>(frame[i]) << 8 | std::to_integer<std::uint32_t>(frame[i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16));
  frame[24] = std::byte(sum >> 8 & 0xff);
  frame[25] = std::byte(sum & 0xff);
  const Outcome o = b.send(frame);
  ASSERT_EQ(o.pieces.size(), 2U) << o;
  const auto at = [](const Bytes& piece, std::size_t i) { return std::to_integer<unsigned>(piece[34 + i]); };
  EXPECT_EQ(at(o.pieces[0], 0), 7U);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(at(o.pieces[1], i), 1U) << i;
  EXPECT_EQ(at(o.pieces[1], 8), 148U);
}

TEST(Split, IsBounded) {
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 68);
  EXPECT_TRUE(b.send(query(3'500)).dropped(DropReason::too_big));
  EXPECT_EQ(b.send(query(3'000)).pieces.size(), 63U);
  b.set_mtu(Balancer::kFirstServer, 27);
  EXPECT_TRUE(b.send(query(100)).dropped(DropReason::too_big)) << "no room for a header and 8 bytes";
}

TEST(Split, BehindTags) {
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_tags(Balancer::kFirstServer, {7, 8});
  b.set_mtu(Balancer::kFirstServer, 1'000);
  const Outcome o = b.send(query(1'400));
  ASSERT_EQ(o.pieces.size(), 2U) << o;
  for (const Bytes& piece : o.pieces) EXPECT_EQ(see(piece).tags, (std::vector<std::uint16_t>{7, 8}));
}

TEST(Split, NeverWhatForbidsIt) {
  Balancer b;
  b.configure({dns<F>(1)});
  b.set_mtu(Balancer::kFirstServer, 576);
  const Outcome o = b.send(query(1'400).df());
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.seen().icmp_rest, 576U);
}

TEST(Split, CorruptHeadersStayCorrupt) {
  Balancer b;
  b.configure({dns<F>(1)});
  EXPECT_TRUE(b.send(query(10)).forwarded());
  b.set_mtu(Balancer::kFirstServer, 576);
  Bytes frame = query(1'400).bytes();
  frame[25] ^= std::byte{0x10};
  const Outcome o = b.send(frame);
  ASSERT_EQ(o.pieces.size(), 3U) << o;
  for (const Bytes& piece : o.pieces) EXPECT_FALSE(valid(piece));
}

}  // namespace
}  // namespace sluice::test
