#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"

namespace sluice::cli {

/// A program that `sluice run` keeps running.
struct Program {
  std::string name;                    ///< as logs and errors call it, e.g. "sluice-dp"
  std::filesystem::path file;          ///< the executable
  std::vector<std::string> arguments;  ///< without argv[0]
};

/// Starts `program` in a process group of its own, so that a Ctrl-C in the terminal reaches us alone and
/// children stop in order; it gets SIGTERM when this process dies, however. Its NOTIFY_SOCKET is
/// `notify_socket`; nothing of a service manager's own notifications to us leaks into it. Error: the program
/// could not be executed.
base::Result<pid_t> spawn(const Program& program, const std::filesystem::path& notify_socket);

/// The words for a wait status: "exited with status 1", "was killed by signal 9 (Killed)".
[[nodiscard]] std::string end_text(int wait_status);

/// Where the sibling program `name` lies: in `libexec_dir` if given; else beside this executable, where the
/// build directory has it, or where an installation puts it. Error: not found, listing the places.
base::Result<std::filesystem::path> find_sibling(const std::string& name,
                                                 const std::filesystem::path& libexec_dir);

}  // namespace sluice::cli
