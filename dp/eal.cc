#include "dp/eal.h"

#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <pthread.h>
#include <signal.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_pdump.h>

#include "base/log.h"
#include "config/cpu_list.h"
#include "dp/allowed_cpus.h"
#include "dp/hugepages.h"

namespace sluice::dp {

namespace {

/// FNV-1a: stable between runs, which is all that is asked of it.
std::uint32_t hash_of(const std::string& text) noexcept {
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
  return hash;
}

/// Blocks the real-time signals while EAL makes its threads, which inherit it; afterwards the calling thread
/// is the one that takes them.
class RealTimeSignalsBlocked {
 public:
  RealTimeSignalsBlocked() noexcept {
    ::sigemptyset(&set_);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) ::sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  RealTimeSignalsBlocked(const RealTimeSignalsBlocked&) = delete;
  RealTimeSignalsBlocked& operator=(const RealTimeSignalsBlocked&) = delete;
  ~RealTimeSignalsBlocked() { ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_{};
};

/// Whether hugepages will do, with a line in the log that says why not.
bool choose_hugepages(const config::Dataplane& dataplane, const std::string& file_prefix,
                      std::uint64_t need_mb) {
  constexpr const char* kCost =
      "packet memory is in ordinary pages, which costs throughput (TLB misses) and dpdk-dumpcap";
  if (dataplane.hugepages == config::Hugepages::off) {
    base::log::info("hugepages are off by configuration; {}", kCost);
    return false;
  }
  const FreeHugepages free = free_hugepages(file_prefix);
  if (free.usable_mb >= need_mb) return true;
  if (free.usable_mb + free.unmounted_mb >= need_mb) {
    base::log::info(
        "{} MiB of hugepages are free, but no hugetlbfs is mounted for them (mount -t hugetlbfs none "
        "/dev/hugepages); {}",
        free.usable_mb + free.unmounted_mb, kCost);
  } else {
    base::log::info("{} MiB of hugepages are free, {} MiB are needed (sysctl vm.nr_hugepages={}); {}",
                    free.usable_mb, need_mb, need_mb / 2 + 1, kCost);
  }
  return false;
}

base::Error start_failed(const EalOptions& options, const std::string& complaint, int error) {
  if (complaint.find("Is another primary process running") != std::string::npos) {
    return base::Error{base::ErrorCode::exists, "another sluice-dp runs on the runtime directory " +
                                                    options.runtime_dir +
                                                    "; stop it, or choose another directory"};
  }
  if (::geteuid() != 0 && (error == EACCES || error == EPERM)) {
    return base::Error{base::ErrorCode::permission,
                       "DPDK may not start as this user; run sluice-dp as root (" + complaint + ")"};
  }
  base::Error failure = base::system_error("DPDK cannot start", error);
  if (!complaint.empty()) failure.message = "DPDK cannot start: " + complaint;
  return failure;
}

}  // namespace

std::string eal_file_prefix(const std::string& runtime_dir) {
  std::error_code ignored;
  std::filesystem::path path = std::filesystem::weakly_canonical(runtime_dir, ignored);
  if (path.empty()) path = runtime_dir;
  if (!path.has_filename()) path = path.parent_path();
  std::string prefix = "sluice-";
  for (const char c : path.filename().string().substr(0, 24)) {
    prefix += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  std::array<char, 10> hash{};
  std::snprintf(hash.data(), hash.size(), "-%08x", hash_of(path.string()));
  return prefix + hash.data();
}

base::Result<Eal> Eal::start(const EalOptions& options, const PortsPlan& plan) {
  const std::uint16_t workers = options.dataplane.workers;
  const std::vector<std::uint16_t> allowed = allowed_cpus();
  std::vector<std::uint16_t> listed;
  if (!options.dataplane.cpus.empty()) {
    auto cpus = choose_cpus(options.dataplane.cpus, allowed);
    if (!cpus) return std::move(cpus).error();
    listed = std::move(*cpus);
  }
  if (workers == 0 || lcore_of(workers) > RTE_MAX_LCORE) {
    return base::Error{base::ErrorCode::invalid, "dataplane.workers " + std::to_string(workers) +
                                                     ": must be 1 to " + std::to_string(RTE_MAX_LCORE - 1)};
  }

  Eal eal;
  std::string lcores = "0@(" + config::cpu_list_text(allowed) + ")";
  for (std::uint16_t worker = 0; worker < workers; ++worker) {
    eal.cpus_.push_back(listed.empty() ? allowed
                                       : std::vector<std::uint16_t>{listed[worker % listed.size()]});
    lcores += "," + std::to_string(lcore_of(worker)) + "@(" + config::cpu_list_text(eal.cpus_.back()) + ")";
  }
  const std::uint64_t packet_mb =
      options.dataplane.memory_mb != 0 ? options.dataplane.memory_mb : std::uint64_t{plan.memory_mb};
  const std::uint64_t memory_mb = packet_mb + options.caller_memory_mb;
  eal.file_prefix_ = eal_file_prefix(options.runtime_dir);
  eal.hugepages_ = choose_hugepages(options.dataplane, eal.file_prefix_, memory_mb);

  std::vector<std::string> args{
      "sluice-dp",   "--lcores", lcores,        "--main-lcore",       "0", "--file-prefix", eal.file_prefix_,
      "--log-level", "warning",  "--log-level", "lib.telemetry:error"};
  if (!eal.hugepages_) {
    args.insert(args.end(), {"--no-huge", "-m", std::to_string(memory_mb)});
  }
  if (plan.has_pci()) {
    for (const PortPlan& port : plan.ports) {
      if (port.config.kind == config::DeviceKind::pci) args.insert(args.end(), {"-a", port.config.argument});
    }
  } else {
    args.insert(args.end(), {"--no-pci", "--iova-mode", "va"});
  }
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);

  auto log = EalLog::open();
  if (!log) return std::move(log).error();
  eal.log_ = std::move(*log);

  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGIO, &ignore, nullptr);
  {
    const RealTimeSignalsBlocked blocked;
    if (::rte_eal_init(static_cast<int>(argv.size()) - 1, argv.data()) < 0) {
      const int error = rte_errno;
      return start_failed(options, eal.log_->take_complaint(), error);
    }
  }
  eal.started_ = true;
  if (::rte_pdump_init() == 0) {
    eal.capture_ = true;
  } else {
    base::log::info("packet capture by dpdk-dumpcap is not available: {}", ::rte_strerror(rte_errno));
  }
  return eal;
}

Eal::Eal(Eal&& other) noexcept
    : log_(std::move(other.log_)),
      cpus_(std::move(other.cpus_)),
      file_prefix_(std::move(other.file_prefix_)),
      hugepages_(other.hugepages_),
      capture_(std::exchange(other.capture_, false)),
      started_(std::exchange(other.started_, false)) {}

Eal::~Eal() {
  if (!started_) return;
  if (capture_) ::rte_pdump_uninit();
  const std::filesystem::path directory = ::rte_eal_get_runtime_dir();
  ::rte_eal_cleanup();
  // EAL leaves its lock and its tables behind; one directory per runtime directory would pile up.
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

}  // namespace sluice::dp
