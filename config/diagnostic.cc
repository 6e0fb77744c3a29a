#include "config/diagnostic.h"

#include <algorithm>
#include <utility>

namespace sluice::config {

std::string format(const Diagnostic& diagnostic, std::string_view file) {
  std::string text(file);
  text.append(":")
      .append(std::to_string(diagnostic.line))
      .append(":")
      .append(std::to_string(diagnostic.column));
  text.append(": ").append(diagnostic.object).append(": ").append(diagnostic.text);
  return text;
}

bool ProblemList::is_wrong(std::string_view path) const {
  while (true) {
    if (wrong_.contains(path)) return true;
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return false;
    path = path.substr(0, slash);
  }
}

void ProblemList::add(Problem problem) {
  if (full() || is_wrong(problem.path)) return;
  if (std::ranges::any_of(problem.depends, [this](const auto& path) { return is_wrong(path); })) return;
  wrong_.insert(problem.path);
  problems_.push_back(std::move(problem));
}

}  // namespace sluice::config
