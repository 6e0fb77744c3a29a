#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>
#include <json/forwards.h>

#include "base/result.h"

namespace sluice::cli {

/// What the commands that talk to the running instance share, and the exit code of the one that ran: 0, or 1
/// with a sentence on stderr. (Wrong usage is CLI11's affair: 2.)
struct Invocation {
  std::string runtime_dir = "/run/sluice";
  bool json = false;
  int exit_code = 0;
};

/// --runtime-dir and --json.
void add_common_options(CLI::App& command, Invocation& invocation);
void add_runtime_dir(CLI::App& command, std::string& runtime_dir);

/// Ends the command: `text` to stdout, or the error's sentence to stderr.
void finish(Invocation& invocation, const base::Result<std::string>& text);

/// The value of words of the command line; where they have none, the command was called wrongly: throws
/// CLI::ValidationError.
template <typename T>
T wanted(base::Result<T> parsed) {
  if (!parsed) throw CLI::ValidationError(parsed.error().message);
  return *std::move(parsed);
}

/// {"message": `sentence`}, indented: what --json prints of a command whose outcome is a sentence.
[[nodiscard]] std::string json_message(const std::string& sentence);
/// A JSON text, indented. Pre: `text` comes from config::to_json().
[[nodiscard]] std::string indented(const std::string& text);
[[nodiscard]] std::string indented(const Json::Value& value);

/// The commands; each adds itself to `app`, which `invocation` must outlive.
void add_check(CLI::App& app, Invocation& invocation);
void add_run(CLI::App& app, Invocation& invocation);
void add_show(CLI::App& app, Invocation& invocation);
void add_server(CLI::App& app, Invocation& invocation);
void add_health(CLI::App& app, Invocation& invocation);
void add_flow(CLI::App& app, Invocation& invocation);
void add_explain(CLI::App& app, Invocation& invocation);
void add_wait(CLI::App& app, Invocation& invocation);
void add_vrrp(CLI::App& app, Invocation& invocation);
void add_reload(CLI::App& app, Invocation& invocation);
void add_replay(CLI::App& app, Invocation& invocation);
void add_version(CLI::App& app, Invocation& invocation);
void add_completion(CLI::App& app, Invocation& invocation);
/// `vrrp` and `metrics`, commands of `show`.
void add_show_vrrp(CLI::App& parent, Invocation& invocation);
void add_show_metrics(CLI::App& parent, Invocation& invocation);

}  // namespace sluice::cli
