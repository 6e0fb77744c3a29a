#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <netlink/utils.h>
#include <netlink/version.h>

#include "base/log.h"
#include "config/build_info.h"
#include "config/parse.h"
#include "config/wire.h"
#include "vrrp/daemon.h"

namespace {

sluice::config::BuildInfo build() {
  return sluice::config::this_build(
      "sluice-vrrp", {{"libnl", LIBNL_VERSION, fmt::format("{}.{}.{}", nl_ver_maj, nl_ver_min, nl_ver_mic)},
                      {"CLI11", CLI11_VERSION}});
}

}  // namespace

/// sluice-vrrp: decides which host has the addresses. Exit code: 0 when stopped by a signal, 1 when it could
/// not start, 2 for wrong usage.
int main(int argc, char** argv) {
  namespace base = sluice::base;
  namespace config = sluice::config;

  std::string config_file;
  std::string runtime_dir = "/run/sluice";
  std::string log_level = "info";
  CLI::App app("sluice-vrrp: the VRRP speaker of sluice; `sluice run` starts it");
  app.add_option("--config", config_file, "configuration file")->required();
  app.add_option("--runtime-dir", runtime_dir, "directory of the sockets")->capture_default_str();
  app.add_option("--log-level", log_level, "debug, info, warn or error")->capture_default_str();
  app.add_flag_callback(
      "--build-info",
      [] {
        fmt::print("{}\n", config::to_json(build()));
        throw CLI::Success();
      },
      "print what this program was built of, as JSON, and exit");
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
  base::log::init("sluice-vrrp", *level);
  auto loaded = config::load_file(config_file, config::NamedFiles::trusted);
  if (!loaded) {
    fmt::print(stderr, "{}\n", loaded.error().message);
    return 1;
  }
  const auto outcome = sluice::vrrp::run_vrrp(std::move(*loaded), config_file, runtime_dir);
  if (outcome) return 0;
  base::log::error("{}", outcome.error().message);
  return 1;
}
