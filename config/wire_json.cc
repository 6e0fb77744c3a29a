#include "config/wire_json.h"

#include <exception>
#include <memory>

namespace sluice::config::json {
namespace {

base::Result<Json::Value> parse_object(std::string_view text) {
  auto value = parse(text);
  if (value && !value->isObject()) return malformed("not a JSON object");
  return value;
}

}  // namespace

base::Error malformed(std::string message) {
  return {base::ErrorCode::invalid, std::move(message)};
}

std::string to_line(const Json::Value& value) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  builder["commentStyle"] = "None";
  return Json::writeString(builder, value);
}

base::Result<Json::Value> parse(std::string_view text) {
  Json::CharReaderBuilder builder;
  Json::CharReaderBuilder::strictMode(&builder.settings_);
  builder["strictRoot"] = false;  // a lone array is a value too; requests check for an object themselves
  builder["stackLimit"] = 64;     // deeper than anything exchanged, far from the end of a thread's stack
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  Json::Value value;
  std::string errors;
  try {
    if (reader->parse(text.data(), text.data() + text.size(), &value, &errors)) return value;
  } catch (const std::exception& failure) {  // jsoncpp throws when it meets its stackLimit
    errors = failure.what();
  }
  return malformed("not a JSON document: " + errors);
}

Json::Value request(std::string_view op) {
  Json::Value value(Json::objectValue);
  value["op"] = std::string(op);
  return value;
}

Json::Value success() {
  Json::Value value(Json::objectValue);
  value["ok"] = true;
  return value;
}

base::Result<Operation> parse_request(std::string_view line) {
  auto body = parse_object(line);
  if (!body) return std::move(body).error();
  if (!body->isMember("op") || !(*body)["op"].isString()) {
    return malformed("request has no \"op\" that says what is asked for");
  }
  std::string op = (*body)["op"].asString();
  return Operation{std::move(op), *std::move(body)};
}

base::Result<Json::Value> parse_reply(std::string_view line) {
  auto reply = parse_object(line);
  if (!reply) return reply;
  const Json::Value& ok = (*reply)["ok"];
  if (!ok.isBool()) return malformed("reply does not say whether it is \"ok\"");
  if (ok.asBool()) return reply;
  const Json::Value& error = (*reply)["error"];
  const std::string reason = error.isString() ? error.asString() : std::string();
  return malformed(reason.empty() ? "refused without a reason" : reason);
}

}  // namespace sluice::config::json
