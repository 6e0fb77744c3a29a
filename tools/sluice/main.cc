#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "config/suggest.h"
#include "tools/sluice/command.h"
#include "tools/sluice/completion.h"

namespace {

/// What is wrong with a line that names no command, or one that does not exist, and which there are; empty:
/// something else is wrong.
std::string which_command(const CLI::App& app) {
  const CLI::App* command = &app;
  std::string line = "sluice";
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    line += " " + command->get_name();
  }
  std::vector<std::string_view> known;
  for (const CLI::App* each : command->get_subcommands({})) known.push_back(each->get_name());
  if (known.empty()) return {};
  const std::string list = fmt::format("{}", fmt::join(known, ", "));
  const auto words = app.remaining(true);
  if (words.empty()) return fmt::format("{}: say which: {}", line, list);
  return fmt::format("{}: no command {}: {}{}", line, sluice::config::in_quotes(words.front()), list,
                     sluice::config::did_you_mean(words.front(), known));
}

}  // namespace

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
  cli::add_explain(app, invocation);
  cli::add_server(app, invocation);
  cli::add_health(app, invocation);
  cli::add_flow(app, invocation);
  cli::add_wait(app, invocation);
  cli::add_vrrp(app, invocation);
  cli::add_replay(app, invocation);
  cli::add_version(app, invocation);
  cli::add_completion(app, invocation);
  // For the script of `sluice completion`: its words are half-written, not to be parsed.
  if (argc > 1 && std::string_view(argv[1]) == "__complete")
    return cli::complete(app, {argv + 2, argv + argc});
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    const std::string sentence = which_command(app);
    if (sentence.empty()) return app.exit(error) == 0 ? 0 : 2;
    fmt::print(stderr, "{}\nRun with --help for more information.\n", sentence);
    return 2;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return invocation.exit_code;
}
