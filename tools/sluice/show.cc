#include "tools/sluice/show.h"

#include <array>
#include <memory>

#include <fmt/format.h>
#include <json/json.h>

#include "tools/sluice/arguments.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"
#include "tools/sluice/show_tables.h"

namespace sluice::cli {
namespace {

/// A list of a million flows takes a while.
constexpr std::chrono::seconds kFlowsAnswer{25};

base::Result<std::string> rendered(const config::ShowRequest& request, const std::string& content,
                                   bool json) {
  if (json) return indented(content);
  try {
    Json::Value tree;
    std::string errors;
    const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
    if (!reader->parse(content.data(), content.data() + content.size(), &tree, &errors)) {
      return base::Error{base::ErrorCode::invalid,
                         fmt::format("the control plane answered no JSON: {}", errors)};
    }
    return table_text(request.what, tree);
  } catch (const Json::Exception& error) {
    return base::Error{base::ErrorCode::invalid, fmt::format("the control plane's answer: {}", error.what())};
  }
}

struct View {
  config::ShowWhat what;
  const char* description;
  bool narrows_service, narrows_server;
};

constexpr auto kViews = std::to_array<View>({
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

}  // namespace

base::Result<std::string> shown(const config::ShowRequest& request, const std::filesystem::path& runtime_dir,
                                bool json) {
  const auto limit = request.what == config::ShowWhat::flows ? kFlowsAnswer : kAnswer;
  const auto line = ask_control_plane(request, runtime_dir, limit);
  if (!line) return line.error();
  const auto content = config::decode_show_reply(request.what, *line);
  if (!content) return content.error();
  return rendered(request, *content, json);
}

void add_show(CLI::App& app, Invocation& invocation) {
  CLI::App* parent = app.add_subcommand("show", "show what the running load balancer does");
  parent->require_subcommand(1);
  for (const View& view : kViews) {
    CLI::App* command = parent->add_subcommand(std::string(config::name_of(view.what)), view.description);
    add_common_options(*command, invocation);
    const auto words = std::make_shared<FlowWords>();
    const auto limit = std::make_shared<std::uint32_t>(config::FlowFilter{}.limit);
    if (view.narrows_service) command->add_option("--service", words->service, "only this service");
    if (view.narrows_server)
      command->add_option("--server", words->server, "only servers of this name, or SERVICE/SERVER");
    if (view.what == config::ShowWhat::flows) {
      command->add_option("--client", words->client, "only this client address, or address:port");
      command->add_option("--state", words->state, "only those in this state");
      command->add_option("--limit", *limit, "list at most so many")->capture_default_str();
    }
    command->callback([words, limit, what = view.what, &invocation] {
      config::ShowRequest request{what, wanted(parse_flow_filter(*words))};
      request.filter.limit = *limit;
      finish(invocation, shown(request, invocation.runtime_dir, invocation.json));
    });
  }
  add_show_vrrp(*parent, invocation);
  add_show_metrics(*parent, invocation);
}

}  // namespace sluice::cli
