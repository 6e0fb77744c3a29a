#pragma once

#include <string>

#include "config/explain.h"

namespace sluice::cli {

/// An explanation for people: a fact a line, in the order in which the packet path decides.
[[nodiscard]] std::string explanation_text(const config::Explanation& explanation);

}  // namespace sluice::cli
