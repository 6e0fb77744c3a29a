#include <memory>
#include <string>

#include "tools/sluice/arguments.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"

/// `sluice server …` and `sluice health …`: what an operator does to one server.
namespace sluice::cli {
namespace {

using config::ServerAction;

/// The words of one subcommand; lives as long as its callback.
struct Words {
  std::string target, weight;
  std::uint32_t maxconn = 0;
};

/// Throws CLI::ValidationError.
base::Result<std::string> change(const Words& words, ServerAction action, const Invocation& invocation) {
  config::ServerRequest request;
  request.action = action;
  const Target target = wanted(parse_target(words.target));
  request.service = target.service;
  request.server = target.server;
  if (action == ServerAction::weight) {
    const Weight weight = wanted(parse_weight(words.weight));
    request.value = weight.value;
    request.percent = weight.percent;
  }
  if (action == ServerAction::maxconn) request.value = words.maxconn;
  const auto line = ask_control_plane(request, invocation.runtime_dir, kAnswer);
  if (!line) return line.error();
  auto done = config::decode_done_reply(*line);
  if (!done) return done;
  return invocation.json ? json_message(*done) : *done + "\n";
}

void add_action(CLI::App& parent, Invocation& invocation, const char* name, const char* description,
                ServerAction action) {
  CLI::App* command = parent.add_subcommand(name, description);
  const auto words = std::make_shared<Words>();
  command->add_option("SERVICE/SERVER", words->target, "the server; SERVICE/* is all servers of the service")
      ->required();
  if (action == ServerAction::weight) {
    command->add_option("WEIGHT", words->weight, "0 to 256, or a share of the configured one, as in 50%")
        ->required();
  }
  if (action == ServerAction::maxconn)
    command->add_option("LIMIT", words->maxconn, "connections at one time; 0: no limit")->required();
  add_common_options(*command, invocation);
  command->callback([words, action, &invocation] { finish(invocation, change(*words, action, invocation)); });
}

}  // namespace

void add_server(CLI::App& app, Invocation& invocation) {
  CLI::App* parent = app.add_subcommand("server", "take a server out, bring it back, change its share");
  parent->require_subcommand(1);
  add_action(*parent, invocation, "ready", "in service: ends drain and maint", ServerAction::ready);
  add_action(*parent, invocation, "drain", "no new connections; open ones go on", ServerAction::drain);
  add_action(*parent, invocation, "maint", "no new connections, no health checks", ServerAction::maint);
  add_action(*parent, invocation, "weight",
             "share of new connections, until a reload changes the configured one", ServerAction::weight);
  add_action(*parent, invocation, "maxconn", "limit of connections at one time", ServerAction::maxconn);
}

void add_health(CLI::App& app, Invocation& invocation) {
  CLI::App* parent =
      app.add_subcommand("health", "say of a server what its checks would say, until the next one");
  parent->require_subcommand(1);
  add_action(*parent, invocation, "up", "healthy", ServerAction::health_up);
  add_action(*parent, invocation, "stopping", "no new connections, yet not down",
             ServerAction::health_stopping);
  add_action(*parent, invocation, "down", "down", ServerAction::health_down);
  add_action(*parent, invocation, "agent-up", "its agent says up", ServerAction::agent_up);
  add_action(*parent, invocation, "agent-down", "its agent says down", ServerAction::agent_down);
}

}  // namespace sluice::cli
