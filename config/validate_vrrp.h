#pragma once

#include "config/diagnostic.h"
#include "config/model.h"

namespace sluice::config {

/// The rules of "vrrp": what its values mean together, and with the services.
void validate_vrrp(const Config& config, ProblemList& problems);

}  // namespace sluice::config
