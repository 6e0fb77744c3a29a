#include "config/build_info.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "config/wire.h"

namespace sluice::config {
namespace {

TEST(BuildInfo, NamesCompilerOptionsAndTheLibrariesThatAllUse) {
  const BuildInfo build = this_build("sluice-test", {{"own", "1.2", "1.3"}});
  EXPECT_EQ(build.program, "sluice-test");
  EXPECT_FALSE(build.version.empty());
  EXPECT_FALSE(build.compiler.empty());
  EXPECT_NE(build.options.find("buildtype="), std::string::npos);
  EXPECT_EQ(build.libraries.at(0).running, "1.3");
  for (const char* name : {"jsoncpp", "spdlog", "fmt"}) {
    const auto library = std::ranges::find(build.libraries, name, &LibraryVersion::name);
    ASSERT_NE(library, build.libraries.end()) << name;
    EXPECT_FALSE(library->built.empty()) << name;
  }
}

TEST(BuildInfo, FindsTheVersionOfALoadedLibrary) {
  EXPECT_NE(loaded_version("libjsoncpp.so"), "");
  EXPECT_EQ(loaded_version("libnosuch.so"), "");
}

TEST(BuildInfo, ComesOutAsItWentIn) {
  const std::string text = to_json(this_build("sluice-test", {}));
  const auto again = from_json<BuildInfo>(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(*again), text);
}

}  // namespace
}  // namespace sluice::config
