#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/diagnostic.h"
#include "config/model.h"
#include "config/readable_file.h"

/// Reading a configuration: text → JSON → schema (schema_check.h) → model (build.h) → rules (validate.h).
/// Every stage looks at all that the stages before it left unharmed, so that one run tells of everything.
/// Thread: any.
namespace sluice::config {

struct Parsed {
  Config config;                        ///< to be used only when there are no diagnostics
  std::vector<Diagnostic> diagnostics;  ///< by position
  [[nodiscard]] bool valid() const noexcept { return diagnostics.empty(); }
};

/// Reads a configuration's text. Any bytes are allowed, and harmless. `named_files`: trusted for who uses
/// none of the files that checks name.
[[nodiscard]] Parsed parse_config(std::string_view text, NamedFiles named_files = NamedFiles::checked);

/// The bytes of a configuration file, which is a regular one. Error: the sentence that says why it cannot be
/// read.
[[nodiscard]] base::Result<std::string> read_file(const std::string& path);

/// Reads the text of the file `path`. The Error's message holds all diagnostics, one a line, each as
/// `file:line:column: object: what is wrong`.
[[nodiscard]] base::Result<Config> load_text(std::string_view text, const std::string& path,
                                             NamedFiles named_files = NamedFiles::checked);

/// read_file(), then load_text().
[[nodiscard]] base::Result<Config> load_file(const std::string& path,
                                             NamedFiles named_files = NamedFiles::checked);

}  // namespace sluice::config
