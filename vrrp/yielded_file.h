#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"

namespace sluice::vrrp {

/// Remembers which instances an operator has had yield, over restarts of sluice-vrrp and of the whole: a host
/// under maintenance must not take the addresses back because a process was restarted. A name a line.
class YieldedFile {
 public:
  explicit YieldedFile(std::filesystem::path file) : file_(std::move(file)) {}

  /// Empty when there is no file. Error: it cannot be read.
  [[nodiscard]] base::Result<std::set<std::string>> read();
  /// Replaces what was remembered, if it differs; no file is left when `names` is empty. Error: it cannot be
  /// written.
  [[nodiscard]] base::Result<void> write(const std::set<std::string>& names);

 private:
  std::filesystem::path file_;
  std::optional<std::set<std::string>> held_{};  ///< what the file is known to hold
};

}  // namespace sluice::vrrp
