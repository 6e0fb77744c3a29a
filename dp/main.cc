#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "base/log.h"
#include "config/parse.h"
#include "dp/dataplane.h"

/// sluice-dp: the data plane. Exit code: 0 when stopped by a signal, 1 when it could not start, 2 for wrong
/// usage.
int main(int argc, char** argv) {
  namespace base = sluice::base;

  std::string config_file;
  std::string runtime_dir = "/run/sluice";
  std::string log_level = "info";
  CLI::App app("sluice-dp: the data plane of sluice; `sluice run` starts it");
  app.add_option("--config", config_file, "configuration file")->required();
  app.add_option("--runtime-dir", runtime_dir, "directory of the sockets")->capture_default_str();
  app.add_option("--log-level", log_level, "debug, info, warn or error")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto level = base::log::parse_level(log_level);
  if (!level) {
    fmt::print(stderr, "{}\n", level.error().message);
    return 2;
  }
  base::log::init("sluice-dp", *level);
  const auto config = sluice::config::load_file(config_file, sluice::config::NamedFiles::trusted);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message);
    return 1;
  }
  const auto outcome = sluice::dp::run_dataplane(*config, runtime_dir);
  if (outcome) return 0;
  base::log::error("{}", outcome.error().message);
  return 1;
}
