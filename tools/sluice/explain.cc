#include <memory>
#include <string>

#include "tools/sluice/arguments.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"
#include "tools/sluice/explain_text.h"

/// `sluice explain …`: what the running load balancer would do with a packet, and why.
namespace sluice::cli {
namespace {

struct Words {
  std::string protocol, source, destination;
};

/// Throws CLI::ValidationError.
base::Result<std::string> explain(const Words& words, const Invocation& invocation) {
  const config::FiveTuple tuple = wanted(parse_tuple(words.protocol, words.source, words.destination));
  const auto line = ask_control_plane(config::ExplainRequest{tuple}, invocation.runtime_dir, kAnswer);
  if (!line) return line.error();
  const auto explanation = config::decode_explain_reply(*line);
  if (!explanation) {
    if (!config::is_unknown_request(explanation.error())) return explanation.error();
    return base::Error{
        explanation.error().code,
        "the control plane (sluice-cp) that runs is older than `sluice explain`; restart it to "
        "have packets explained"};
  }
  return invocation.json ? indented(config::to_json(*explanation)) : explanation_text(*explanation);
}

}  // namespace

void add_explain(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "explain", "what would become of a packet with these addresses and ports, and why; changes nothing");
  const auto words = std::make_shared<Words>();
  command->add_option("PROTOCOL", words->protocol, "tcp or udp")->required();
  command
      ->add_option("SOURCE", words->source,
                   "address and port that it comes from: 192.0.2.7:40000 or [2001:db8::7]:40000")
      ->required();
  command->add_option("DESTINATION", words->destination, "address and port that it goes to")->required();
  add_common_options(*command, invocation);
  command->callback([words, &invocation] { finish(invocation, explain(*words, invocation)); });
}

}  // namespace sluice::cli
