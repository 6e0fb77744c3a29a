#include "dp/dataplane.h"

#include <cerrno>
#include <memory>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vector>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/log.h"
#include "dp/control/control.h"
#include "dp/control/control_server.h"
#include "dp/control/report.h"
#include "dp/control/telemetry.h"
#include "dp/eal.h"
#include "dp/handover.h"
#include "dp/kernel/next_hops.h"
#include "dp/parking.h"
#include "dp/ports/ports.h"
#include "dp/worker.h"

namespace sluice::dp {
namespace {

/// SIGTERM and SIGINT as a descriptor; blocked in every thread that is made afterwards.
base::Result<base::Fd> termination_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return base::system_error("cannot block SIGTERM", error);
  }
  base::Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (fd.get() < 0) return base::system_error("cannot wait for SIGTERM", errno);
  return fd;
}

template <typename T>
base::Result<T> random_value() {
  T value{};
  if (::getrandom(&value, sizeof(value), 0) != static_cast<ssize_t>(sizeof(value))) {
    return base::system_error("cannot get random numbers", errno);
  }
  return value;
}

/// Ends the workers and waits for them, whichever way the scope is left.
class RunningWorkers {
 public:
  static base::Result<RunningWorkers> launch(WorkerShared& shared, const std::vector<Worker*>& workers) {
    RunningWorkers running(shared);
    for (std::size_t i = 0; i < workers.size(); ++i) {
      const unsigned lcore = Eal::lcore_of(static_cast<std::uint16_t>(i));
      const auto entry = [](void* worker) {
        static_cast<Worker*>(worker)->run();
        return 0;
      };
      if (const int error = ::rte_eal_remote_launch(entry, workers[i], lcore); error != 0) {
        return base::system_error("worker " + std::to_string(i) + ": cannot be started", -error);
      }
    }
    return running;
  }
  RunningWorkers(RunningWorkers&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  RunningWorkers& operator=(RunningWorkers&&) = delete;
  ~RunningWorkers() {
    if (shared_ == nullptr) return;
    shared_->stop.store(true, std::memory_order_relaxed);
    ::rte_eal_mp_wait_lcore();
  }

 private:
  explicit RunningWorkers(WorkerShared& shared) noexcept : shared_(&shared) {}
  WorkerShared* shared_;
};

}  // namespace

base::Result<void> run_dataplane(const config::Config& config, const std::string& runtime_dir) {
  ReportBasics basics;
  basics.started_ms = base::steady_ms();
  const std::uint16_t worker_count = config.dataplane.workers;

  auto loop = base::EventLoop::create();
  if (!loop) return std::move(loop).error();
  auto signals = termination_signals();
  if (!signals) return std::move(signals).error();
  // The socket first: it tells whether another dp has this runtime directory, before anything is touched.
  auto server = ControlServer::listen(**loop, runtime_dir);
  if (!server) return std::move(server).error();

  const std::uint32_t in_flight = worker_count * (Parking::kPlaces + Fragments::kPlaces +
                                                  (worker_count - std::uint32_t{1}) * Handover::kDepth);
  auto plan =
      plan_ports(config.ports, {.workers = worker_count, .private_bytes = 0, .mbufs_in_flight = in_flight});
  if (!plan) return std::move(plan).error();
  auto telemetry = Telemetry::start();
  if (!telemetry) return std::move(telemetry).error();
  auto eal =
      Eal::start({.dataplane = config.dataplane, .runtime_dir = runtime_dir, .caller_memory_mb = 8}, *plan);
  if (!eal) return std::move(eal).error();
  basics.hugepages = eal->hugepages();
  for (std::uint16_t w = 0; w < worker_count; ++w) basics.cpus.push_back(eal->cpus_of(w));
  auto ports = open_ports(*plan, *eal);
  if (!ports) return std::move(ports).error();
  auto handover = Handover::make(worker_count);
  if (!handover) return std::move(handover).error();
  const auto tag = MbufTag::make();
  if (!tag) return tag.error();

  WorkerShared shared;
  shared.start_tsc = ::rte_rdtsc();
  shared.tsc_per_ms = ::rte_get_tsc_hz() / 1000;
  const auto seed = random_value<FlowHash::Seed>();
  if (!seed) return seed.error();
  NextHops next_hops(worker_count, seed->a ^ seed->d);
  std::vector<std::unique_ptr<WorkerState>> states;
  std::vector<const WorkerState*> peers;
  Load load;
  for (std::uint16_t w = 0; w < worker_count; ++w) {
    auto state =
        WorkerState::create(w, worker_count, config.dataplane, *seed, next_hops.use(w), load, base::Tick{});
    if (!state) return std::move(state).error();
    peers.push_back(state->get());
    states.push_back(std::move(*state));
  }
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Worker*> worker_pointers;
  for (const auto& state : states) {
    state->peers = peers;
    workers.push_back(
        std::make_unique<Worker>(*state, shared, *ports, *handover, *tag, config.dataplane.idle));
    worker_pointers.push_back(workers.back().get());
  }
  auto control = Control::create(**loop, shared, next_hops, *ports, worker_pointers);
  if (!control) return std::move(control).error();
  (*server)->serve(**control, [&](const auto& request) { return make_report(**control, basics, request); });

  const auto refresh = [&] { (*telemetry)->update(make_report(**control, basics)); };
  refresh();
  (*loop)->every(std::chrono::seconds(1), refresh);
  auto watched = (*loop)->add(signals->get(), EPOLLIN, [&](std::uint32_t) { (*loop)->stop(); });
  if (!watched) return watched;

  // Ready means that packets find their way: not before the kernel's routes are known.
  constexpr std::uint64_t kSyncLimitMs = 5000;
  const std::uint64_t sync_until = base::steady_ms() + kSyncLimitMs;
  while (!(*control)->synced() && base::steady_ms() < sync_until)
    (*loop)->run_once(std::chrono::milliseconds(100));
  if (!(*control)->synced()) {
    return base::Error{base::ErrorCode::unavailable,
                       "the kernel did not tell its routes by netlink within 5 s"};
  }

  {
    const auto running = RunningWorkers::launch(shared, worker_pointers);
    if (!running) return running.error();
    base::log::info("{} workers on {} ports, {}", worker_count, ports->ports().size(),
                    basics.hugepages ? "hugepages" : "no hugepages");
    ::sd_notify(0, "READY=1\nSTATUS=forwarding");
    (*loop)->run();
    ::sd_notify(0, "STOPPING=1");
  }
  if ((*control)->failure()) return *(*control)->failure();
  base::log::info("stopped");
  return {};
}

}  // namespace sluice::dp
