#include "dp/control/explain_jobs.h"

#include <iterator>
#include <string>
#include <utility>

namespace sluice::dp {

base::Result<void> ExplainJobs::explain(const config::FiveTuple& tuple, Done done) {
  if (tuple.source.address.family() != tuple.destination.address.family()) {
    return base::Error{base::ErrorCode::invalid, "explain: " + tuple.source.to_string() + " and " +
                                                     tuple.destination.to_string() +
                                                     " are not of one address family"};
  }
  if (jobs_.size() == kMost) {
    return base::Error{
        base::ErrorCode::exhausted,
        "explain: " + std::to_string(kMost) + " questions wait for their answers already; ask again"};
  }
  jobs_.push_back({tuple, std::move(done), nullptr, 0});
  return {};
}

void ExplainJobs::step(const Snapshot& snapshot, const WorkerState& any, const ExplainContext& context) {
  std::vector<Job> waiting;
  for (Job& job : std::exchange(jobs_, {})) {
    if (job.query != nullptr && job.query->done()) {
      const Findings& found = job.query->findings();
      if (found.serial == context.tables.serial && found.owner == job.worker) {
        job.done(explanation_of(job.tuple, found, job.worker, context));
        continue;
      }
      job.query.reset();
    }
    if (job.query == nullptr) {
      job.worker = owner_of(job.tuple, snapshot, any);
      job.query = std::make_unique<ExplainQuery>(job.tuple);
      if (!ask_(job.worker, job.query.get())) job.query.reset();
    }
    waiting.push_back(std::move(job));
  }
  jobs_.insert(jobs_.begin(), std::make_move_iterator(waiting.begin()),
               std::make_move_iterator(waiting.end()));
}

}  // namespace sluice::dp
