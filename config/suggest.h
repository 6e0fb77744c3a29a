#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"

/// Words of error messages: guesses at what was meant, and values shown safely.
namespace sluice::config {

/// ` (did you mean "x"?)` with the candidate nearest to `word`; empty when none is near.
/// Nearness: fewest insertions, deletions, substitutions and swaps of neighbours, at most a third of the
/// word.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

/// Length of the UTF-8 character at the start of `text`; 0 when there is none. Pre: not empty.
[[nodiscard]] std::size_t utf8_length(std::string_view text);

/// `text` in quotes for a message: control characters and bytes that are not UTF-8 replaced, shortened to 60
/// bytes.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "IPv4" or "IPv6".
[[nodiscard]] constexpr std::string_view family_name(base::Family family) noexcept {
  return family == base::Family::v4 ? "IPv4" : "IPv6";
}

}  // namespace sluice::config
