#include "config/build_info.h"

#include <filesystem>
#include <link.h>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <json/json.h>
#include <spdlog/version.h>

namespace sluice::config {
namespace {

struct Search {
  std::string_view prefix;
  std::string version;
};

/// For dl_iterate_phdr(3); not 0 ends the walk.
int look_at(dl_phdr_info* object, std::size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  std::error_code error;
  const std::filesystem::path loaded(object->dlpi_name);
  if (!loaded.filename().native().starts_with(search.prefix)) return 0;
  // libfmt.so.9 is a link to libfmt.so.9.1.0.
  const auto file = std::filesystem::canonical(loaded, error);
  const std::string name = (error ? loaded : file).filename().native();
  if (name.size() > search.prefix.size() + 1) search.version = name.substr(search.prefix.size() + 1);
  return 1;
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("{}, C++{}", __VERSION__, __cplusplus / 100 % 100);
#else
  return fmt::format("GCC {}, C++{}", __VERSION__, __cplusplus / 100 % 100);
#endif
}

}  // namespace

std::string loaded_version(std::string_view prefix) {
  Search search{prefix, {}};
  ::dl_iterate_phdr(look_at, &search);
  return std::move(search.version);
}

BuildInfo this_build(std::string_view program, std::vector<LibraryVersion> libraries) {
  libraries.push_back({"jsoncpp", JSONCPP_VERSION_STRING, loaded_version("libjsoncpp.so")});
  libraries.push_back({"spdlog",
                       fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH),
                       loaded_version("libspdlog.so")});
  libraries.push_back(
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10'000, FMT_VERSION / 100 % 100, FMT_VERSION % 100),
       loaded_version("libfmt.so")});
  return {.program = std::string(program),
          .version = SLUICE_VERSION,
          .compiler = compiler(),
          .options = SLUICE_BUILD_OPTIONS,
          .libraries = std::move(libraries)};
}

}  // namespace sluice::config
