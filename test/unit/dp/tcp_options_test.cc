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

TEST(TcpOptions, MssIsLoweredAndNeverRaised) {
  for (unsigned nops = 0; nops < 4; ++nops) {  // at any offset, odd ones too
    for (const unsigned mss : {0U, 1U, 535U, 1'399U, 1'400U, 1'401U, 1'460U, 0x05ffU, 0x0600U, 65'535U}) {
      Bytes raw(nops, std::byte{1});
      for (const unsigned byte : {2U, 4U, mss >> 8, mss & 0xffU, 4U, 2U}) raw.push_back(std::byte(byte));
      const Bytes ip = test::eth()
                           .ip4(test::v4("10.0.0.1"), test::v4("10.0.0.2"))
                           .tcp(1, 2, test::SYN)
                           .tcp_options(raw)
                           .ip_bytes();
      const Bytes before(ip.begin() + 20, ip.end());
      Bytes after = before;
      const auto delta = clamp_mss(after, 1'400);
      Bytes expected = before;
      expected[20 + nops + 2] = std::byte(std::min(mss, 1'400U) >> 8);
      expected[20 + nops + 3] = std::byte(std::min(mss, 1'400U) & 0xffU);
      EXPECT_EQ(after, expected) << nops << " " << mss;
      expect_delta(before, after, delta);
    }
  }
}

TEST(TcpOptions, MalformedMssStaysAsItIs) {
  const std::initializer_list<unsigned> rows[]{{},                              // none
                                               {2, 3, 0xff, 1},                 // too short
                                               {2, 5, 0xff, 0xff, 0xff},        // too long
                                               {2, 4, 0xff},                    // reaches beyond the header
                                               {1, 1, 1, 2},                    // no length
                                               {0, 2, 4, 0xff, 0xff},           // behind the end of the list
                                               {8, 1, 2, 4, 0xff, 0xff, 1, 1},  // behind a malformed one
                                               {2, 0, 0xff, 0xff, 2, 4, 0xff, 0xff}};
  for (const auto& row : rows) {
    Bytes bytes = segment(row);
    if (row.size() == 3) bytes.resize(bytes.size() - 1);  // the padding belongs to no option
    const Bytes before = bytes;
    EXPECT_EQ(clamp_mss(bytes, 100).folded() % 0xffff, 0);
    EXPECT_EQ(bytes, before);
  }
  Bytes two = segment({2, 4, 0x10, 0, 2, 4, 0x20, 0});
  const Bytes before = two;
  expect_delta(before, two, clamp_mss(two, 1'000));
  const Bytes wanted = segment({2, 4, 3, 0xe8, 2, 4, 3, 0xe8});
  EXPECT_EQ(Bytes(two.begin() + 20, two.end()), Bytes(wanted.begin() + 20, wanted.end()))
      << "which of two counts is the receiver's choice";
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
