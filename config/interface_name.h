#pragma once

#include <string>
#include <string_view>

namespace sluice::config {

/// Why the kernel would not take this name for an interface; empty when it would.
[[nodiscard]] std::string interface_fault(std::string_view name);

}  // namespace sluice::config
