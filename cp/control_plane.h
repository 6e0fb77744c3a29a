#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "config/model.h"

namespace sluice::cp {

/// Runs the control plane until SIGTERM or SIGINT: keeps the data plane on `runtime_dir`/dp.sock in step with
/// the configuration and the servers' health, answers the CLI on `runtime_dir`/cp.sock and cp-read.sock.
/// Tells readiness by sd_notify once it listens. `config_name` is what users are shown as the file. Error: it
/// could not start.
base::Result<void> run_control_plane(config::Config config, const std::string& config_name,
                                     const std::filesystem::path& runtime_dir);

}  // namespace sluice::cp
