#include "dp/flow/tcp_options.h"

#include <algorithm>
#include <initializer_list>
#include <optional>

#include <gtest/gtest.h>

#include "test/packet_builder.h"

namespace sluice::dp {
namespace {

using test::Bytes;

Bytes segment(std::initializer_list<unsigned> options) {
  Bytes raw;
  for (const unsigned byte : options) raw.push_back(std::byte(byte));
  const Bytes ip = test::eth()
                       .ip4(test::v4("10.0.0.1"), test::v4("10.0.0.2"))
                       .tcp(1, 2, test::SYN)
                       .tcp_options(raw)
                       .ip_bytes();
  return {ip.begin() + 20, ip.end()};
}
std::uint16_t sum(const Bytes& bytes) {
  return base::fold(base::sum_bytes(bytes));
}
/// The delta leads from the sum before to the sum after (0 and 0xffff are the same).
void expect_delta(const Bytes& before, const Bytes& after, base::ChecksumDelta delta) {
  const std::uint16_t got = base::fold(std::uint64_t{sum(before)} + delta.folded());
  EXPECT_EQ(got % 0xffff, sum(after) % 0xffff);
}

TEST(TcpOptions, WindowScale) {
  EXPECT_EQ(window_scale(segment({})), std::nullopt);
  EXPECT_EQ(window_scale(segment({2, 4, 5, 0xb4, 1, 3, 3, 7})), 7);
  EXPECT_EQ(window_scale(segment({3, 3, 15})), 14) << "RFC 7323 §2.3";
  EXPECT_EQ(window_scale(segment({0, 3, 3, 7})), std::nullopt) << "behind the end of the list";
  EXPECT_EQ(window_scale(segment({3, 4, 7, 0})), std::nullopt) << "of the wrong length";
}

TEST(TcpOptions, MalformedOnesEndTheWalk) {
  EXPECT_EQ(window_scale(segment({8, 0, 3, 3, 7})), std::nullopt);
  EXPECT_EQ(window_scale(segment({8, 1, 3, 3, 7})), std::nullopt);
  EXPECT_EQ(window_scale(segment({8, 40, 3, 3, 7})), std::nullopt);
  EXPECT_EQ(window_scale(segment({1, 1, 1, 3})), std::nullopt);
  EXPECT_EQ(window_scale(segment({1, 1, 3, 3})), std::nullopt);
}

TEST(TcpOptions, TimestampsAreStrippedAtAnyOffset) {
  for (unsigned nops = 0; nops < 4; ++nops) {
    Bytes raw(nops, std::byte{1});
    for (const unsigned byte : {8, 10, 1, 2, 3, 4, 5, 6, 7, 8}) raw.push_back(std::byte(byte));
    const Bytes ip = test::eth()
                         .ip4(test::v4("10.0.0.1"), test::v4("10.0.0.2"))
                         .tcp(1, 2, test::SYN)
                         .tcp_options(raw)
                         .ip_bytes();
    Bytes bytes(ip.begin() + 20, ip.end());
    const Bytes before = bytes;
    expect_delta(before, bytes, strip_timestamps(bytes));
    for (std::size_t i = 20; i < 20 + raw.size(); ++i) EXPECT_EQ(bytes[i], std::byte{1});
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 20, before.begin()));
  }
}

TEST(TcpOptions, SackEdgesAreShiftedAtAnyOffset) {
  for (unsigned nops = 0; nops < 4; ++nops) {
    Bytes raw(nops, std::byte{1});
    for (const unsigned byte : {5, 10, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0x10}) raw.push_back(std::byte(byte));
    const Bytes ip = test::eth()
                         .ip4(test::v4("10.0.0.1"), test::v4("10.0.0.2"))
                         .tcp(1, 2, test::ACK)
                         .tcp_options(raw)
                         .ip_bytes();
    Bytes bytes(ip.begin() + 20, ip.end());
    const Bytes before = bytes;
    expect_delta(before, bytes, shift_sack(bytes, 0x20));
    const auto edge = [&](std::size_t at) {
      return base::at<base::Be32>(std::span<const std::byte>(bytes), 20 + nops + at)->host();
    };
    EXPECT_EQ(edge(2), 0x10U) << "across the wrap";
    EXPECT_EQ(edge(6), 0x30U);
  }
}

TEST(TcpOptions, SackOfAnOddLengthIsShiftedAsFarAsItGoes) {
  Bytes bytes = segment({5, 7, 0, 0, 0, 1, 9, 1});
  const Bytes before = bytes;
  expect_delta(before, bytes, shift_sack(bytes, 1));
  EXPECT_EQ(bytes[25], std::byte{2});
  EXPECT_EQ(bytes[26], std::byte{9});
}

}  // namespace
}  // namespace sluice::dp
