#pragma once

#include <string_view>

#include "base/address.h"

namespace sluice::config {

/// Why no packet can have this address as that of one host; empty when it can. Loopback addresses are
/// hosts': who cannot reach them says so himself.
[[nodiscard]] std::string_view not_a_host(const base::IpAddress& address) noexcept;

}  // namespace sluice::config
