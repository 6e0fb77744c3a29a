#include "tools/sluice/run.h"

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "config/parse.h"
#include "tools/sluice/child.h"
#include "tools/sluice/runtime_dir.h"
#include "tools/sluice/supervisor.h"

namespace sluice::cli {
namespace {

/// The text of a valid configuration file: the children get the bytes that were checked, even if somebody
/// writes the file right now. Error: what is wrong with it.
base::Result<std::string> valid_text(const std::string& file) {
  auto text = config::read_file(file);
  if (!text) return text;
  const auto config = config::load_text(*text, file);
  if (!config) return config.error();
  return text;
}

std::filesystem::path from_root(const std::filesystem::path& path) {
  std::error_code error;
  auto whole = std::filesystem::absolute(path, error);
  return error ? path : whole;
}

base::Result<void> run(const RunOptions& options) {
  auto text = valid_text(options.config_file);
  if (!text) return text.error();
  const auto data_plane = find_sibling("sluice-dp", options.libexec_dir);
  if (!data_plane) return data_plane.error();
  const auto control_plane = find_sibling("sluice-cp", options.libexec_dir);
  if (!control_plane) return control_plane.error();
  const auto runtime_dir = RuntimeDir::claim(from_root(options.runtime_dir));
  if (!runtime_dir) return runtime_dir.error();
  const auto accepted = runtime_dir->write_file("accepted.json", *text);
  if (!accepted) return accepted.error();

  const auto arguments = [&] {
    return std::vector<std::string>{"--config",      (runtime_dir->path() / "accepted.json").string(),
                                    "--runtime-dir", runtime_dir->path().string(),
                                    "--log-level",   options.log_level};
  };
  auto of_control_plane = arguments();
  of_control_plane.insert(of_control_plane.end(), {"--config-name", from_root(options.config_file).string()});
  Supervisor supervisor({.name = "sluice-dp", .file = *data_plane, .arguments = arguments()},
                        {.name = "sluice-cp", .file = *control_plane, .arguments = of_control_plane},
                        runtime_dir->path());
  return supervisor.run();
}

}  // namespace

int run_command(const RunOptions& options) {
  const auto level = base::log::parse_level(options.log_level);
  if (!level) {
    fmt::print(stderr, "{}\n", level.error().message);
    return 2;
  }
  base::log::init("sluice", *level);
  const auto outcome = run(options);
  if (outcome) return 0;
  fmt::print(stderr, "{}\n", outcome.error().message);
  return 1;
}

}  // namespace sluice::cli
