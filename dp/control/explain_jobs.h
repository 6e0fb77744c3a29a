#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "config/explain.h"
#include "dp/control/explain.h"
#include "dp/control/explain_report.h"
#include "dp/snapshot.h"

namespace sluice::dp {

/// Has questions answered by the workers that own what is asked about. Nothing here waits: step() is to be
/// called now and then. Thread: control.
class ExplainJobs {
 public:
  /// Hands a query to a worker; false while it has one in progress.
  using Ask = std::function<bool(std::size_t worker, ExplainQuery* query)>;
  using Done = std::function<void(const config::Explanation&)>;

  explicit ExplainJobs(Ask ask) : ask_(std::move(ask)) {}

  /// Questions at one time: each holds what a worker finds out, some 144 KB.
  static constexpr std::size_t kMost = 64;

  /// `done` gets the answer, from step(). Errors: invalid, ends of different families; exhausted, kMost wait.
  base::Result<void> explain(const config::FiveTuple& tuple, Done done);

  /// Takes what workers have found out, and asks more. An answer by other tables than those that `context`
  /// has names for is asked for again. `any`: any worker's state.
  void step(const Snapshot& snapshot, const WorkerState& any, const ExplainContext& context);
  [[nodiscard]] bool idle() const noexcept { return jobs_.empty(); }

 private:
  struct Job {
    config::FiveTuple tuple;
    Done done;
    std::unique_ptr<ExplainQuery> query;  ///< null: to be asked
    std::size_t worker = 0;
  };
  Ask ask_;
  std::vector<Job> jobs_;
};

}  // namespace sluice::dp
