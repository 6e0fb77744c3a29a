#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "tools/sluice/command.h"
#include "tools/sluice/completion.h"

/// Exit code: 0, 1 when the command failed, 2 when it was called wrongly.
int main(int argc, char** argv) {
  namespace cli = sluice::cli;
  cli::Invocation invocation;
  CLI::App app("sluice: a layer-4 load balancer that forwards packets in user space");
  app.require_subcommand(1);
  cli::add_run(app, invocation);
  cli::add_check(app, invocation);
  cli::add_reload(app, invocation);
  cli::add_show(app, invocation);
  cli::add_server(app, invocation);
  cli::add_health(app, invocation);
  cli::add_flow(app, invocation);
  cli::add_wait(app, invocation);
  cli::add_version(app, invocation);
  cli::add_completion(app, invocation);
  // For the script of `sluice completion`: its words are half-written, not to be parsed.
  if (argc > 1 && std::string_view(argv[1]) == "__complete")
    return cli::complete(app, {argv + 2, argv + argc});
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
  return invocation.exit_code;
}
