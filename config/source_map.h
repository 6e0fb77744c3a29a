#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// Where in a JSON text (with comments) each value stands, by JSON pointer (RFC 6901).
namespace sluice::config {

/// `parent` + "/" + `key`, with "~" and "/" of the key escaped.
[[nodiscard]] std::string pointer(std::string_view parent, std::string_view key);
[[nodiscard]] std::string pointer(std::string_view parent, std::size_t index);

struct LineColumn {
  unsigned line = 1, column = 1;  ///< both from 1; column in characters of UTF-8
};
[[nodiscard]] LineColumn line_column(std::string_view text, std::size_t offset) noexcept;

class SourceMap {
 public:
  struct Duplicate {
    std::string path;
    std::size_t first, again;  ///< offsets of the two keys
  };

  SourceMap() = default;
  /// Walks `text`, which a JSON parser has accepted. For other texts the map holds what came before the first
  /// oddity.
  explicit SourceMap(std::string_view text);

  /// Offset of the value at `path`, or of the nearest enclosing value that is in the text.
  [[nodiscard]] std::size_t value(std::string_view path) const;
  /// Offset of the key at `path`; of an array element or a missing value, as value().
  [[nodiscard]] std::size_t key(std::string_view path) const;
  [[nodiscard]] const std::vector<Duplicate>& duplicates() const noexcept { return duplicates_; }

 private:
  friend class SourceScanner;
  struct Place {
    std::size_t key, value;
  };
  [[nodiscard]] Place nearest(std::string_view path) const;

  std::unordered_map<std::string, Place> places_;
  std::vector<Duplicate> duplicates_;
};

}  // namespace sluice::config
