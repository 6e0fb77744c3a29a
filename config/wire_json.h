#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <json/json.h>

#include "base/result.h"
#include "config/exchange_fields.h"

/// What the documents of all sockets have in common: strict parsing, "op" of a request, "ok" of a reply. For
/// .cc files of config/ alone: jsoncpp does not leave this directory.
namespace sluice::config::json {

[[nodiscard]] base::Error malformed(std::string message);

/// One line, without its newline.
[[nodiscard]] std::string to_line(const Json::Value& value);

/// One JSON document, strictly. Pre: nothing; bytes may be anything.
[[nodiscard]] base::Result<Json::Value> parse(std::string_view text);

/// {"op": `op`}, to be filled.
[[nodiscard]] Json::Value request(std::string_view op);
/// {"ok": true}, to be filled.
[[nodiscard]] Json::Value success();

/// {"op": `op`} and the members of `message`.
template <typename T>
[[nodiscard]] Json::Value with_members(std::string_view op, const T& message) {
  Json::Value value = write(message);
  value["op"] = std::string(op);
  return value;
}

struct Operation {
  std::string op;
  Json::Value body;  ///< an object
};
[[nodiscard]] base::Result<Operation> parse_request(std::string_view line);

/// The reply's object when it says ok, else the other side's error.
[[nodiscard]] base::Result<Json::Value> parse_reply(std::string_view line);

template <typename T>
[[nodiscard]] base::Result<T> from_value(const Json::Value& value) {
  T out{};
  std::string problem = read(value, out);
  if (problem.empty()) return out;
  if (problem.starts_with(": ")) problem.erase(0, 2);
  return malformed(std::move(problem));
}

/// A request that is nothing but its "op" and the members of T; errors are led by the op.
template <typename T>
[[nodiscard]] base::Result<T> body_of(const Operation& operation) {
  auto value = from_value<T>(operation.body);
  if (!value) return malformed(operation.op + ": " + value.error().message);
  return value;
}

/// The member `name` of a request, which must be there; errors are led by the op and the name.
template <typename T>
[[nodiscard]] base::Result<T> member_of_request(const Operation& operation, const char* name) {
  auto value = from_value<T>(operation.body[name]);
  if (!value) return malformed(operation.op + ": " + name + ": " + value.error().message);
  return value;
}

/// The member `name` of a reply that says ok.
template <typename T>
[[nodiscard]] base::Result<T> member_of_reply(std::string_view line, const char* name) {
  auto reply = parse_reply(line);
  if (!reply) return std::move(reply).error();
  if (!reply->isMember(name)) return malformed(std::string("reply has no \"") + name + "\"");
  return from_value<T>((*reply)[name]);
}

}  // namespace sluice::config::json
