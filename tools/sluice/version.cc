#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/version.hpp>
#include <fmt/format.h>

#include "base/fd.h"
#include "config/build_info.h"
#include "config/names.h"
#include "config/wire.h"
#include "tools/sluice/child.h"
#include "tools/sluice/command.h"
#include "tools/sluice/table.h"

/// `sluice version`: what runs here, as `haproxy -vv` tells it. Each program knows its own libraries and is
/// asked for them.
namespace sluice::cli {
namespace {

using config::BuildInfo;

/// What `program` `argument` prints. Error: it cannot be run, or says that it failed.
base::Result<std::string> output_of(const std::string& program, std::string argument) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::system_error("pipe", errno);
  const base::Fd reading(ends[0]);
  base::Fd writing(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  std::string name = program;
  const std::array<char*, 3> arguments{name.data(), argument.data(), nullptr};
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return base::system_error(program, failure);
  writing.reset();

  std::string text;
  std::array<char, 4096> bytes{};
  ssize_t length = 0;
  while ((length = ::read(reading.get(), bytes.data(), bytes.size())) > 0 || (length < 0 && errno == EINTR)) {
    if (length > 0) text.append(bytes.data(), static_cast<std::size_t>(length));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return text;
  return base::Error{base::ErrorCode::system, fmt::format("{} {}", program, end_text(status))};
}

base::Result<BuildInfo> build_of(const std::string& name, const std::filesystem::path& libexec_dir) {
  const auto file = find_sibling(name, libexec_dir);
  if (!file) return file.error();
  const auto text = output_of(file->string(), "--build-info");
  if (!text) return text.error();
  return config::from_json<BuildInfo>(*text);
}

BuildInfo own_build() {
  std::string boost = BOOST_LIB_VERSION;  // "1_81"
  std::ranges::replace(boost, '_', '.');
  return config::this_build("sluice", {{"Boost", boost}, {"CLI11", CLI11_VERSION}});
}

template <typename E>
std::string names() {
  std::string list;
  for (const auto& [value, name] : config::kNames<E>) list.append(list.empty() ? "" : " ").append(name);
  return list;
}

/// One line a version of a library; the programs that use it stand behind.
std::string library_table(const std::vector<BuildInfo>& builds) {
  struct Row {
    config::LibraryVersion library;
    std::string programs;
  };
  std::vector<Row> rows;
  for (const BuildInfo& build : builds) {
    for (const config::LibraryVersion& library : build.libraries) {
      const auto same = std::ranges::find_if(rows, [&](const Row& row) {
        return row.library.name == library.name && row.library.built == library.built &&
               row.library.running == library.running;
      });
      if (same == rows.end()) {
        rows.push_back({library, build.program});
      } else {
        same->programs += " " + build.program;
      }
    }
  }
  Table table({{"LIBRARY"}, {"BUILT WITH"}, {"RUNS WITH"}, {"USED BY"}});
  for (const Row& row : rows) {
    table.add({row.library.name, row.library.built,
               row.library.running.empty() ? "(built in)" : row.library.running, row.programs});
  }
  return table.to_string();
}

std::string report(const std::vector<BuildInfo>& builds, const std::vector<std::string>& missing) {
  std::string out;
  for (const BuildInfo& build : builds) {
    out += fmt::format("{} {}, built with {}, {}\n", build.program, build.version, build.compiler,
                       build.options);
  }
  for (const std::string& sentence : missing) out += sentence + "\n";
  const auto differs = [&](const BuildInfo& build) { return build.version != builds.front().version; };
  if (std::ranges::any_of(builds, differs))
    out += "These programs are not of one version: install them together.\n";
  out += fmt::format("\nprotocols  {}\nmodes      {}\nbalance    {}\nchecks     {}\ndevices    {}\n\n",
                     names<config::Protocol>(), names<config::Mode>(), names<config::Balance>(),
                     names<config::CheckType>(), names<config::DeviceKind>());
  return out + library_table(builds);
}

}  // namespace

void add_version(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "version", "print versions: of the programs, what they were built of, and what they run with");
  const auto libexec_dir = std::make_shared<std::string>();
  command->add_option("--libexec-dir", *libexec_dir, "directory of sluice-dp, sluice-cp and sluice-vrrp")
      ->envname("SLUICE_LIBEXEC_DIR");
  command->add_flag("--json", invocation.json, "print JSON");
  command->callback([libexec_dir, &invocation] {
    std::vector<BuildInfo> builds{own_build()};
    std::vector<std::string> missing;
    for (const char* name : {"sluice-dp", "sluice-cp", "sluice-vrrp"}) {
      auto build = build_of(name, *libexec_dir);
      if (build) {
        builds.push_back(*std::move(build));
      } else {
        missing.push_back(build.error().message);
      }
    }
    finish(invocation, invocation.json ? indented(config::to_json(builds)) : report(builds, missing));
  });
}

}  // namespace sluice::cli
