#include <cstdio>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <netlink/utils.h>
#include <netlink/version.h>
#include <rte_version.h>

#include "base/log.h"
#include "config/build_info.h"
#include "config/parse.h"
#include "config/wire.h"
#include "dp/dataplane.h"

namespace {

/// "DPDK 22.11.11" without its first word.
std::string dpdk_version(std::string_view text) {
  return std::string(text.substr(text.find(' ') + 1));
}

sluice::config::BuildInfo build() {
  return sluice::config::this_build(
      "sluice-dp", {{"DPDK", fmt::format("{}.{:02}.{}", RTE_VER_YEAR, RTE_VER_MONTH, RTE_VER_MINOR),
                     dpdk_version(rte_version())},
                    {"libbpf", fmt::format("{}.{}", LIBBPF_MAJOR_VERSION, LIBBPF_MINOR_VERSION),
                     std::string(libbpf_version_string()).substr(1)},
                    {"libnl", LIBNL_VERSION, fmt::format("{}.{}.{}", nl_ver_maj, nl_ver_min, nl_ver_mic)},
                    {"CLI11", CLI11_VERSION}});
}

}  // namespace

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
