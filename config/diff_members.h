#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/check_text.h"
#include "config/diff.h"
#include "config/duration.h"
#include "config/names.h"

/// How two values of one type are compared member by member, and two lists of named ones. For .cc files of
/// config/ alone.
namespace sluice::config {

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;

template <typename T>
std::string text_of(const T& value) {
  if constexpr (std::same_as<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::integral<T>) {
    return std::to_string(value);
  } else if constexpr (std::same_as<T, std::string>) {
    return payload_text(value);
  } else if constexpr (std::same_as<T, Milliseconds>) {
    return duration_text(value);
  } else if constexpr (kIsOptional<T>) {
    return value ? text_of(*value) : "default";
  } else if constexpr (std::same_as<T, Expect>) {
    return expect_text(value);
  } else if constexpr (std::same_as<T, std::vector<CheckStep>>) {
    return steps_text(value);
  } else if constexpr (std::same_as<T, std::vector<StatusRange>>) {
    return status_text(value);
  } else if constexpr (std::same_as<T, PortRange>) {
    return std::to_string(value.first) + "-" + std::to_string(value.last);
  } else if constexpr (kIsVector<T>) {
    std::string list;
    for (const auto& element : value) list += (list.empty() ? "" : ", ") + text_of(element);
    return "[" + list + "]";
  } else if constexpr (Named<T>) {
    return std::string(name_of(value));
  } else {
    return value.to_string();
  }
}

/// Collects "name old -> new" for members that differ.
class Members {
 public:
  template <typename T>
  Members& add(std::string_view name, const T& from, const T& to) {
    if (from == to) return *this;
    say(std::string(name).append(" ").append(text_of(from)).append(" -> ").append(text_of(to)));
    return *this;
  }
  void say(const std::string& text) { text_.append(text_.empty() ? "" : ", ").append(text); }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

template <typename T>
using ByName = std::unordered_map<std::string_view, const T*>;

template <typename T>
ByName<T> by_name(const std::vector<T>& all) {
  ByName<T> index;
  index.reserve(all.size());
  for (const T& object : all) index.emplace(object.name, &object);
  return index;
}

inline void note(std::vector<Change>& changes, std::string object, const Members& members) {
  if (!members.text().empty()) changes.push_back({ChangeKind::changed, std::move(object), members.text()});
}

/// Matches two lists by name. `title`: the object's name in a change; `summary`: what it is; `changed`: both
/// exist.
template <typename T, typename Title, typename Summary, typename Changed>
void diff_lists(std::vector<Change>& changes, const std::vector<T>& from, const std::vector<T>& to,
                Title title, Summary summary, Changed changed) {
  const auto old = by_name(from);
  for (const T& now : to) {
    if (const auto before = old.find(now.name); before != old.end()) {
      changed(*before->second, now);
    } else {
      changes.push_back({ChangeKind::added, title(now), summary(now)});
    }
  }
  const auto kept = by_name(to);
  for (const T& before : from) {
    if (!kept.contains(before.name)) {
      changes.push_back({ChangeKind::removed, title(before), summary(before)});
    }
  }
}

}  // namespace sluice::config
