#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace sluice::cli {

/// A service of the running instance, for completion.
struct KnownService {
  std::string name;
  std::vector<std::string> servers;
};

/// What can be asked of the running instance; each is asked only where its names are needed.
struct Known {
  std::function<std::vector<KnownService>()> services;
  std::function<std::vector<std::string>()> vrrp_instances;
};

/// What the last of `words` (of a command line, without the program's name) may become: commands and options
/// as `app` has them, and values. Names come from `known`. A single ":files" or ":directories" means
/// those of the file system. Pre: words is not empty.
[[nodiscard]] std::vector<std::string> candidates(const CLI::App& app, const std::vector<std::string>& words,
                                                  const Known& known);

/// Prints candidates() for the words that the script of `sluice completion bash` hands over; asks the running
/// instance that they mean for names. Exit code: 0.
int complete(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace sluice::cli
