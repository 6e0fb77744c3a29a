#pragma once

#include "config/model.h"
#include "config/section.h"

namespace sluice::config {

/// The instance that an element of "vrrp" describes. What only other values show to be wrong is left to
/// validate().
[[nodiscard]] VrrpInstance build_vrrp(const Section& section, SectionReader& reader);

/// Local addresses of services move with the vip: to the instance that has a service's vip in `addresses` or
/// `addresses_excluded` are added those of the service's local addresses that no instance has, as /32 or
/// /128: whatever prefix length the user has given such an address on the host, it is another one.
void carry_local_addresses(Config& config);

}  // namespace sluice::config
