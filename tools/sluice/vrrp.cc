#include <memory>
#include <string>

#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"

/// `sluice vrrp …`: gives the addresses of this host to another, for maintenance, and takes part again.
namespace sluice::cli {
namespace {

base::Result<std::string> order(const config::VrrpRequest& request, const Invocation& invocation) {
  const auto line = ask_vrrp(request, invocation.runtime_dir, kAnswer);
  if (!line) return line.error();
  auto done = config::decode_done_reply(*line);
  if (!done) return done;
  return invocation.json ? json_message(*done) : *done + "\n";
}

template <typename Request>
void add_order(CLI::App& parent, Invocation& invocation, const char* name, const char* description) {
  CLI::App* command = parent.add_subcommand(name, description);
  const auto instance = std::make_shared<std::string>();
  command->add_option("INSTANCE", *instance, "the instance, as `sluice show vrrp` names it")->required();
  add_common_options(*command, invocation);
  command->callback([instance, &invocation] { finish(invocation, order(Request{*instance}, invocation)); });
}

}  // namespace

void add_vrrp(CLI::App& app, Invocation& invocation) {
  CLI::App* parent = app.add_subcommand("vrrp", "give a virtual router's addresses away, and come back");
  parent->require_subcommand(1);
  add_order<config::YieldRequest>(
      *parent, invocation, "yield",
      "give the addresses to another host, and do not take them again until `resume`");
  add_order<config::ResumeRequest>(*parent, invocation, "resume", "take part in elections again");
}

}  // namespace sluice::cli
