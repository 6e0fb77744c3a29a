#pragma once

#include <json/forwards.h>

#include "config/diagnostic.h"

namespace sluice::config {

/// Checks `document` against config/sluice.schema.json (JSON Schema, draft-07), compiled in. Every violation
/// becomes a problem in words of ours: what is wrong, what is allowed, what may have been meant. The schema's
/// "pattern"s are left to who reads the values, and says more of them (names, durations, ranges). Does not
/// throw for any document.
void check_schema(const Json::Value& document, ProblemList& problems);

/// The schema's text.
[[nodiscard]] std::string_view schema_text() noexcept;

}  // namespace sluice::config
