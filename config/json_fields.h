#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <json/json.h>

#include "base/address.h"
#include "config/names.h"

/// Structs to and from Json::Value by one description of their members: `fields(visitor, value)` names each
/// once, a Writer and a Reader walk it. For .cc files of config/ alone: jsoncpp does not leave this
/// directory.
namespace sluice::config::json {

/// T, const or not: lets one fields() serve both directions.
template <typename T, typename Of>
concept Like = std::same_as<std::remove_const_t<T>, Of>;

template <typename T>
Json::Value write(const T& value);

/// Reads `json` into `out`. Returns an empty string, else what is wrong, led by the path to it
/// ("servers[2].weight").
template <typename T>
std::string read(const Json::Value& json, T& out);

/// Builds an object from the members that fields() names.
struct Writer {
  Json::Value out{Json::objectValue};

  template <typename T>
  void required(const char* name, const T& value) {
    out[name] = write(value);
  }
  template <typename T>
  void optional(const char* name, const T& value) {
    out[name] = write(value);
  }
  template <typename T>
  void optional(const char* name, const std::optional<T>& value) {
    if (value) out[name] = write(*value);
  }
};

/// Fills the members that fields() names; the first failure wins.
struct Reader {
  const Json::Value& in;
  std::string error{};

  template <typename T>
  void required(const char* name, T& value) {
    if (!error.empty()) return;
    if (const Json::Value* member = find(name)) {
      take(name, *member, value);
    } else {
      error = std::string(name) + ": is missing";
    }
  }
  template <typename T>
  void optional(const char* name, T& value) {
    if (!error.empty()) return;
    if (const Json::Value* member = find(name)) take(name, *member, value);
  }
  template <typename T>
  void optional(const char* name, std::optional<T>& value) {
    if (!error.empty()) return;
    const Json::Value* member = find(name);
    if (member == nullptr || member->isNull()) return;
    T inner{};
    take(name, *member, inner);
    value = std::move(inner);
  }

 private:
  [[nodiscard]] const Json::Value* find(std::string_view name) const {
    return in.find(name.data(), name.data() + name.size());
  }
  template <typename T>
  void take(const char* name, const Json::Value& member, T& value) {
    std::string problem = read(member, value);
    if (problem.empty()) return;
    const bool deeper = problem.front() != '[' && !problem.starts_with(": ");
    error = std::string(name) + (deeper ? "." : "") + problem;
  }
};

namespace detail {
template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
concept Text = std::same_as<T, base::Endpoint> || std::same_as<T, base::IpAddress> ||
    std::same_as<T, base::Prefix> || std::same_as<T, Mss>;
template <typename T>
concept Milli = std::same_as<T, Milliseconds>;

template <typename T>
std::string read_integer(const Json::Value& json, T& out) {
  if constexpr (std::signed_integral<T>) {
    const std::int64_t lowest = std::numeric_limits<T>::min();
    const std::int64_t most = std::numeric_limits<T>::max();
    if (!json.isInt64() || json.asInt64() < lowest || json.asInt64() > most) {
      return ": expected a whole number from " + std::to_string(lowest) + " to " + std::to_string(most);
    }
    out = static_cast<T>(json.asInt64());
    return {};
  }
  const auto highest = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  if (!json.isUInt64() || json.asUInt64() > highest) {
    return ": expected a whole number from 0 to " + std::to_string(highest);
  }
  out = static_cast<T>(json.asUInt64());
  return {};
}

template <typename T>
std::string read_array(const Json::Value& json, std::vector<T>& out) {
  if (!json.isArray()) return ": expected an array";
  out.clear();
  out.reserve(json.size());
  for (Json::ArrayIndex i = 0; i < json.size(); ++i) {
    const std::string problem = read(json[i], out.emplace_back());
    if (problem.empty()) continue;
    const bool deeper = problem.front() != '[' && !problem.starts_with(": ");
    return "[" + std::to_string(i) + "]" + (deeper ? "." : "") + problem;
  }
  return {};
}
}  // namespace detail

template <typename T>
Json::Value write(const T& value) {
  if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    return Json::Value(value);
  } else if constexpr (std::unsigned_integral<T>) {
    return Json::Value(static_cast<Json::UInt64>(value));
  } else if constexpr (std::signed_integral<T>) {
    return Json::Value(static_cast<Json::Int64>(value));
  } else if constexpr (detail::Milli<T>) {
    return Json::Value(static_cast<Json::UInt64>(value.count() < 0 ? 0 : value.count()));
  } else if constexpr (Named<T>) {
    return Json::Value(std::string(name_of(value)));
  } else if constexpr (detail::Text<T>) {
    return Json::Value(value.to_string());
  } else if constexpr (detail::kIsVector<T>) {
    Json::Value array(Json::arrayValue);
    for (const auto& element : value) array.append(write(element));
    return array;
  } else {
    Writer writer;
    fields(writer, value);
    return std::move(writer.out);
  }
}

template <typename T>
std::string read(const Json::Value& json, T& out) {
  if constexpr (std::same_as<T, bool>) {
    if (!json.isBool()) return ": expected true or false";
    out = json.asBool();
    return {};
  } else if constexpr (std::same_as<T, std::string>) {
    if (!json.isString()) return ": expected a string";
    out = json.asString();
    return {};
  } else if constexpr (std::integral<T>) {
    return detail::read_integer(json, out);
  } else if constexpr (detail::Milli<T>) {
    std::uint32_t count = 0;
    std::string problem = detail::read_integer(json, count);
    out = T{count};
    return problem;
  } else if constexpr (Named<T>) {
    const auto value = json.isString() ? named<T>(json.asString()) : std::nullopt;
    if (!value) return ": expected one of " + all_names<T>();
    out = *value;
    return {};
  } else if constexpr (detail::Text<T>) {
    if (!json.isString()) return ": expected a string";
    auto value = T::parse(json.asString());
    if (!value) return ": " + value.error().message;
    out = *value;
    return {};
  } else if constexpr (detail::kIsVector<T>) {
    return detail::read_array(json, out);
  } else {
    if (!json.isObject()) return ": expected an object";
    Reader reader{.in = json};
    fields(reader, out);
    return std::move(reader.error);
  }
}

}  // namespace sluice::config::json
