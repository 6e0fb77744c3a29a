#pragma once

#include <cstddef>
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

/// Decides when a text that grows is worth another look: at each of the first growths, then each time it is
/// an eighth longer, so that a server that sends byte by byte costs no more than one that does not.
class LookPacer {
 public:
  /// Whether to look at the text now that it has `size` bytes. `last`: no more will come.
  [[nodiscard]] bool look(std::size_t size, bool last) noexcept {
    constexpr unsigned kFreely = 64;
    if (!last && looks_ >= kFreely && size < seen_ + seen_ / 8) return false;
    ++looks_;
    seen_ = size;
    return true;
  }

 private:
  unsigned looks_ = 0;
  std::size_t seen_ = 0;
};

}  // namespace sluice::cp
