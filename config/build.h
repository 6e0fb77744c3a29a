#pragma once

#include <json/forwards.h>

#include "config/diagnostic.h"
#include "config/model.h"
#include "config/readable_file.h"

namespace sluice::config {

/// Reads the model from a document, defaults filled in. Whatever is of the wrong type or missing keeps its
/// default (check_schema() has told of it) and elements keep their index, so that later rules can still look
/// at the rest. Texts that do not mean what they should (addresses, durations, ranges, names, devices) become
/// problems.
[[nodiscard]] Config build_config(const Json::Value& document, ProblemList& problems, NamedFiles named_files);

}  // namespace sluice::config
