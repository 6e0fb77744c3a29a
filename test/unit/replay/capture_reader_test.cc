#include "tools/replay/capture_reader.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <memory>

#include <gtest/gtest.h>

#include "test/unit/replay/capture_bytes.h"

namespace sluice::replay::test {
namespace {

using testing::HasSubstr;

struct Read {
  std::vector<CapturedFrame> frames;
  std::vector<CaptureInterface> interfaces;
  std::string error;
};

/// Reads to the end. The bytes lie in memory of exactly their size, for the sanitizer to see a step beyond.
class Capture {
 public:
  explicit Capture(const Bytes& bytes) : size_(bytes.size()), bytes_(std::make_unique<std::byte[]>(size_)) {
    std::ranges::copy(bytes, bytes_.get());
  }
  [[nodiscard]] Read read() const {
    Read all;
    auto reader = CaptureReader::open({bytes_.get(), size_});
    if (!reader) return {{}, {}, reader.error().message};
    for (;;) {
      auto frame = reader->next();
      if (!frame) {
        all.error = frame.error().message;
        EXPECT_TRUE(reader->next().has_value()) << "after an error the reader is at its end";
        break;
      }
      if (!*frame) break;
      all.frames.push_back(**frame);
    }
    all.interfaces = reader->interfaces();
    return all;
  }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> bytes_;
};

Read read(const CaptureBytes& bytes) {
  return Capture(bytes.bytes()).read();
}

std::string text_of(const Capture& capture, std::size_t n) {
  const Read all = capture.read();
  return {reinterpret_cast<const char*>(all.frames.at(n).bytes.data()), all.frames[n].bytes.size()};
}

class BothOrders : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(CaptureReader, BothOrders, testing::Bool());

TEST_P(BothOrders, PcapWithMicroseconds) {
  const auto bytes = CaptureBytes(GetParam())
                         .file_header(0xa1b2c3d4)
                         .record(1'700'000'000, 123'456, "abcd", 60)
                         .record(1, 2, "e");
  const Read all = read(bytes);
  ASSERT_EQ(all.error, "");
  ASSERT_EQ(all.frames.size(), 2U);
  EXPECT_EQ(all.frames[0].number, 1U);
  EXPECT_EQ(all.frames[0].time_ns, 1'700'000'000'123'456'000U);
  EXPECT_EQ(all.frames[0].original_length, 60U);
  EXPECT_EQ(text_of(Capture(bytes.bytes()), 0), "abcd");
  EXPECT_EQ(all.frames[1].number, 2U);
  EXPECT_EQ(all.frames[1].time_ns, 1'000'002'000U);
  ASSERT_EQ(all.interfaces.size(), 1U);
  EXPECT_EQ(all.interfaces[0].link_type, kLinkEthernet);
}

TEST_P(BothOrders, PcapWithNanoseconds) {
  const Read all = read(CaptureBytes(GetParam()).file_header(0xa1b23c4d).record(5, 999'999'999, "x"));
  ASSERT_EQ(all.error, "");
  EXPECT_EQ(all.frames.at(0).time_ns, 5'999'999'999U);
}

TEST_P(BothOrders, PcapngTellsTheInterfaceOfEachFrame) {
  const auto bytes = CaptureBytes(GetParam())
                         .section()
                         .interface("front")
                         .interface("back")
                         .enhanced(1, 7, "abc")
                         .enhanced(0, 8, "defgh");
  const Read all = read(bytes);
  ASSERT_EQ(all.error, "");
  ASSERT_EQ(all.frames.size(), 2U);
  EXPECT_EQ(all.interfaces.at(all.frames[0].interface).name, "back");
  EXPECT_EQ(all.interfaces.at(all.frames[1].interface).name, "front");
  EXPECT_EQ(all.frames[0].time_ns, 7'000U);  // microseconds unless the interface says otherwise
  EXPECT_EQ(text_of(Capture(bytes.bytes()), 1), "defgh");
}

TEST_P(BothOrders, PcapngTimesAreInTheInterfacesUnit) {
  struct Row {
    std::uint8_t resolution;
    std::uint64_t stamp, want;
  };
  for (const Row& row :
       {Row{9, 1'700'000'000'123'456'789, 1'700'000'000'123'456'789}, Row{3, 1'500, 1'500'000'000},
        Row{0, 2, 2'000'000'000}, Row{12, 1'999, 1}, Row{0x80 | 10, 1'536, 1'500'000'000}}) {
    CaptureBytes more(GetParam());
    more.u16(9).u16(1).number(row.resolution, 1).pad();
    const Read all =
        read(CaptureBytes(GetParam()).section().interface("a", 0, &more).enhanced(0, row.stamp, "x"));
    ASSERT_EQ(all.error, "") << unsigned{row.resolution};
    EXPECT_EQ(all.frames.at(0).time_ns, row.want) << unsigned{row.resolution};
  }
}

TEST_P(BothOrders, PcapngTimesAreOffset) {
  CaptureBytes more(GetParam());
  more.u16(14).u16(8).number(static_cast<std::uint64_t>(-2), 8);
  const Read all =
      read(CaptureBytes(GetParam()).section().interface("a", 0, &more).enhanced(0, 3'000'000, "x"));
  ASSERT_EQ(all.error, "");
  EXPECT_EQ(all.frames.at(0).time_ns, 1'000'000'000U);
}

TEST_P(BothOrders, PcapngSimplePacketIsCutAtTheSnapLengthAndHasTheTimeBefore) {
  CaptureBytes simple(GetParam());
  simple.u32(9).text("abcd");
  const Read all =
      read(CaptureBytes(GetParam()).section().interface("a", 4).enhanced(0, 5, "x").block(3, simple));
  ASSERT_EQ(all.error, "");
  ASSERT_EQ(all.frames.size(), 2U);
  EXPECT_EQ(all.frames[1].bytes.size(), 4U);
  EXPECT_EQ(all.frames[1].original_length, 9U);
  EXPECT_EQ(all.frames[1].time_ns, 5'000U);
}

TEST_P(BothOrders, PcapngObsoletePacketBlock) {
  CaptureBytes old(GetParam());
  old.u16(0).u16(3).u32(0).u32(6).u32(2).u32(2).text("ab").pad();
  const Read all = read(CaptureBytes(GetParam()).section().interface("a").block(2, old));
  ASSERT_EQ(all.error, "");
  EXPECT_EQ(all.frames.at(0).time_ns, 6'000U);
  EXPECT_EQ(all.frames[0].bytes.size(), 2U);
}

TEST_P(BothOrders, PcapngPassesOverOtherBlocks) {
  const CaptureBytes names = CaptureBytes(GetParam()).u32(0);
  const Read all = read(CaptureBytes(GetParam())
                            .section()
                            .block(4, names)
                            .interface("a")
                            .block(0x0bad, names)
                            .enhanced(0, 1, "x")
                            .block(5, names));
  ASSERT_EQ(all.error, "");
  EXPECT_EQ(all.frames.size(), 1U);
}

TEST(CaptureReader, PcapngSectionsHaveInterfacesAndByteOrdersOfTheirOwn) {
  Bytes bytes = CaptureBytes(false).section().interface("one").enhanced(0, 1, "x").bytes();
  const Bytes second = CaptureBytes(true).section().interface("two").enhanced(0, 2, "y").bytes();
  bytes.insert(bytes.end(), second.begin(), second.end());
  const Read all = Capture(bytes).read();
  ASSERT_EQ(all.error, "");
  ASSERT_EQ(all.frames.size(), 2U);
  EXPECT_EQ(all.interfaces.at(all.frames[1].interface).name, "two");
}

TEST(CaptureReader, LinkTypeIsReadWithoutTheBitsAboveIt) {
  EXPECT_EQ(read(CaptureBytes().file_header(0xa1b2c3d4, 0xf000'0071)).interfaces.at(0).link_type, 0x71U);
}

TEST(CaptureReader, ACaptureWithoutFramesIsOne) {
  EXPECT_EQ(read(CaptureBytes().file_header(0xa1b2c3d4)).error, "");
  EXPECT_EQ(read(CaptureBytes().section()).error, "");
}

struct Wrong {
  const char* name;
  CaptureBytes bytes;
  const char* says;
};

class BadCapture : public testing::TestWithParam<Wrong> {};
INSTANTIATE_TEST_SUITE_P(
    CaptureReader, BadCapture,
    testing::Values(
        Wrong{"empty", CaptureBytes(), "neither a pcap nor a pcapng"},
        Wrong{"other_file", CaptureBytes().text("#!/bin/bash\n"), "neither a pcap nor a pcapng"},
        Wrong{"cut_file_header", CaptureBytes().u32(0xa1b2c3d4).u32(0), "within its file header"},
        Wrong{"cut_record_header", CaptureBytes().file_header(0xa1b2c3d4).record(1, 1, "ab").u32(5),
              "record 2: the file ends within its header"},
        Wrong{"cut_record", CaptureBytes().file_header(0xa1b2c3d4).u32(1).u32(1).u32(10).u32(10).text("abc"),
              "record 1: says that it has 10 bytes, but the file ends after 3"},
        Wrong{"huge_record",
              CaptureBytes().file_header(0xa1b2c3d4).u32(1).u32(1).u32(~0U).u32(~0U).text("abc"),
              "record 1: says that it has 4294967295 bytes"},
        Wrong{"cut_block", CaptureBytes().section().u32(6).u32(400).u32(0),
              "record 1: the file ends within its block"},
        Wrong{"cut_block_header", CaptureBytes().section().u32(6),
              "record 1: the file ends within its block"},
        Wrong{"tiny_block", CaptureBytes().section().u32(6).u32(8).u32(8), "a block of 8 bytes"},
        Wrong{"odd_block", CaptureBytes().section().u32(6).u32(13).u32(0).u32(13), "a block of 13 bytes"},
        Wrong{"lengths_differ", CaptureBytes().section().u32(5).u32(12).u32(16),
              "lengths of its block differ"},
        Wrong{"no_byte_order",
              CaptureBytes().u32(0x0a0d0d0a).u32(28).u32(0x12345678).text("0123456789abcdef"),
              "no known byte order"},
        Wrong{"version_2",
              CaptureBytes().block(0x0a0d0d0a, CaptureBytes().u32(0x1a2b3c4d).u16(2).u16(0).number(0, 8)),
              "pcapng version 2"},
        Wrong{"short_section", CaptureBytes().block(0x0a0d0d0a, CaptureBytes().u32(0x1a2b3c4d)),
              "section header without"},
        Wrong{"short_interface", CaptureBytes().section().block(1, CaptureBytes().u32(1)),
              "interface without its fields"},
        Wrong{"interface_option",
              CaptureBytes().section().block(1, CaptureBytes().u32(1).u32(0).u16(2).u16(99)),
              "option that it has no room for"},
        Wrong{"unknown_interface", CaptureBytes().section().interface("a").enhanced(1, 1, "x"),
              "interface 1, which the capture does not describe"},
        Wrong{"interface_of_another_section",
              CaptureBytes().section().interface("a").section().enhanced(0, 1, "x"),
              "interface 0, which the capture does not describe"},
        Wrong{"short_packet", CaptureBytes().section().interface("a").block(6, CaptureBytes().u32(0)),
              "packet block without its fields"},
        Wrong{"packet_beyond_block",
              CaptureBytes().section().interface("a").block(
                  6, CaptureBytes().u32(0).u32(0).u32(0).u32(5).u32(5).text("abcd")),
              "has 5 bytes, but its block has room for 4"},
        Wrong{"simple_without_interface", CaptureBytes().section().block(3, CaptureBytes().u32(0)),
              "interface 0, which"},
        Wrong{"simple_beyond_block",
              CaptureBytes().section().interface("a").block(3, CaptureBytes().u32(9).u32(0)),
              "has 9 bytes, but its block has room for 4"},
        Wrong{"late", CaptureBytes().section().interface("a").enhanced(0, ~0ULL, "x"), "after 2262"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_P(BadCapture, IsRefusedInASentence) {
  EXPECT_THAT(read(GetParam().bytes).error, HasSubstr(GetParam().says));
}

/// Whatever is cut off: frames or an error, nothing else.
TEST(CaptureReader, AnyBeginningOfACaptureIsReadSafely) {
  const Bytes whole = CaptureBytes(true).section().interface("front", 60).enhanced(0, 7, "abcdefg").bytes();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const Read all = Capture(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))).read();
    EXPECT_TRUE(all.frames.empty()) << n;
  }
}

}  // namespace
}  // namespace sluice::replay::test
