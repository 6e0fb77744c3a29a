#include <string>

#include <fmt/format.h>

#include "config/diff.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"

/// `sluice reload`: the running instance reads its configuration file anew.
namespace sluice::cli {
namespace {

std::string summary(const config::ReloadReport& report) {
  std::string text;
  for (const config::Change& change : report.changes) text += config::to_string(change) + "\n";
  if (!report.note.empty()) text += report.note + "\n";
  if (report.changes.empty()) return text + "Nothing changed.\n";
  return text + fmt::format("{} {}.\n", report.changes.size(),
                            report.changes.size() == 1 ? "change is in force" : "changes are in force");
}

base::Result<std::string> reload(const Invocation& invocation) {
  // The data plane compiles the new state before it is in force.
  const auto line = ask_control_plane(config::ReloadRequest{}, invocation.runtime_dir, 4 * kAnswer);
  if (!line) return line.error();
  const auto report = config::decode_reload_reply(*line);
  if (!report) return report.error();
  return invocation.json ? indented(config::to_json(*report)) : summary(*report);
}

}  // namespace

void add_reload(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "reload",
      "read the configuration file anew; connections go on, and a file with mistakes changes nothing");
  add_common_options(*command, invocation);
  command->callback([&invocation] { finish(invocation, reload(invocation)); });
}

}  // namespace sluice::cli
