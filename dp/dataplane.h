#pragma once

#include <string>

#include "base/result.h"
#include "config/model.h"

namespace sluice::dp {

/// Opens the ports, starts the workers, serves RUNTIME_DIR/dp.sock until SIGTERM or SIGINT. Tells readiness
/// by sd_notify(3). On an error nothing is left behind. Thread: the main one; once per process.
base::Result<void> run_dataplane(const config::Config& config, const std::string& runtime_dir);

}  // namespace sluice::dp
