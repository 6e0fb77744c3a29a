// Which instances an operator has had yield is known after a restart.
#include "vrrp/yielded_file.h"

#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

class YieldedFileTest : public testing::Test {
 protected:
  YieldedFileTest() { fs::create_directories(dir_); }
  ~YieldedFileTest() override { fs::remove_all(dir_); }
  fs::path dir_ = fs::temp_directory_path() / ("yielded-" + std::to_string(::getpid()));
  YieldedFile file_{dir_ / "yielded"};
};

TEST_F(YieldedFileTest, KnowsWhatWasWrittenLast) {
  ASSERT_TRUE(file_.read());
  EXPECT_EQ(*file_.read(), Names{});
  ASSERT_TRUE(file_.write({"VI_1", "VI 2"}));
  EXPECT_EQ(*YieldedFile(dir_ / "yielded").read(), (Names{"VI_1", "VI 2"}));
  ASSERT_TRUE(file_.write({"VI_3"}));
  EXPECT_EQ(*file_.read(), Names{"VI_3"});
  ASSERT_TRUE(file_.write({}));
  EXPECT_EQ(*file_.read(), Names{});
  EXPECT_TRUE(fs::is_empty(dir_));
  ASSERT_TRUE(file_.write({})) << "nothing there already";
}

TEST_F(YieldedFileTest, SaysWhyItCannotBeUsed) {
  fs::create_directory(dir_ / "yielded");  // a directory in its place
  fs::create_directory(dir_ / "yielded" / "x");
  const auto read = file_.read();
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find((dir_ / "yielded").string()), std::string::npos);
  EXPECT_FALSE(file_.write({"VI_1"}));
  EXPECT_FALSE(file_.write({}));
}

}  // namespace
}  // namespace sluice::vrrp
