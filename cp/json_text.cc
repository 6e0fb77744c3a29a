#include "cp/json_text.h"

#include <memory>

namespace sluice::cp {

std::string text_of(const Json::Value& value) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, value);
}

void JsonArray::add_text(std::string_view json) {
  if (!elements_.empty()) elements_ += ',';
  elements_ += json;
}

void JsonArray::add_extended(std::string_view json, const Json::Value& more) {
  const std::string members = text_of(more);  // "{...}"
  if (json == "{}" || members == "{}") {
    add_text(json == "{}" ? std::string_view(members) : json);
    return;
  }
  json.remove_suffix(1);
  add_text(json);
  elements_ += ',';
  elements_ += std::string_view(members).substr(1);
}

Json::Value tree_of(const std::string& json) {
  Json::Value value;
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  reader->parse(json.data(), json.data() + json.size(), &value, nullptr);
  return value;
}

}  // namespace sluice::cp
