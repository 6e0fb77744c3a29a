#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <json/json.h>

#include "config/parse.h"
#include "tools/sluice/command.h"

/// `sluice check`: all that is wrong with configuration files.
namespace sluice::cli {
namespace {

/// What is wrong with one file. Nothing is the good news.
struct Findings {
  std::string file;
  std::string unreadable;  ///< why it could not be read; empty: it could
  std::vector<config::Diagnostic> diagnostics;

  [[nodiscard]] bool valid() const noexcept { return unreadable.empty() && diagnostics.empty(); }
};

Findings look_at(const std::string& file) {
  const auto text = config::read_file(file);
  if (!text) return {file, text.error().message, {}};
  return {file, {}, config::parse_config(*text).diagnostics};
}

Json::Value tree_of(const Findings& findings) {
  Json::Value tree(Json::objectValue);
  tree["file"] = findings.file;
  tree["valid"] = findings.valid();
  Json::Value& problems = tree["problems"] = Json::Value(Json::arrayValue);
  if (!findings.unreadable.empty()) problems.append(Json::objectValue)["text"] = findings.unreadable;
  for (const config::Diagnostic& diagnostic : findings.diagnostics) {
    Json::Value& problem = problems.append(Json::objectValue);
    problem["line"] = Json::UInt{diagnostic.line};
    problem["column"] = Json::UInt{diagnostic.column};
    problem["object"] = diagnostic.object;
    problem["text"] = diagnostic.text;
  }
  return tree;
}

void print(const Findings& findings, bool one_of_many) {
  if (!findings.unreadable.empty()) fmt::print(stderr, "{}\n", findings.unreadable);
  for (const config::Diagnostic& diagnostic : findings.diagnostics)
    fmt::print(stderr, "{}\n", config::format(diagnostic, findings.file));
  if (!findings.valid()) return;
  fmt::print("Configuration file is valid{}\n", one_of_many ? ": " + findings.file : std::string());
}

/// Exit code: 0 when all files are valid, else 1.
void check(const std::vector<std::string>& files, Invocation& invocation) {
  Json::Value all(Json::arrayValue);
  for (const std::string& file : files) {
    const Findings findings = look_at(file);
    if (!findings.valid()) invocation.exit_code = 1;
    if (invocation.json) {
      all.append(tree_of(findings));
    } else {
      print(findings, files.size() > 1);
    }
  }
  if (invocation.json) fmt::print("{}", indented(all));
}

}  // namespace

void add_check(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("check", "say all that is wrong with configuration files");
  const auto files = std::make_shared<std::vector<std::string>>();
  command->add_option("FILE", *files, "configuration files")->required();
  command->add_flag("--json", invocation.json, "print JSON");
  command->callback([files, &invocation] { check(*files, invocation); });
}

}  // namespace sluice::cli
