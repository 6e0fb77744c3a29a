#include "base/checksum.h"

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
  std::vector<std::byte> bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

/// RFC 1071 §4.1 word by word, on host-order words: the plain text that the fast sum is held against.
std::uint16_t plain_sum(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += std::to_integer<std::uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t host_order(std::uint16_t raw) {
  return Be16::from_raw(raw).host();
}

template <typename T>
void put(std::vector<std::byte>& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

TEST(Checksum, Rfc1071_3_Example) {
  const auto bytes = bytes_of({0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7});
  EXPECT_EQ(host_order(fold(sum_bytes(bytes))), 0xddf2);
}

TEST(Checksum, Rfc1071_2_SwapsWithItsInput) {
  const auto bytes = bytes_of({0x01, 0x00, 0x03, 0xf2, 0xf5, 0xf4, 0xf7, 0xf6});
  EXPECT_EQ(host_order(fold(sum_bytes(bytes))), 0xf2dd);
}

TEST(Checksum, KnownIpv4Header) {
  auto header = bytes_of({0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                          0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7});
  const Be16 checksum = ipv4_checksum(header);
  EXPECT_EQ(checksum.host(), 0xb861);
  put(header, 10, checksum);
  EXPECT_EQ(fold(sum_bytes(header)), 0xffff);  // a receiver's sum over a good header
}

TEST(Checksum, FastSumEqualsPlainSumForEveryLengthAndAlignment) {
  std::mt19937 random{1071};
  std::vector<std::byte> bytes(2100);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t length = 0; length + start <= 200; ++length) {
      const std::span part = std::span<const std::byte>{bytes}.subspan(start, length);
      ASSERT_EQ(host_order(fold(sum_bytes(part))), plain_sum(part)) << start << '+' << length;
    }
  }
  EXPECT_EQ(host_order(fold(sum_bytes(bytes))), plain_sum(bytes));
}

TEST(Checksum, LosesNoCarry) {
  const std::vector<std::byte> ones(65535, std::byte{0xff});
  EXPECT_EQ(host_order(fold(sum_bytes(ones))), plain_sum(ones));
  const auto pair = bytes_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0});
  EXPECT_EQ(host_order(fold(sum_bytes(pair, ~std::uint64_t{0}))), 0x0100);
  EXPECT_LE(sum_bytes(ones, ~std::uint64_t{0}), 0x1fffffffeU);  // leaves room to add to it
}

TEST(Checksum, IsTheSameInTwoPieces) {
  std::mt19937 random{2};
  std::vector<std::byte> bytes(1500);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  const std::span<const std::byte> all{bytes};
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 2) {
    ASSERT_EQ(fold(sum_bytes(all.subspan(cut), sum_bytes(all.first(cut)))), fold(sum_bytes(all)));
  }
}

TEST(Checksum, PseudoHeaderIsTheWordsOfTheRfc) {
  const auto v4 = bytes_of({192, 0, 2, 1, 198, 51, 100, 7, 0, 6, 0x05, 0xdc});  // RFC 9293 §3.1
  EXPECT_EQ(
      fold(pseudo_header_sum(*Ipv4::parse("192.0.2.1"), *Ipv4::parse("198.51.100.7"), IpProto::tcp, 1500)),
      fold(sum_bytes(v4)));

  const Ipv6 src = *Ipv6::parse("2001:db8::1");
  const Ipv6 dst = *Ipv6::parse("fe80::abcd:1");
  std::vector<std::byte> v6(40);  // RFC 8200 §8.1
  put(v6, 0, src);
  put(v6, 16, dst);
  put(v6, 32, Be32{70000});
  put(v6, 36, Be32{17});
  EXPECT_EQ(fold(pseudo_header_sum(src, dst, IpProto::udp, 70000)), fold(sum_bytes(v6)));
}

/// A UDP segment of 10 bytes whose sum can be steered by its last word.
struct UdpCase {
  Ipv4 src = Ipv4::from_host(0xc0000201);
  Ipv4 dst = Ipv4::from_host(0xc6336407);
  std::vector<std::byte> segment = std::vector<std::byte>(10);

  explicit UdpCase(std::uint16_t word) {
    put(segment, 0, UdpHdr{Be16{40000}, Be16{53}, Be16{10}, Be16{}});
    put(segment, 8, Be16{word});
  }
  [[nodiscard]] Be16 full() const { return l4_checksum(src, dst, IpProto::udp, segment); }
  [[nodiscard]] Be16 full_as(IpProto proto) const { return l4_checksum(src, dst, proto, segment); }
};

TEST(UpdateChecksum, EqualsTheFullSumForAll65536WordsAndRewrites) {
  // Rewrites the source address and port, as a NAT does, for every value of another word: every checksum
  // occurs.
  const Ipv4 new_src = Ipv4::from_host(0x0a0000fe);
  ChecksumDelta delta;
  delta.replace(UdpCase{0}.src, new_src);
  delta.replace(Be16{40000}, Be16{1024});
  std::size_t computed_zero = 0;
  for (std::uint32_t word = 0; word <= 0xffff; ++word) {
    UdpCase before{static_cast<std::uint16_t>(word)};
    UdpCase after = before;
    after.src = new_src;
    put(after.segment, 0, Be16{1024});
    ASSERT_EQ(update_udp_checksum(before.full(), delta), after.full()) << word;
    ASSERT_EQ(update_checksum(before.full_as(IpProto::tcp), delta), after.full_as(IpProto::tcp)) << word;
    ASSERT_EQ(update_udp_checksum(after.full(), delta.inverse()), before.full()) << word;
    ASSERT_NE(after.full().raw(), 0);
    computed_zero += after.full().raw() == 0xffff ? 1 : 0;
  }
  EXPECT_EQ(computed_zero, 1U);  // the case of the zero rule was among them
}

TEST(UpdateChecksum, EqualsTheFullSumForEveryValueOfTheChangedWord) {
  auto header =
      bytes_of({0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7});
  const Be16 before = ipv4_checksum(header);
  for (std::uint32_t word = 0; word <= 0xffff; ++word) {
    const Be16 id{static_cast<std::uint16_t>(word)};
    put(header, 4, id);
    ChecksumDelta delta;
    delta.replace(Be16{0}, id);
    ASSERT_EQ(update_checksum(before, delta), ipv4_checksum(header)) << word;
  }
}

TEST(UpdateChecksum, Rfc1624_4_Example) {
  // The example that RFC 1141's formula gets wrong: 0xdd2f, 0x5555 replaced by 0x3285, must become 0x0000.
  ChecksumDelta delta;
  delta.replace(Be16{0x5555}, Be16{0x3285});
  EXPECT_EQ(update_checksum(Be16{0xdd2f}, delta).host(), 0x0000);
}

TEST(UpdateChecksum, Rfc768ZeroMeansNone) {
  ChecksumDelta delta;
  delta.replace(Be16{0x5555}, Be16{0x3285});
  EXPECT_EQ(update_udp_checksum(Be16{0}, delta).host(), 0);            // none stays none
  EXPECT_EQ(update_udp_checksum(Be16{0xdd2f}, delta).host(), 0xffff);  // computed zero
}

TEST(UpdateChecksum, Ipv6RewriteEqualsTheFullSum) {
  std::mt19937 random{1624};
  std::vector<std::byte> segment(61);
  for (int round = 0; round < 2000; ++round) {
    std::array<Ipv6, 4> a{};
    for (auto& address : a) {
      for (auto& byte : address.bytes) byte = static_cast<std::uint8_t>(random() % 3 == 0 ? 0xff : random());
    }
    for (auto& byte : segment) byte = static_cast<std::byte>(random());
    ChecksumDelta delta;
    delta.replace(a[0], a[2]);
    delta.replace(a[1], a[3]);
    const Be16 before = l4_checksum(a[0], a[1], IpProto::tcp, segment);
    const Be16 after = l4_checksum(a[2], a[3], IpProto::tcp, segment);
    ASSERT_EQ(update_checksum(before, delta), after);
    ASSERT_EQ(update_checksum(after, delta.inverse()), before);
  }
}

TEST(ChecksumDelta, AddsUp) {
  ChecksumDelta address;
  address.replace(Ipv4::from_host(0x01020304), Ipv4::from_host(0xfffefdfc));
  ChecksumDelta port;
  port.replace(Be16{80}, Be16{8080});
  ChecksumDelta both;
  both.replace(Ipv4::from_host(0x01020304), Ipv4::from_host(0xfffefdfc));
  both.replace(Be16{80}, Be16{8080});
  address.add(port);
  EXPECT_EQ(address.folded(), both.folded());
  EXPECT_EQ(ChecksumDelta::from_folded(both.folded()).folded(), both.folded());
  both.add(address.inverse());
  EXPECT_EQ(update_checksum(Be16{0x1234}, both).host(), 0x1234);
}

}  // namespace
}  // namespace sluice::base
