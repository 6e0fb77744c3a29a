#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "config/forwarding.h"
#include "config/report.h"
#include "config/wire.h"
#include "dp/control/client_notices.h"
#include "dp/control/explain_jobs.h"
#include "dp/control/flow_jobs.h"
#include "dp/control/forced_ends.h"
#include "dp/control/publisher.h"
#include "dp/control/server_ledger.h"
#include "dp/control/service_compiler.h"
#include "dp/control/transitions.h"
#include "dp/kernel/kernel_mirror.h"
#include "dp/kernel/kernel_sockets.h"
#include "dp/kernel/next_hops.h"
#include "dp/kernel/virtual_macs.h"
#include "dp/ports/ports.h"
#include "dp/worker.h"
#include "dp/xdp/filter_table.h"

/// Theory of operation. The control thread brings three things together into what workers read: what cp wants
/// (apply()), what the kernel knows of routes and neighbours (KernelMirror, NextHops), and which ports the
/// kernel itself uses (KernelPorts). Whatever changes, there is one way to the workers: publish(). Nothing
/// here ever waits for a worker.
namespace sluice::dp {

class Control {
 public:
  /// `workers` and `ports` must outlive it. Publishes a first snapshot without services. Errors: no netlink,
  /// no memory.
  static base::Result<std::unique_ptr<Control>> create(base::EventLoop& loop, WorkerShared& shared,
                                                       NextHops& next_hops, PortSet& ports,
                                                       std::vector<Worker*> workers);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  /// Carries out a forwarding state; `done` is called once every worker runs it. On error nothing has
  /// changed.
  base::Result<void> apply(config::ForwardingState state, std::function<void()> done);
  /// The state applied last; generation 0 when there was none.
  [[nodiscard]] const config::ForwardingState& state() const noexcept { return state_; }

  /// Asks all workers for their flows. `done` gets the list when the last has answered. Errors:
  /// resolve_filter().
  base::Result<void> list_flows(const config::FlowFilter& filter, std::function<void(config::FlowList)> done);
  /// Has the flows that match ended, by RST to both ends; those that are over already only if the filter
  /// names their state. `done` gets their number. Errors: resolve_filter().
  base::Result<void> kill_flows(const config::FlowFilter& filter, std::function<void(std::uint64_t)> done);

  /// Finds out what would become of a packet; `done` gets the answer. Errors: ExplainJobs::explain().
  base::Result<void> explain(const config::FiveTuple& tuple, ExplainJobs::Done done) {
    return explain_jobs_.explain(tuple, std::move(done));
  }

  /// Why the data plane cannot go on, once it has stopped the loop for that; nothing: all is well.
  [[nodiscard]] const std::optional<base::Error>& failure() const noexcept { return failure_; }
  /// The kernel's routes and neighbours are known.
  [[nodiscard]] bool synced() const noexcept { return mirror_->synced(); }

  // What reports are made of.
  [[nodiscard]] const ServiceCompiler& compiler() const noexcept { return compiler_; }
  [[nodiscard]] const ServerLedger& ledger() const noexcept { return ledger_; }
  [[nodiscard]] const Transitions& transitions() const noexcept { return transitions_; }
  [[nodiscard]] const Snapshot& snapshot() const noexcept { return *publisher_.current(); }
  [[nodiscard]] const std::vector<Worker*>& workers() const noexcept { return workers_; }
  [[nodiscard]] const PortSet& ports() const noexcept { return ports_; }
  [[nodiscard]] base::Tick now() const noexcept;

 private:
  struct PendingAck {
    std::uint64_t serial;
    std::function<void()> done;
  };

  Control(base::EventLoop& loop, WorkerShared& shared, NextHops& next_hops, PortSet& ports,
          std::vector<Worker*> workers, Publisher publisher, std::unique_ptr<KernelMirror> mirror,
          KernelSockets sockets);
  base::Result<void> start();

  base::Result<void> recompile(const config::ForwardingState& state);
  void update_next_hops(const KernelChanges& changes);
  [[nodiscard]] std::vector<VirtualMac> find_virtual_macs() const;
  void publish();
  /// publish(), and the filters of af_xdp ports to go with it.
  void publish_tables();
  void update_filters(const FilterTable& table);
  [[nodiscard]] FilterRules filter_rules() const;

  void on_kernel();
  void look_after_ports();
  void on_fast_tick();
  void on_slow_tick();
  /// True when ports that our local addresses may not use have changed.
  bool refresh_kernel_ports();
  void finish_acks();
  /// Ends the connections of server slots, for a reason that the log is told. What has not been answered yet
  /// is tried elsewhere.
  void end_connections(const std::vector<std::uint16_t>& slots, const std::string& why);
  void stop_long_drains();
  void step_explanations();
  /// Logs when workers begin to answer by SYN cookies, and when they cease to.
  void tell_of_floods();
  [[nodiscard]] bool all_run(std::uint64_t serial) const noexcept;

  base::EventLoop& loop_;
  WorkerShared& shared_;
  NextHops& next_hops_;
  PortSet& ports_;
  std::vector<Worker*> workers_;
  std::vector<PortInterface> interfaces_;
  Publisher publisher_;
  std::unique_ptr<KernelMirror> mirror_;
  KernelSockets kernel_sockets_;
  KernelPorts kernel_ports_;
  ServiceCompiler compiler_;
  ServerLedger ledger_;
  Transitions transitions_;
  config::ForwardingState state_;
  std::shared_ptr<const ServiceTables> tables_;
  FilterTable filter_;  ///< that af_xdp ports follow
  std::vector<PendingAck> acks_;
  std::optional<base::Error> failure_;
  bool flood_ = false;  ///< workers answer by SYN cookies
  ClientNotices client_notices_;
  FlowJobs flow_jobs_;
  ExplainJobs explain_jobs_;
  HardStop hard_stop_;
  base::EventLoop::TimerId fast_timer_ = base::EventLoop::TimerId::none;
  base::EventLoop::TimerId slow_timer_ = base::EventLoop::TimerId::none;
  base::Tick next_hops_checked_;
};

}  // namespace sluice::dp
