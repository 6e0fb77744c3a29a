#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "config/section.h"

/// What checks send and what they expect.
namespace sluice::config {

/// The bytes of "send" or "send_binary", whichever `section` has. Both at once are refused.
[[nodiscard]] std::optional<std::string> read_payload(const Section& section, SectionReader& reader);

/// An object with one of "string", "regex" and "binary", and "not"; none when it is no such object or wrong.
[[nodiscard]] std::optional<Expect> read_expect(const Section& section, SectionReader& reader);

/// The array "steps" of a tcp-check. Steps that are wrong keep their place.
[[nodiscard]] std::vector<CheckStep> read_steps(const Section& check, SectionReader& reader);

}  // namespace sluice::config
