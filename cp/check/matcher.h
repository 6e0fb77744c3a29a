#pragma once

#include <chrono>
#include <memory>
#include <regex.h>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/model.h"

namespace sluice::cp {

/// What an answer must hold, ready to be looked for. Cheap to copy; immutable. Thread: any.
class Matcher {
 public:
  /// Error (invalid): the regular expression is none.
  static base::Result<Matcher> compile(const config::Expect& expect);

  /// Whether the pattern stands in `text`, which may hold any bytes; negation is the caller's affair.
  [[nodiscard]] bool found_in(std::string_view text) const;
  [[nodiscard]] bool negated() const noexcept { return expect_.negate; }
  [[nodiscard]] const config::Expect& expect() const noexcept { return expect_; }

 private:
  struct FreeRegex {
    void operator()(regex_t* regex) const noexcept;
  };

  config::Expect expect_;
  std::shared_ptr<const regex_t> regex_;  ///< of regex
};

/// Bounds what looking at an answer that comes in crumbs costs: after so many looks whoever reads it is to
/// let more of it come in first.
class LookPacer {
 public:
  static constexpr std::chrono::milliseconds kPause{10};

  void looked() noexcept { ++looks_; }
  /// Whether to wait for kPause before reading on.
  [[nodiscard]] bool is_tired() const noexcept { return looks_ >= kFreely; }

 private:
  static constexpr unsigned kFreely = 64;
  unsigned looks_ = 0;
};

}  // namespace sluice::cp
