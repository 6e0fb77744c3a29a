#pragma once

#include <string>
#include <string_view>
#include <vector>

/// What a program was built of and what it runs with: each program tells of itself (`--build-info`), `sluice
/// version` puts it together.
namespace sluice::config {

struct LibraryVersion {
  std::string name;
  std::string built;  ///< version of the headers
  std::string
      running{};  ///< of the shared object that is loaded; empty: there is none, all of it is built in
};

struct BuildInfo {
  std::string program;
  std::string version;
  std::string compiler;  ///< e.g. "GCC 12.2.0, C++20"
  std::string options;   ///< e.g. "buildtype=release sanitize=none"
  std::vector<LibraryVersion> libraries;
};

/// The calling program, which uses `libraries` besides those that all use.
[[nodiscard]] BuildInfo this_build(std::string_view program, std::vector<LibraryVersion> libraries);

/// The version in the name of the loaded shared object whose name begins with `prefix` ("libfmt.so"): for
/// libraries that do not tell by a function. Empty: none is loaded.
[[nodiscard]] std::string loaded_version(std::string_view prefix);

}  // namespace sluice::config
