#pragma once

#include <string>
#include <string_view>

#include <json/json.h>

/// JSON texts put together from parts that are JSON already: a report of thousands of servers is not parsed
/// again to add a few members to each.
namespace sluice::cp {

/// On one line.
[[nodiscard]] std::string text_of(const Json::Value& value);

/// Elements one by one.
class JsonArray {
 public:
  /// Pre: `json` is a JSON text.
  void add_text(std::string_view json);
  void add(const Json::Value& value) { add_text(text_of(value)); }
  /// The object `json` with the members of `more`, which it does not have itself.
  void add_extended(std::string_view json, const Json::Value& more);
  [[nodiscard]] std::string text() const { return '[' + elements_ + ']'; }

 private:
  std::string elements_;
};

/// `json` as a value. Pre: it is a JSON text of config::to_json().
[[nodiscard]] Json::Value tree_of(const std::string& json);

}  // namespace sluice::cp
