#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "config/wire.h"

namespace sluice::cli {

/// What the control plane that runs on `runtime_dir` shows: a table, or the JSON as it came, indented.
[[nodiscard]] base::Result<std::string> shown(const config::ShowRequest& request,
                                              const std::filesystem::path& runtime_dir, bool json);

}  // namespace sluice::cli
