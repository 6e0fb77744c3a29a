#include <memory>
#include <string>

#include <fmt/format.h>

#include "tools/sluice/arguments.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"
#include "tools/sluice/units.h"

/// `sluice flow …`: what an operator does to connections.
namespace sluice::cli {
namespace {

/// Throws CLI::ValidationError.
base::Result<std::string> kill(const FlowWords& words, const Invocation& invocation) {
  const config::FlowFilter filter = wanted(parse_flow_filter(words));
  if (!filter.service && !filter.server && !filter.client && !filter.state) {
    throw CLI::ValidationError(
        "say which flows: --client, --service, --server or --state; several narrow further");
  }
  const auto line = ask_control_plane(config::KillRequest{filter}, invocation.runtime_dir, 2 * kAnswer);
  if (!line) return line.error();
  const auto killed = config::decode_kill_reply(*line);
  if (!killed) return killed.error();
  if (invocation.json) return fmt::format("{{\n  \"killed\" : {}\n}}\n", *killed);
  if (*killed == 0) return std::string("No flow matches.\n");
  return fmt::format("{} {} ended.\n", count_text(*killed), *killed == 1 ? "flow" : "flows");
}

}  // namespace

void add_flow(CLI::App& app, Invocation& invocation) {
  CLI::App* parent = app.add_subcommand("flow", "do something to open connections");
  parent->require_subcommand(1);
  CLI::App* command = parent->add_subcommand("kill", "end connections, by a reset to both sides");
  const auto words = std::make_shared<FlowWords>();
  command->add_option("--client", words->client, "of this client address, or address:port");
  command->add_option("--service", words->service, "of this service");
  command->add_option("--server", words->server, "to servers of this name, or to SERVICE/SERVER");
  command->add_option("--state", words->state, "in this state, as `show flows` has it");
  add_common_options(*command, invocation);
  command->callback([words, &invocation] { finish(invocation, kill(*words, invocation)); });
}

}  // namespace sluice::cli
