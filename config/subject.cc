#include "config/subject.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

#include <json/json.h>

#include "config/suggest.h"

namespace sluice::config {
namespace {

using Keys = std::span<const std::string>;

std::vector<std::string> keys_of(std::string_view path) {
  std::vector<std::string> keys;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    keys.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return keys;
}

std::optional<Json::ArrayIndex> as_index(const std::string& key) {
  Json::ArrayIndex index = 0;
  const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (failure != std::errc() || end != key.data() + key.size()) return std::nullopt;
  return index;
}

/// "timeouts.connect", "local_addresses[1]".
std::string joined(Keys keys) {
  std::string text;
  for (const std::string& key : keys) {
    if (as_index(key)) {
      text.append("[").append(key).append("]");
    } else {
      text.append(text.empty() ? "" : ".").append(key);
    }
  }
  return text;
}

/// The value that `keys` lead to, null when there is none.
const Json::Value& follow(const Json::Value& from, Keys keys) {
  const Json::Value* at = &from;
  for (const std::string& key : keys) {
    const auto index = as_index(key);
    if (at->isArray() && index && *index < at->size()) {
      at = &(*at)[*index];
    } else if (at->isObject() && at->isMember(key)) {
      at = &(*at)[key];
    } else {
      return Json::Value::nullSingleton();
    }
  }
  return *at;
}

std::string name_of_element(const Json::Value& element) {
  if (!element.isObject()) return {};
  const Json::Value name = element.get("name", Json::Value());
  return name.isString() ? name.asString() : std::string();
}

}  // namespace

Subject subject_of(const Json::Value& root, std::string_view path, bool about_key) {
  const std::vector<std::string> all = keys_of(path);
  const Keys keys = Keys(all).first(all.size() - (about_key && !all.empty() ? 1 : 0));
  if (keys.empty()) return {"configuration", ""};
  const std::string& top = keys.front();
  if (top == "defaults" || top == "dataplane" || top == "global") {
    const std::size_t sections = about_key || keys.size() == 1 ? keys.size() : keys.size() - 1;
    return {joined(keys.first(sections)), joined(keys.subspan(sections))};
  }
  if ((top != "ports" && top != "services" && top != "vrrp") || keys.size() < 2)
    return {"configuration", joined(keys)};

  const Keys outer = keys.first(2);
  const std::string outer_name = name_of_element(follow(root, outer));
  const bool is_server = top == "services" && keys.size() >= 4 && keys[2] == "servers";
  if (!is_server) {
    const std::string kind = top == "ports" ? "port " : top == "vrrp" ? "vrrp instance " : "service ";
    return {outer_name.empty() ? joined(outer) : kind + in_quotes(outer_name), joined(keys.subspan(2))};
  }
  const std::string name = name_of_element(follow(root, keys.first(4)));
  const std::string key = joined(keys.subspan(4));
  if (outer_name.empty()) return {joined(keys.first(4)), key};
  if (name.empty()) return {"service " + in_quotes(outer_name) + " " + joined(keys.subspan(2, 2)), key};
  return {"server " + in_quotes(outer_name + "/" + name), key};
}

}  // namespace sluice::config
