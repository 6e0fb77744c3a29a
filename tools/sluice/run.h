#pragma once

#include <filesystem>
#include <string>

namespace sluice::cli {

struct RunOptions {
  std::string config_file;
  std::filesystem::path runtime_dir;
  std::string log_level;              ///< handed to the children, too
  std::filesystem::path libexec_dir;  ///< where sluice-dp and sluice-cp are; empty: looked for
};

/// `sluice run`: checks the configuration, claims the runtime directory, keeps sluice-dp and sluice-cp
/// running until a signal. The children read `accepted.json` in the runtime directory, a copy of what was
/// checked: an edit that breaks the file cannot keep a child that has died from coming back. Exit code: 0
/// when stopped by a signal, 1 when it could not start, with the reason on stderr and nothing left running.
int run_command(const RunOptions& options);

}  // namespace sluice::cli
