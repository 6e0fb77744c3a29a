#pragma once

#include <string>
#include <vector>

namespace sluice::cli {

/// `sluice check FILE…`: all that is wrong with each file on stderr, one line a finding. Exit code: 0 when
/// all are valid, else 1.
int check_command(const std::vector<std::string>& files);

}  // namespace sluice::cli
