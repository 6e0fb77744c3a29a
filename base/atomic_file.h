#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace sluice::base {

/// Puts `text` into the file `path` as a whole: whoever reads it, whenever, sees the old content or the new.
/// Writes `path`.new beside it first, mode `mode`. Not synced to the disk: for runtime directories.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view text,
                                   unsigned mode = 0644);

}  // namespace sluice::base
