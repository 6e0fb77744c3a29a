#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sluice::config {

/// Opens a regular file for reading. Anything else (a directory, a pipe, a device) is refused, and waits for
/// nobody. `subject`: how the Error's sentence names the file.
[[nodiscard]] base::Result<base::Fd> open_regular_file(const std::string& path, const std::string& subject);

enum class FileAccess : std::uint8_t { read, execute };

/// Why this process cannot use the regular file `path` so, as a sentence that names it; empty when it can.
[[nodiscard]] std::string file_fault(const std::string& path, FileAccess access);

/// Whether reading a configuration looks at the files that it names (certificates, commands). Only who uses
/// them needs that; to others they may be out of reach.
enum class NamedFiles : std::uint8_t { trusted, checked };

}  // namespace sluice::config
