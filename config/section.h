#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <json/json.h>

#include "base/address.h"
#include "config/diagnostic.h"
#include "config/names.h"
#include "config/readable_file.h"
#include "config/source_map.h"

/// The objects of a configuration document, read key by key. For .cc files of config/ alone.
namespace sluice::config {

/// One object of the document and the way to it.
struct Section {
  const Json::Value& object;
  std::string path;

  /// The member when it is there. Works on whatever stands in the object's place.
  [[nodiscard]] const Json::Value* find(std::string_view key) const {
    return object.isObject() ? object.find(key.data(), key.data() + key.size()) : nullptr;
  }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] Section inner(std::string_view key) const {
    const Json::Value* member = find(key);
    return {member != nullptr ? *member : Json::Value::nullSingleton(), pointer(path, key)};
  }
  /// The elements of an array; none when something else stands there.
  [[nodiscard]] std::vector<Section> elements(std::string_view key) const;
};

/// Reads members of sections. What is missing or of the wrong type leaves its target as it is (check_schema()
/// has told of it); texts that do not mean what they should become problems.
class SectionReader {
 public:
  SectionReader(ProblemList& problems, NamedFiles named_files)
      : problems_(problems), named_files_(named_files) {}

  void refuse(std::string path, std::string text, std::vector<std::string> depends = {}) {
    problems_.add({.path = std::move(path), .text = std::move(text), .depends = std::move(depends)});
  }
  /// Refuses the key itself: `text` names it.
  void refuse_key(std::string path, std::string text, std::vector<std::string> depends = {}) {
    problems_.add(
        {.path = std::move(path), .text = std::move(text), .depends = std::move(depends), .about_key = true});
  }

  [[nodiscard]] static std::optional<std::string> text(const Section& section, std::string_view key) {
    const Json::Value* member = section.find(key);
    if (member == nullptr || !member->isString()) return std::nullopt;
    return member->asString();
  }

  template <typename T>
  static void read_number(const Section& section, std::string_view key, T& out) {
    const Json::Value* member = section.find(key);
    if (member == nullptr) return;
    if constexpr (std::is_signed_v<T>) {
      if (member->isInt64() && std::in_range<T>(member->asInt64())) out = static_cast<T>(member->asInt64());
    } else {
      if (member->isUInt64() && std::in_range<T>(member->asUInt64()))
        out = static_cast<T>(member->asUInt64());
    }
  }

  static void read_flag(const Section& section, std::string_view key, bool& out) {
    const Json::Value* member = section.find(key);
    if (member != nullptr && member->isBool()) out = member->asBool();
  }

  template <Named E>
  static void read_name_of(const Section& section, std::string_view key, E& out) {
    const auto word = text(section, key);
    if (!word) return;
    if (const auto value = named<E>(*word)) out = *value;
  }

  /// Out: Milliseconds or an optional of them.
  template <typename Out>
  void read_duration(const Section& section, std::string_view key, Out& out) {
    if (const auto duration = duration_of(section, key)) out = *duration;
  }
  /// As read_duration(); "0s" means none.
  template <typename Out>
  void read_duration_or_none(const Section& section, std::string_view key, Out& out) {
    if (text(section, key) == "0s") {
      out = Milliseconds(0);
    } else {
      read_duration(section, key, out);
    }
  }

  void read_address(const Json::Value& value, const std::string& path, base::IpAddress& out);
  /// An address that packets can be sent to.
  void read_host(const Section& section, std::string_view key, std::optional<base::IpAddress>& out);

  /// Whether `word`, the value at `path`, is an absolute path; if not, it is refused. With
  /// NamedFiles::checked so is a file that cannot be used so.
  [[nodiscard]] bool names_file(const std::string& word, const std::string& path, FileAccess access);

 private:
  [[nodiscard]] std::optional<Milliseconds> duration_of(const Section& section, std::string_view key);

  ProblemList& problems_;
  NamedFiles named_files_;
};

}  // namespace sluice::config
