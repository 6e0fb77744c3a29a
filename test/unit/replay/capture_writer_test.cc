#include "tools/replay/capture_writer.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>

#include <gtest/gtest.h>

#include "test/unit/base/temp_dir.h"
#include "test/unit/replay/capture_bytes.h"
#include "tools/replay/capture_reader.h"

namespace sluice::replay::test {
namespace {

Bytes bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return CaptureBytes().text(text).bytes();
}

Bytes frame(std::string_view text) {
  return CaptureBytes().text(text).bytes();
}

class CaptureWriterTest : public testing::Test {
 protected:
  base::test::TempDir dir_;
  std::string path_ = dir_.file("out.pcap");
};

TEST_F(CaptureWriterTest, OnePortMakesAPcap) {
  auto writer = CaptureWriter::create(path_, {"lan"});
  ASSERT_TRUE(writer.has_value());
  writer->add(1'000'000'002, 0, frame("abc"), 60);
  ASSERT_TRUE(writer->finish().has_value());
  EXPECT_EQ(bytes_of(path_), CaptureBytes()
                                 .u32(0xa1b23c4d)
                                 .u16(2)
                                 .u16(4)
                                 .u32(0)
                                 .u32(0)
                                 .u32(262'144)
                                 .u32(1)
                                 .record(1, 2, "abc", 60)
                                 .bytes());
}

TEST_F(CaptureWriterTest, SeveralPortsMakeAPcapngThatTellsThem) {
  auto writer = CaptureWriter::create(path_, {"front", "back"});
  ASSERT_TRUE(writer.has_value());
  writer->add(1'700'000'000'123'456'789, 1, frame("abcde"), 60);
  writer->add(1'700'000'000'123'456'790, 0, frame(""), 0);
  EXPECT_EQ(writer->frames(), 2U);
  ASSERT_TRUE(writer->finish().has_value());
  const Bytes bytes = bytes_of(path_);
  auto reader = CaptureReader::open(bytes);
  ASSERT_TRUE(reader.has_value());
  const auto first = reader->next(), second = reader->next(), end = reader->next();
  ASSERT_TRUE(first && *first && second && *second && end && !*end);
  EXPECT_EQ(reader->interfaces()[(*first)->interface].name, "back");
  EXPECT_EQ(reader->interfaces()[(*second)->interface].name, "front");
  EXPECT_EQ((*first)->time_ns, 1'700'000'000'123'456'789U);
  EXPECT_EQ((*first)->bytes.size(), 5U);
  EXPECT_EQ((*first)->original_length, 60U);
}

TEST_F(CaptureWriterTest, LeavesTheOldFileUntilItIsFinished) {
  std::ofstream(path_) << "old";
  {
    auto writer = CaptureWriter::create(path_, {"lan"});
    ASSERT_TRUE(writer.has_value());
    writer->add(1, 0, frame("abc"), 3);
  }
  EXPECT_EQ(bytes_of(path_), frame("old"));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(CaptureWriterTest, RefusesWhatIsNoFile) {
  const auto writer = CaptureWriter::create("/dev/null", {"lan"});
  ASSERT_FALSE(writer.has_value());
  EXPECT_THAT(writer.error().message, testing::HasSubstr("\"/dev/null\": is not a regular file"));
}

TEST_F(CaptureWriterTest, SaysThatTheDirectoryIsMissing) {
  const auto writer = CaptureWriter::create(dir_.file("none/out.pcap"), {"lan"});
  ASSERT_FALSE(writer.has_value());
  EXPECT_THAT(writer.error().message, testing::HasSubstr("No such file or directory"));
}

TEST_F(CaptureWriterTest, ADiskThatIsFullIsAnErrorAndLeavesNothing) {
  std::filesystem::create_symlink("/dev/full", path_ + ".new");  // what is opened to write to
  auto writer = CaptureWriter::create(path_, {"lan"});
  ASSERT_TRUE(writer.has_value());
  writer->add(1, 0, frame("abc"), 3);
  const auto finished = writer->finish();
  ASSERT_FALSE(finished.has_value());
  EXPECT_THAT(finished.error().message, testing::HasSubstr("No space left"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace sluice::replay::test
