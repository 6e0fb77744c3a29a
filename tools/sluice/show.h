#pragma once

#include <filesystem>

#include "config/wire.h"

namespace sluice::cli {

/// `sluice show …`: asks the control plane that runs on `runtime_dir` and prints a table, or the JSON as it
/// came, indented. Exit code: 0, or 1 with a sentence on stderr.
int show_command(const config::ShowRequest& request, const std::filesystem::path& runtime_dir, bool json);

}  // namespace sluice::cli
