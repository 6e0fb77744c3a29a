#include "tools/sluice/check.h"

#include <cstdio>

#include <fmt/core.h>

#include "config/parse.h"

namespace sluice::cli {

int check_command(const std::vector<std::string>& files) {
  int exit_code = 0;
  for (const std::string& file : files) {
    const auto config = config::load_file(file);
    if (!config) {
      fmt::print(stderr, "{}\n", config.error().message);
      exit_code = 1;
    } else if (files.size() == 1) {
      fmt::print("Configuration file is valid\n");
    } else {
      fmt::print("Configuration file is valid: {}\n", file);
    }
  }
  return exit_code;
}

}  // namespace sluice::cli
