#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/report.h"
#include "config/wire.h"
#include "dp/control/flow_query.h"
#include "dp/control/service_compiler.h"

namespace sluice::dp {

/// `filter` with the slots that its names have now. Names that nothing has match no flow. Errors: invalid, a
/// state that there is not.
[[nodiscard]] base::Result<FlowQuery::Filter> resolve_filter(const config::FlowFilter& filter,
                                                             const ServiceCompiler& compiler);

/// A flow's row with names in place of slots.
[[nodiscard]] config::FlowReport report_of(const FlowQuery::Row& row, base::Tick taken_at, std::size_t worker,
                                           const std::string& service, const std::string& server,
                                           const Service& timeouts);

/// What the control thread asks of all workers about their flows, one job after the other, for a worker takes
/// one query at a time. Nothing here waits: step() is to be called now and then. Thread: control.
class FlowJobs {
 public:
  /// Hands a query to a worker; false while it has one in progress.
  using Ask = std::function<bool(std::size_t worker, FlowQuery* query)>;

  FlowJobs(std::size_t workers, Ask ask) : workers_(workers), ask_(std::move(ask)) {}

  /// `done` gets up to `limit` of the flows that match, from step().
  void list(const FlowQuery::Filter& filter, std::uint32_t limit, std::function<void(config::FlowList)> done);
  /// Ends the flows that match; `done` gets their number, from step().
  void kill(const FlowQuery::Filter& filter, std::function<void(std::uint64_t)> done) {
    end(FlowQuery::Purpose::kill, filter, std::move(done));
  }
  /// Ends the connections that servers have; what they have not answered yet is tried elsewhere.
  void take_from_servers(const FlowQuery::Filter& filter, std::function<void(std::uint64_t)> done) {
    end(FlowQuery::Purpose::take_from_server, filter, std::move(done));
  }

  /// Takes what workers have done, and gives them more to do. `compiler` and `tables` as they stand: rows
  /// whose slots have been freed are left out.
  void step(const ServiceCompiler& compiler, const ServiceTables& tables);
  [[nodiscard]] bool idle() const noexcept { return jobs_.empty(); }

 private:
  struct Job {
    std::vector<std::unique_ptr<FlowQuery>> queries;  ///< by worker
    std::vector<bool> asked;
    std::uint32_t limit = 0;
    std::function<void(config::FlowList)> listed;  // one of the two is set
    std::function<void(std::uint64_t)> killed;
  };
  Job& add(FlowQuery::Purpose purpose, const FlowQuery::Filter& filter, std::uint32_t limit);
  void end(FlowQuery::Purpose purpose, const FlowQuery::Filter& filter,
           std::function<void(std::uint64_t)> done);
  bool complete(Job& job);

  std::size_t workers_;
  Ask ask_;
  std::deque<Job> jobs_;
};

}  // namespace sluice::dp
