#include <algorithm>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <boost/version.hpp>
#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

#include "base/log.h"
#include "config/build_info.h"
#include "config/parse.h"
#include "config/wire.h"
#include "cp/control_plane.h"

namespace {

sluice::config::BuildInfo build() {
  std::string boost = BOOST_LIB_VERSION;  // "1_81"
  std::ranges::replace(boost, '_', '.');
  return sluice::config::this_build(
      "sluice-cp", {{"Boost", boost},
                    {"CLI11", CLI11_VERSION},
                    {"OpenSSL", OPENSSL_VERSION_STR, ::OpenSSL_version(OPENSSL_VERSION_STRING)}});
}

}  // namespace

/// sluice-cp: the control plane. Exit code: 0 when stopped by a signal, 1 when it could not start, 2 for
/// wrong usage.
int main(int argc, char** argv) {
  namespace base = sluice::base;
  namespace config = sluice::config;

  std::string config_file;
  std::string config_name;
  std::string runtime_dir = "/run/sluice";
  std::string log_level = "info";
  CLI::App app("sluice-cp: the control plane of sluice; `sluice run` starts it");
  app.add_option("--config", config_file, "configuration file")->required();
  app.add_option("--config-name", config_name,
                 "what `sluice show info` calls the file, if not by its own name");
  app.add_option("--runtime-dir", runtime_dir, "directory of the sockets")->capture_default_str();
  app.add_option("--log-level", log_level, "debug, info, warn or error")->capture_default_str();
  app.add_flag_callback(
      "--build-info",
      [] {
        fmt::print("{}\n", sluice::config::to_json(build()));
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
  base::log::init("sluice-cp", *level);

  auto loaded = config::load_file(config_file);
  if (!loaded) {
    fmt::print(stderr, "{}\n", loaded.error().message);
    return 1;
  }
  if (config_name.empty()) config_name = config_file;
  const auto outcome = sluice::cp::run_control_plane(std::move(*loaded), config_name, runtime_dir);
  if (outcome) return 0;
  base::log::error("{}", outcome.error().message);
  return 1;
}
