#include <memory>
#include <string>

#include <fmt/format.h>

#include "config/duration.h"
#include "config/suggest.h"
#include "tools/sluice/arguments.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"

/// `sluice wait …`: returns once a server is as wished.
namespace sluice::cli {
namespace {

struct Words {
  std::string target, what, timeout = "60s";
};

base::Result<config::WaitFor> parse_state(const std::string& word) {
  if (const auto what = config::named<config::WaitFor>(word)) return *what;
  return base::Error{base::ErrorCode::invalid, fmt::format("{}: expected one of {}", config::in_quotes(word),
                                                           config::all_names<config::WaitFor>())};
}

/// Throws CLI::ValidationError.
base::Result<std::string> wait(const Words& words, const Invocation& invocation) {
  config::WaitRequest request;
  const Target target = wanted(parse_target(words.target));
  request.service = target.service;
  request.server = target.server;
  request.what = wanted(parse_state(words.what));
  request.timeout = wanted(config::parse_duration(words.timeout));
  const auto line = ask_control_plane(request, invocation.runtime_dir, request.timeout + kAnswer);
  if (!line) return line.error();
  auto done = config::decode_done_reply(*line);
  if (!done) return done;
  return invocation.json ? json_message(*done) : *done + "\n";
}

}  // namespace

void add_wait(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "wait",
      "wait until a server has no connections left, is up, or is down; exit code 1 when it takes too "
      "long");
  const auto words = std::make_shared<Words>();
  command->add_option("SERVICE/SERVER", words->target, "the server; SERVICE/* is all servers of the service")
      ->required();
  command->add_option("STATE", words->what, "drained, up or down")->required();
  command->add_option("--timeout", words->timeout, "how long at most")->capture_default_str();
  add_common_options(*command, invocation);
  command->callback([words, &invocation] { finish(invocation, wait(*words, invocation)); });
}

}  // namespace sluice::cli
