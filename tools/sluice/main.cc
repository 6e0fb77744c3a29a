#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "config/wire.h"
#include "tools/sluice/check.h"
#include "tools/sluice/run.h"
#include "tools/sluice/show.h"

namespace {

namespace cli = sluice::cli;
namespace config = sluice::config;

/// The options of all commands, and the exit code of the one that ran.
struct Options {
  std::vector<std::string> files;
  cli::RunOptions run;
  std::string runtime_dir = "/run/sluice";
  config::ShowRequest show;
  std::string service, server, client;
  bool json = false;
  int exit_code = 0;
};

void add_runtime_dir(CLI::App& command, Options& options) {
  command.add_option("--runtime-dir", options.runtime_dir, "directory of the running instance's sockets")
      ->capture_default_str();
}

void add_check(CLI::App& app, Options& options) {
  CLI::App* check = app.add_subcommand("check", "say all that is wrong with configuration files");
  check->add_option("FILE", options.files, "configuration files")->required();
  check->callback([&options] { options.exit_code = cli::check_command(options.files); });
}

void add_run(CLI::App& app, Options& options) {
  CLI::App* run =
      app.add_subcommand("run", "run the load balancer in the foreground, until SIGTERM or Ctrl-C");
  run->add_option("-c,--config", options.run.config_file, "configuration file")->required();
  add_runtime_dir(*run, options);
  options.run.log_level = "info";
  run->add_option("--log-level", options.run.log_level, "debug, info, warn or error")->capture_default_str();
  run->add_option("--libexec-dir", options.run.libexec_dir, "directory of sluice-dp and sluice-cp")
      ->envname("SLUICE_LIBEXEC_DIR");
  run->callback([&options] {
    options.run.runtime_dir = options.runtime_dir;
    options.exit_code = cli::run_command(options.run);
  });
}

void show(Options& options, config::ShowWhat what) {
  options.show.what = what;
  if (!options.service.empty()) options.show.filter.service = options.service;
  if (!options.server.empty()) options.show.filter.server = options.server;
  if (!options.client.empty()) {
    const auto client = sluice::base::IpAddress::parse(options.client);
    if (!client) throw CLI::ValidationError("--client", client.error().message);
    options.show.filter.client = *client;
  }
  options.exit_code = cli::show_command(options.show, options.runtime_dir, options.json);
}

void add_show(CLI::App& app, Options& options) {
  struct View {
    config::ShowWhat what;
    const char* description;
    bool narrows_service, narrows_server;
  };
  static constexpr auto kViews = std::to_array<View>({
      {config::ShowWhat::services, "services: state, connections, traffic", true, false},
      {config::ShowWhat::servers, "servers: health, weight, connections, traffic", true, true},
      {config::ShowWhat::flows, "the connections that are open now", true, true},
      {config::ShowWhat::ports, "network ports: link, packets, errors", false, false},
      {config::ShowWhat::drops, "packets that were dropped, by reason", false, false},
      {config::ShowWhat::workers, "packet workers: load, flows", false, false},
      {config::ShowWhat::health, "what the servers' health checks say", true, true},
      {config::ShowWhat::queue, "connections that wait for a place", true, true},
      {config::ShowWhat::info, "the processes and what they run", false, false},
  });
  CLI::App* parent = app.add_subcommand("show", "show what the running load balancer does");
  parent->require_subcommand(1);
  for (const View& view : kViews) {
    CLI::App* command = parent->add_subcommand(std::string(config::name_of(view.what)), view.description);
    command->add_flag("--json", options.json, "print JSON");
    add_runtime_dir(*command, options);
    if (view.narrows_service) command->add_option("--service", options.service, "only this service");
    if (view.narrows_server) command->add_option("--server", options.server, "only servers of this name");
    if (view.what == config::ShowWhat::flows) {
      command->add_option("--client", options.client, "only this client address");
      command->add_option("--limit", options.show.filter.limit, "list at most so many")
          ->capture_default_str();
    }
    command->callback([&options, what = view.what] { show(options, what); });
  }
}

}  // namespace

/// Exit code: 0, 1 when the command failed, 2 when it was called wrongly.
int main(int argc, char** argv) {
  Options options;
  CLI::App app("sluice: a layer-4 load balancer that forwards packets in user space");
  app.require_subcommand(1);
  add_check(app, options);
  add_run(app, options);
  add_show(app, options);
  app.add_subcommand("version", "print the version")->callback([] {
    fmt::print("sluice {}\n", SLUICE_VERSION);
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    const auto words = app.remaining(true);
    if (words.empty()) return app.exit(error) == 0 ? 0 : 2;
    fmt::print(stderr, "\"{}\" is not a command\nRun with --help for more information.\n", words.front());
    return 2;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return options.exit_code;
}
