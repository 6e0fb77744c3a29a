#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What is wrong with a configuration, and where. Places are JSON pointers (RFC 6901), e.g.
/// "/services/0/vip": they name a value whether it stands in the file or is missing from it.
namespace sluice::config {

struct Problem {
  std::string path;
  std::string text;  ///< what is wrong with the value at `path`; its key is named when shown
  /// Other values that the statement rests on: when one of them is wrong itself, this problem is not worth
  /// telling.
  std::vector<std::string> depends{};
  /// `text` is about the key (unknown, missing, given twice) and names it itself.
  bool about_key = false;
};

/// A problem as the user reads it.
struct Diagnostic {
  unsigned line = 1;     ///< from 1
  unsigned column = 1;   ///< from 1, in characters
  std::string object{};  ///< e.g. `server "k8s-api/master1"`
  std::string text{};    ///< what is wrong, and what to write instead
  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

/// `file:line:column: object: text`.
[[nodiscard]] std::string format(const Diagnostic& diagnostic, std::string_view file);

/// Problems of which none follows from another: one per path, and none that depends on a wrong value.
class ProblemList {
 public:
  /// Takes `problem` unless it concerns a value already known to be wrong (or inside or resting on one).
  void add(Problem problem);
  [[nodiscard]] const std::vector<Problem>& all() const noexcept { return problems_; }
  [[nodiscard]] bool full() const noexcept { return problems_.size() >= kMost; }

  /// Nobody reads more; garbage of any size costs no more than this.
  static constexpr std::size_t kMost = 200;

 private:
  [[nodiscard]] bool is_wrong(std::string_view path) const;

  std::vector<Problem> problems_;
  std::set<std::string, std::less<>> wrong_;
};

}  // namespace sluice::config
