#include "tools/sluice/command.h"

#include <cstdio>
#include <memory>

#include <fmt/core.h>
#include <json/json.h>

namespace sluice::cli {
void add_runtime_dir(CLI::App& command, std::string& runtime_dir) {
  command.add_option("--runtime-dir", runtime_dir, "directory of the running instance's sockets")
      ->envname("SLUICE_RUNTIME_DIR")
      ->capture_default_str();
}

void add_common_options(CLI::App& command, Invocation& invocation) {
  command.add_flag("--json", invocation.json, "print JSON");
  add_runtime_dir(command, invocation.runtime_dir);
}

void finish(Invocation& invocation, const base::Result<std::string>& text) {
  if (text) {
    fmt::print("{}", *text);
    return;
  }
  fmt::print(stderr, "{}\n", text.error().message);
  invocation.exit_code = 1;
}

std::string json_message(const std::string& sentence) {
  Json::Value value(Json::objectValue);
  value["message"] = sentence;
  return indented(value);
}

std::string indented(const std::string& text) {
  Json::Value value;
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  reader->parse(text.data(), text.data() + text.size(), &value, nullptr);
  return indented(value);
}

std::string indented(const Json::Value& value) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "  ";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, value) + "\n";
}

}  // namespace sluice::cli
