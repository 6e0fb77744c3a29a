#pragma once

#include <string>
#include <vector>

#include "config/explain.h"
#include "dp/control/explain.h"
#include "dp/control/service_compiler.h"
#include "dp/kernel/kernel_tables.h"
#include "dp/server_load.h"

namespace sluice::dp {

/// What turns a worker's findings into words. `tables`: those that the findings were made with.
struct ExplainContext {
  const ServiceCompiler& compiler;
  const ServiceTables& tables;
  const Load& load;
  const KernelTables& kernel;
  std::vector<std::string> ports;  ///< names by number
};

/// The findings of `worker` with names in place of slots. Thread: control.
[[nodiscard]] config::Explanation explanation_of(const config::FiveTuple& tuple, const Findings& found,
                                                 std::size_t worker, const ExplainContext& context);

}  // namespace sluice::dp
