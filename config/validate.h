#pragma once

#include "config/diagnostic.h"
#include "config/model.h"

namespace sluice::config {

/// Rules between values that each are well-formed: adds a problem for every rule that `config` breaks. Paths
/// are those of the configuration file. Pure.
void validate(const Config& config, ProblemList& problems);

}  // namespace sluice::config
