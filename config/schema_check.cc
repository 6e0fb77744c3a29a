#include "config/schema_check.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <json/json.h>
#include <valijson/adapters/jsoncpp_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "config/keepalived_words.h"
#include "config/source_map.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

constexpr std::string_view kSchema =
#include "config/sluice.schema.inc"
    ;

Json::Value parsed_schema() {
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  Json::Value schema;
  reader->parse(kSchema.data(), kSchema.data() + kSchema.size(), &schema, nullptr);
  return schema;
}

/// valijson matches patterns by std::regex, whose stack grows with the text: a long string would end the
/// process.
void drop_patterns(Json::Value& schema) {
  if (schema.isObject()) schema.removeMember("pattern");
  for (Json::Value& inner : schema) drop_patterns(inner);
}

/// A value in a sentence.
std::string shown(const Json::Value& value) {
  switch (value.type()) {
    case Json::objectValue: return "an object";
    case Json::arrayValue: return "an array";
    case Json::stringValue: return in_quotes(value.asString());
    case Json::nullValue: return "null";
    case Json::booleanValue: return value.asBool() ? "true" : "false";
    case Json::intValue:
    case Json::uintValue:
    case Json::realValue: break;
  }
  return value.asString();
}

bool is_integer(const Json::Value& value) {
  return value.isIntegral() && !value.isBool();
}

bool has_type(const Json::Value& value, const std::string& type) {
  if (type == "object") return value.isObject();
  if (type == "array") return value.isArray();
  if (type == "string") return value.isString();
  if (type == "boolean") return value.isBool();
  return is_integer(value);
}

/// Says in words what of a schema a document violates. The walk knows the keywords that our schema uses.
class Explainer {
 public:
  Explainer(const Json::Value& schema, ProblemList& problems) : root_(schema), problems_(problems) {}

  void explain(const Json::Value& reference, const Json::Value& value, const std::string& path) {
    if (problems_.full()) return;
    const Json::Value& schema = resolve(reference);
    if (schema.isMember("oneOf")) {
      const auto branch = std::ranges::find_if(
          schema["oneOf"], [&](const Json::Value& s) { return has_type(value, s["type"].asString()); });
      if (branch == schema["oneOf"].end()) return wrong_type(schema, value, path);
      return explain(*branch, value, path);
    }
    if (schema.isMember("type") && !has_type(value, schema["type"].asString()))
      return wrong_type(schema, value, path);
    if (schema.isMember("enum")) explain_enum(schema, value, path);
    if (value.isString()) explain_string(schema, value, path);
    if (is_integer(value)) explain_number(schema, value, path);
    if (value.isObject()) explain_object(schema, value, path);
    if (value.isArray()) explain_array(schema, value, path);
  }

  /// Whether anything was found, be it told already.
  [[nodiscard]] bool explained() const noexcept { return explained_; }

 private:
  const Json::Value& resolve(const Json::Value& schema) const {
    constexpr std::string_view kPrefix = "#/definitions/";
    const Json::Value* at = &schema;
    while (at->isMember("$ref")) at = &root_["definitions"][(*at)["$ref"].asString().substr(kPrefix.size())];
    return *at;
  }

  void wrong_type(const Json::Value& schema, const Json::Value& value, const std::string& path) {
    if (path.empty()) return refuse({.path = path, .text = "the file is to hold one object: { ... }"});
    std::string text = "expected " + expectation(schema) + ", not " + shown(value);
    if (&schema == &root_["definitions"]["duration"] && value.isUInt64()) {
      text += " (did you mean \"" + value.asString() + "s\"?)";
    } else if (value.isString() && !schema.isMember("oneOf")) {
      text += unquoted(schema["type"].asString(), value.asString());
    }
    refuse({.path = path, .text = std::move(text)});
  }

  /// The hint for a number or a truth value that stands in quotes.
  static std::string unquoted(const std::string& type, const std::string& text) {
    const bool digits = !text.empty() && text.size() < 10 &&
                        std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    const bool fits =
        (type == "integer" && digits) || (type == "boolean" && (text == "true" || text == "false"));
    return fits ? " (did you mean " + text + " without quotes?)" : std::string();
  }

  static std::string expectation(const Json::Value& schema) {
    if (schema.isMember("title")) return schema["title"].asString();
    const std::string type = schema["type"].asString();
    if (type == "object") return "an object";
    if (type == "array") return "an array";
    if (type == "boolean") return "true or false";
    if (type == "string") return "a string";
    return "a whole number" + range(schema);
  }

  static std::string range(const Json::Value& schema) {
    if (!schema.isMember("minimum") || !schema.isMember("maximum")) return {};
    return " from " + schema["minimum"].asString() + " to " + schema["maximum"].asString();
  }

  void explain_enum(const Json::Value& schema, const Json::Value& value, const std::string& path) {
    std::vector<std::string_view> allowed;
    std::string list;
    for (const Json::Value& candidate : schema["enum"]) {
      if (candidate == value) return;
      allowed.emplace_back(candidate.asCString());
      list += (list.empty() ? "" : ", ") + in_quotes(allowed.back());
    }
    const std::string hint = value.isString() ? did_you_mean(value.asString(), allowed) : std::string();
    refuse({.path = path, .text = shown(value) + " is not known; allowed: " + list + hint});
  }

  void explain_string(const Json::Value& schema, const Json::Value& value, const std::string& path) {
    const std::string text = value.asString();
    if (schema.isMember("minLength") && text.size() < schema["minLength"].asUInt()) {
      refuse({.path = path, .text = "is empty"});
    } else if (schema.isMember("maxLength") && characters(text) > schema["maxLength"].asUInt()) {
      refuse({.path = path,
              .text = in_quotes(text) + " is longer than " + schema["maxLength"].asString() + " characters"});
    }
  }

  static std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
  }

  void explain_number(const Json::Value& schema, const Json::Value& value, const std::string& path) {
    const bool low = schema.isMember("minimum") && value.asDouble() < schema["minimum"].asDouble();
    const bool high = schema.isMember("maximum") && value.asDouble() > schema["maximum"].asDouble();
    if (low || high) refuse({.path = path, .text = shown(value) + " is out of range:" + range(schema)});
  }

  void explain_object(const Json::Value& schema, const Json::Value& value, const std::string& path) {
    if (!schema.isMember("properties")) return;
    const Json::Value& properties = schema["properties"];
    const std::vector<std::string> names = properties.getMemberNames();
    const std::vector<std::string_view> known(names.begin(), names.end());
    for (auto member = value.begin(); member != value.end(); ++member) {
      const std::string name = member.name();
      const std::string inner = pointer(path, name);
      if (properties.isMember(name)) {
        explain(properties[name], *member, inner);
      } else {
        std::string hint = keepalived_hint(name, known);
        if (hint.empty()) hint = did_you_mean(name, known);
        refuse({.path = inner, .text = "unknown key " + in_quotes(name) + hint, .about_key = true});
      }
    }
    for (const Json::Value& required : schema["required"]) {
      const std::string name = required.asString();
      if (value.isMember(name)) continue;
      refuse(
          {.path = pointer(path, name), .text = "key " + in_quotes(name) + " is missing", .about_key = true});
    }
  }

  void explain_array(const Json::Value& schema, const Json::Value& value, const std::string& path) {
    if (schema.isMember("minItems") && value.size() < schema["minItems"].asUInt()) {
      refuse({.path = path, .text = "is empty: at least one is needed"});
    }
    if (schema.isMember("maxItems") && value.size() > schema["maxItems"].asUInt()) {
      return refuse({.path = path,
                     .text = "has " + std::to_string(value.size()) + " elements, more than " +
                             schema["maxItems"].asString()});
    }
    if (!schema.isMember("items")) return;
    for (Json::ArrayIndex i = 0; i < value.size(); ++i) explain(schema["items"], value[i], pointer(path, i));
  }

  void refuse(Problem problem) {
    explained_ = true;
    problems_.add(std::move(problem));
  }

  const Json::Value& root_;
  ProblemList& problems_;
  bool explained_ = false;
};

/// valijson's verdict: nothing when the document is valid, else its first complaint.
std::optional<std::string> violation(const Json::Value& schema, const Json::Value& document) {
  Json::Value patternless = schema;
  drop_patterns(patternless);
  try {
    const valijson::adapters::JsonCppAdapter schema_adapter(patternless);
    const valijson::adapters::JsonCppAdapter document_adapter(document);
    valijson::Schema compiled;
    valijson::SchemaParser(valijson::SchemaParser::kDraft7).populateSchema(schema_adapter, compiled);
    valijson::Validator validator(valijson::Validator::kStrongTypes);
    valijson::ValidationResults results;
    if (validator.validate(compiled, document_adapter, &results)) return std::nullopt;
    valijson::ValidationResults::Error first;
    return results.popError(first) ? first.description : "is not valid";
  } catch (const std::exception& failure) {  // it throws for numbers beyond 32 bits, none of which are valid
    return failure.what();
  }
}

}  // namespace

std::string_view schema_text() noexcept {
  return kSchema;
}

void check_schema(const Json::Value& document, ProblemList& problems) {
  const Json::Value schema = parsed_schema();
  const auto complaint = violation(schema, document);
  if (!complaint) return;
  Explainer explainer(schema, problems);
  explainer.explain(schema, document, "");
  if (!explainer.explained()) problems.add({.path = "", .text = *complaint});
}

}  // namespace sluice::config
