#include "config/source_map.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <json/json.h>

namespace sluice::config {

std::string pointer(std::string_view parent, std::string_view key) {
  std::string path(parent);
  path += '/';
  for (const char c : key) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += c;
    }
  }
  return path;
}

std::string pointer(std::string_view parent, std::size_t index) {
  return std::string(parent).append("/").append(std::to_string(index));
}

LineColumn line_column(std::string_view text, std::size_t offset) noexcept {
  LineColumn at;
  for (const char c : text.substr(0, std::min(offset, text.size()))) {
    if (c == '\n') {
      ++at.line;
      at.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) {
      ++at.column;
    }
  }
  return at;
}

/// Recursive descent over the text's tokens; each function returns false at the first thing it does not know.
class SourceScanner {
 public:
  SourceScanner(std::string_view text, SourceMap& map) : text_(text), map_(map) {}

  bool value(const std::string& path, std::optional<std::size_t> key) {
    skip_space();
    if (++depth_ > kDeepest || at_ >= text_.size()) return false;
    map_.places_[path] = {key.value_or(at_), at_};
    const char c = text_[at_];
    const bool good = c == '{' ? object(path) : c == '[' ? array(path) : c == '"' ? string() : scalar();
    --depth_;
    return good;
  }

 private:
  static constexpr unsigned kDeepest = 256;

  bool object(const std::string& path) {
    std::unordered_map<std::string, std::size_t> seen;
    ++at_;
    while (true) {
      skip_space();
      if (take('}')) return true;
      const std::size_t begin = at_;
      if (!string()) return false;
      const std::string name = unescaped(text_.substr(begin, at_ - begin));
      const std::string member = pointer(path, name);
      const auto [earlier, is_new] = seen.emplace(name, begin);
      if (!is_new) map_.duplicates_.push_back({member, earlier->second, begin});
      skip_space();
      if (!take(':') || !value(member, begin)) return false;
      skip_space();
      if (!take(',') && (at_ >= text_.size() || text_[at_] != '}')) return false;
    }
  }

  bool array(const std::string& path) {
    ++at_;
    for (std::size_t index = 0;; ++index) {
      skip_space();
      if (take(']')) return true;
      if (!value(pointer(path, index), std::nullopt)) return false;
      skip_space();
      if (!take(',') && (at_ >= text_.size() || text_[at_] != ']')) return false;
    }
  }

  bool string() {
    if (!take('"')) return false;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (c == '\\') ++at_;
    }
    return false;
  }

  bool scalar() {
    const std::size_t begin = at_;
    at_ = std::min(text_.find_first_of(",]}/ \t\r\n", at_), text_.size());
    return at_ > begin;
  }

  void skip_space() {
    while (at_ < text_.size()) {
      const std::string_view rest = text_.substr(at_);
      std::size_t length = 0;
      if (std::string_view(" \t\r\n").find(rest.front()) != std::string_view::npos) {
        length = 1;
      } else if (rest.starts_with("//")) {
        length = rest.find_first_of("\r\n");
      } else if (rest.starts_with("/*")) {
        length = rest.find("*/", 2);
        if (length != std::string_view::npos) length += 2;
      } else {
        return;
      }
      at_ += std::min(length, rest.size());
    }
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  /// The key that `token` (with its quotes) stands for.
  static std::string unescaped(std::string_view token) {
    if (token.find('\\') == std::string_view::npos) return std::string(token.substr(1, token.size() - 2));
    const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
    Json::Value key;
    const bool good = reader->parse(token.data(), token.data() + token.size(), &key, nullptr);
    return good && key.isString() ? key.asString() : std::string(token);
  }

  std::string_view text_;
  SourceMap& map_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
};

SourceMap::SourceMap(std::string_view text) {
  SourceScanner(text, *this).value("", std::nullopt);
}

SourceMap::Place SourceMap::nearest(std::string_view path) const {
  while (true) {
    if (const auto found = places_.find(std::string(path)); found != places_.end()) return found->second;
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return {0, 0};
    path = path.substr(0, slash);
    // The value is missing: its container's own place tells more than the container's key.
    if (const auto found = places_.find(std::string(path)); found != places_.end()) {
      return {found->second.value, found->second.value};
    }
  }
}

std::size_t SourceMap::value(std::string_view path) const {
  return nearest(path).value;
}
std::size_t SourceMap::key(std::string_view path) const {
  return nearest(path).key;
}

}  // namespace sluice::config
