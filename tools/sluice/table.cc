#include "tools/sluice/table.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::cli {
namespace {

/// Characters, not bytes: names may be UTF-8.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

void append_cell(std::string& line, std::string_view text, std::size_t width, Align align) {
  const std::string padding(width - width_of(text), ' ');
  if (align == Align::right) line += padding;
  line += text;
  if (align == Align::left) line += padding;
}

void end_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line;
  out += '\n';
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::to_string() const {
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = width_of(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[c]));
    widths.push_back(width);
  }
  std::string out;
  std::string line;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (c != 0) line += "  ";
    append_cell(line, columns_[c].title, widths[c], columns_[c].align);
  }
  end_line(out, std::exchange(line, {}));
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c != 0) line += "  ";
      append_cell(line, row[c], widths[c], columns_[c].align);
    }
    end_line(out, std::exchange(line, {}));
  }
  return out;
}

}  // namespace sluice::cli
