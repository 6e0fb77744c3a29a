#pragma once

#include <span>
#include <string>
#include <string_view>

/// Whoever comes from keepalived brings its words along, of which some have other names here.
namespace sluice::config {

/// For the unknown key `word` of an object whose keys are `known`: ` (did you mean "addresses"?)`, or that
/// sluice does not offer it. Empty: no word of keepalived's, or not the object in which it would stand there.
[[nodiscard]] std::string keepalived_hint(std::string_view word, std::span<const std::string_view> known);

}  // namespace sluice::config
