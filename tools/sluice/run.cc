#include "tools/sluice/run.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "config/parse.h"
#include "tools/sluice/child.h"
#include "tools/sluice/runtime_dir.h"
#include "tools/sluice/supervisor.h"

namespace sluice::cli {
namespace {

/// The text of a valid configuration file. Error: what is wrong with it.
base::Result<std::string> valid_text(const std::string& file) {
  const auto config = config::load_file(file);
  if (!config) return config.error();
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  // The bytes that the children get are the ones that were checked, even if somebody writes the file right
  // now.
  if (!stream || !config::parse_config(text).valid()) {
    return base::Error{base::ErrorCode::unavailable,
                       fmt::format("{}: the file changed while it was read; try again", file)};
  }
  return text;
}

base::Result<void> run(const RunOptions& options) {
  auto text = valid_text(options.config_file);
  if (!text) return text.error();
  const auto data_plane = find_sibling("sluice-dp", options.libexec_dir);
  if (!data_plane) return data_plane.error();
  const auto control_plane = find_sibling("sluice-cp", options.libexec_dir);
  if (!control_plane) return control_plane.error();
  std::error_code error;
  auto absolute = std::filesystem::absolute(options.runtime_dir, error);
  const auto runtime_dir = RuntimeDir::claim(error ? options.runtime_dir : absolute);
  if (!runtime_dir) return runtime_dir.error();
  const auto accepted = runtime_dir->write_file("accepted.json", *text);
  if (!accepted) return accepted.error();

  const auto arguments = [&] {
    return std::vector<std::string>{"--config",      (runtime_dir->path() / "accepted.json").string(),
                                    "--runtime-dir", runtime_dir->path().string(),
                                    "--log-level",   options.log_level};
  };
  Supervisor supervisor({.name = "sluice-dp", .file = *data_plane, .arguments = arguments()},
                        {.name = "sluice-cp", .file = *control_plane, .arguments = arguments()},
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
