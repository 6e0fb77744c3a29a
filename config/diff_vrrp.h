#pragma once

#include <vector>

#include "config/diff.h"
#include "config/vrrp.h"

namespace sluice::config {

/// What differs between two lists of instances; appended to `changes`. Passwords are not told.
void diff_vrrp(std::vector<Change>& changes, const std::vector<VrrpInstance>& from,
               const std::vector<VrrpInstance>& to);

}  // namespace sluice::config
