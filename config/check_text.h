#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"

/// Parts of checks in one line, for people.
namespace sluice::config {

/// Bytes in quotes, or in hexadecimal digits where they are not printable, shortened.
[[nodiscard]] std::string payload_text(std::string_view bytes);

/// `string "OK"`, `not regex "5.."`.
[[nodiscard]] std::string expect_text(const Expect& expect);

/// `[connect port 25, expect string "220"]`; with no steps `[]`.
[[nodiscard]] std::string steps_text(const std::vector<CheckStep>& steps);

/// `[200-299 404]`.
[[nodiscard]] std::string status_text(const std::vector<StatusRange>& ranges);

}  // namespace sluice::config
