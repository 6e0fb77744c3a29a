#include "base/atomic_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "temp_dir.h"

namespace sluice::base {
namespace {

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(AtomicFile, ReplacesTheContentAsAWhole) {
  const test::TempDir dir;
  const std::string path = dir.file("state");
  const std::string large(1U << 20U, 'x');
  ASSERT_TRUE(write_file_atomically(path, large));
  EXPECT_EQ(content(path), large);
  ASSERT_TRUE(write_file_atomically(path, "short"));
  EXPECT_EQ(content(path), "short");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST(AtomicFile, FailureNamesTheFileAndKeepsTheOldOne) {
  const test::TempDir dir;
  const std::string path = dir.file("state");
  ASSERT_TRUE(write_file_atomically(path, "old"));
  std::filesystem::create_directory(path + ".new");
  const auto written = write_file_atomically(path, "new");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find(path + ".new"), std::string::npos) << written.error().message;
  EXPECT_EQ(content(path), "old");
}

}  // namespace
}  // namespace sluice::base
