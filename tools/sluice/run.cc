#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "config/parse.h"
#include "tools/sluice/child.h"
#include "tools/sluice/command.h"
#include "tools/sluice/runtime_dir.h"
#include "tools/sluice/supervisor.h"

/// `sluice run`: checks the configuration, claims the runtime directory, keeps sluice-dp, sluice-cp
/// and sluice-vrrp running until a signal. The children read `accepted.json` in the runtime directory, a copy
/// of what was checked: an edit that breaks the file cannot keep a child that has died from coming back. Exit
/// code: 0 when stopped by a signal, 1 when it could not start, with the reason on stderr and nothing left
/// running.
namespace sluice::cli {
namespace {

struct RunOptions {
  std::string config_file;
  std::filesystem::path runtime_dir;
  std::string log_level = "info";     ///< handed to the children, too
  std::filesystem::path libexec_dir;  ///< where its programs are; empty: looked for
};

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
  const auto vrrp = find_sibling("sluice-vrrp", options.libexec_dir);
  if (!vrrp) return vrrp.error();
  const auto runtime_dir = RuntimeDir::claim(from_root(options.runtime_dir));
  if (!runtime_dir) return runtime_dir.error();
  const auto accepted = base::write_file_atomically(runtime_dir->path() / RuntimeDir::kAccepted, *text, 0600);
  if (!accepted) return accepted.error();

  const auto arguments = [&] {
    return std::vector<std::string>{"--config",      (runtime_dir->path() / RuntimeDir::kAccepted).string(),
                                    "--runtime-dir", runtime_dir->path().string(),
                                    "--log-level",   options.log_level};
  };
  auto of_control_plane = arguments();
  of_control_plane.insert(of_control_plane.end(), {"--config-name", from_root(options.config_file).string()});
  Supervisor supervisor(
      {.data_plane = {.name = "sluice-dp", .file = *data_plane, .arguments = arguments()},
       .control_plane = {.name = "sluice-cp", .file = *control_plane, .arguments = of_control_plane},
       .vrrp = {.name = "sluice-vrrp", .file = *vrrp, .arguments = arguments()}},
      runtime_dir->path());
  return supervisor.run();
}

}  // namespace

void add_run(CLI::App& app, Invocation& invocation) {
  CLI::App* command =
      app.add_subcommand("run", "run the load balancer in the foreground, until SIGTERM or Ctrl-C");
  const auto options = std::make_shared<RunOptions>();
  command->add_option("-c,--config", options->config_file, "configuration file")->required();
  add_runtime_dir(*command, invocation.runtime_dir);
  command->add_option("--log-level", options->log_level, "debug, info, warn or error")->capture_default_str();
  command
      ->add_option("--libexec-dir", options->libexec_dir, "directory of sluice-dp, sluice-cp and sluice-vrrp")
      ->envname("SLUICE_LIBEXEC_DIR");
  command->callback([options, &invocation] {
    options->runtime_dir = invocation.runtime_dir;
    base::log::init("sluice", wanted(base::log::parse_level(options->log_level)));
    const auto outcome = run(*options);
    if (outcome) return;
    fmt::print(stderr, "{}\n", outcome.error().message);
    invocation.exit_code = 1;
  });
}

}  // namespace sluice::cli
