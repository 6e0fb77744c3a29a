#pragma once

#include "config/explain.h"
#include "cp/controller.h"

namespace sluice::cp {

/// Adds to the data plane's explanation what only the control plane knows of the servers, found by service,
/// name and endpoint: their state, and why one that gets no new connections gets none. Weights become those
/// that users write. Pure.
void add_knowledge(config::Explanation& explanation, const Controller& controller);

}  // namespace sluice::cp
