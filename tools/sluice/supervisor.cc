#include "tools/sluice/supervisor.h"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <exception>
#include <sys/wait.h>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "config/wire.h"
#include "cp/line_socket.h"
#include "cp/rethrow.h"
#include "tools/sluice/runtime_dir.h"

namespace sluice::cli {
namespace {

namespace asio = boost::asio;
namespace log = base::log;
using asio::experimental::awaitable_operators::operator||;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
/// Children of a killed `sluice run` take this long to end at most.
constexpr auto kLeftovers = 6s;
/// The data plane compiles the new state before it holds; a control plane that takes longer hangs.
constexpr auto kReloadWithin = 60s;

/// For the service manager; Type=notify-reload wants the time, too.
void tell_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", microseconds);
}

}  // namespace

Supervisor::Supervisor(Programs programs, std::filesystem::path runtime_dir)
    : runtime_dir_(std::move(runtime_dir)),
      notify_path_(runtime_dir_ / "notify.sock"),
      io_(1),
      signals_(io_),
      data_plane_(std::move(programs.data_plane), io_.get_executor()),
      control_plane_(std::move(programs.control_plane), io_.get_executor()),
      vrrp_(std::move(programs.vrrp), io_.get_executor()),
      stopping_(io_.get_executor()) {}

base::Result<void> Supervisor::run() {
  try {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) signals_.add(signal);
    auto socket = ReadySocket::open(io_.get_executor(), notify_path_);
    if (!socket) return socket.error();
    std::exception_ptr broken;
    asio::co_spawn(io_, take_notices(*socket), cp::rethrow);
    asio::co_spawn(io_, take_signals(), cp::rethrow);
    asio::co_spawn(io_, supervise(), [this, &broken](std::exception_ptr error) {
      broken = error;
      io_.stop();
    });
    io_.run();
    if (broken) std::rethrow_exception(broken);
    return outcome_;
  } catch (const std::exception& error) {
    return base::Error{base::ErrorCode::system, fmt::format("supervisor: {}", error.what())};
  }
}

std::chrono::milliseconds Supervisor::restart_pause(unsigned deaths) noexcept {
  if (deaths == 0) return 0ms;
  return std::min<std::chrono::milliseconds>(10s, 125ms * (1U << std::min(deaths, 10U)));
}

asio::awaitable<void> Supervisor::supervise() {
  co_await wait_for_leftovers();
  co_await start_up();
  co_await stopping_.wait();
  ::sd_notify(0, "STOPPING=1");
  for (Child* child : children()) co_await stop(*child);
}

asio::awaitable<void> Supervisor::start_up() {
  if (stopping_.is_set()) co_return;
  asio::co_spawn(io_, keep(vrrp_), cp::rethrow);
  for (Child* child : {&data_plane_, &control_plane_}) {
    asio::co_spawn(io_, keep(*child), cp::rethrow);
    const bool ready = co_await until_ready(*child);
    if (!ready) co_return;
  }
  const bool ready = co_await until_ready(vrrp_);
  if (!ready) co_return;
  log::info("ready: {} (pid {}), {} (pid {}) and {} (pid {}) run on {}", data_plane_.program.name,
            data_plane_.pid, control_plane_.program.name, control_plane_.pid, vrrp_.program.name, vrrp_.pid,
            runtime_dir_.string());
  ::sd_notify(0, "READY=1");
}

asio::awaitable<void> Supervisor::keep(Child& child) {
  const std::string& name = child.program.name;
  asio::steady_timer pause(io_);
  while (!stopping_.is_set()) {
    const auto started = start(child);
    if (!started) {
      if (!child.first_ready.is_set()) {
        fail(started.error().message);
        co_return;
      }
      log::error("{}", started.error().message);
    } else {
      co_await child.ended.wait();
      if (stopping_.is_set()) co_return;
      if (!child.first_ready.is_set()) {
        fail(fmt::format("{} {} before it was ready; its reason stands above", name,
                         end_text(child.wait_status)));
        co_return;
      }
    }
    const auto age = std::chrono::steady_clock::now() - child.started;
    if (age >= kYoung) child.young_deaths = 0;
    const auto wait = restart_pause(child.young_deaths++);
    if (started) {
      log::error("{} {} after {:.1f} s; it is started again{}", name, end_text(child.wait_status),
                 std::chrono::duration<double>(age).count(),
                 wait > 0ms ? fmt::format(" in {} ms", wait.count()) : std::string());
    }
    pause.expires_after(wait);
    co_await (pause.async_wait(kAsTuple) || stopping_.wait());
  }
}

asio::awaitable<bool> Supervisor::until_ready(Child& child) {
  asio::steady_timer limit(io_, kReadyWithin);
  const auto first = co_await (child.first_ready.wait() || stopping_.wait() || limit.async_wait(kAsTuple));
  if (first.index() == 2) {
    fail(fmt::format("{} was not ready within {} s", child.program.name, kReadyWithin.count()));
  }
  co_return first.index() == 0 && !stopping_.is_set();
}

asio::awaitable<void> Supervisor::stop(Child& child) {
  if (child.pid == 0) co_return;
  ::kill(child.pid, SIGTERM);
  asio::steady_timer grace(io_, kGrace);
  const auto first = co_await (child.ended.wait() || grace.async_wait(kAsTuple));
  if (first.index() == 0) co_return;
  log::warn("{} (pid {}) did not stop within {} s and is killed", child.program.name, child.pid,
            kGrace.count());
  ::kill(child.pid, SIGKILL);
  co_await child.ended.wait();
}

asio::awaitable<void> Supervisor::wait_for_leftovers() {
  const auto limit = std::chrono::steady_clock::now() + kLeftovers;
  asio::steady_timer pause(io_);
  bool told = false;
  while (!stopping_.is_set() && std::chrono::steady_clock::now() < limit) {
    pid_t pid = 0;
    for (const char* socket : {"dp.sock", "cp.sock", "vrrp.sock"}) {
      if (pid == 0) pid = listener_pid(runtime_dir_ / socket);
    }
    if (pid == 0) co_return;
    if (!std::exchange(told, true))
      log::info("waiting for pid {}, left over from an earlier run, to end", pid);
    pause.expires_after(50ms);
    co_await (pause.async_wait(kAsTuple) || stopping_.wait());
  }
}

asio::awaitable<void> Supervisor::take_notices(ReadySocket& socket) {
  for (;;) {
    const Notice notice = co_await socket.next();
    if (!notice.ready) continue;
    for (Child* child : children()) {
      if (child->pid != notice.pid || child->ready) continue;
      child->ready = true;
      if (child->first_ready.is_set())
        log::info("{} (pid {}) is ready again", child->program.name, child->pid);
      child->first_ready.set();
    }
  }
}

asio::awaitable<void> Supervisor::take_signals() {
  for (;;) {
    const int signal = co_await signals_.async_wait(asio::use_awaitable);
    if (signal == SIGCHLD) {
      reap();
    } else if (signal == SIGHUP) {
      // The file may have changed since the reload under way has read it.
      reload_again_ = true;
      if (!reloading_) asio::co_spawn(io_, reload(), cp::rethrow);
    } else if (++stop_signals_ == 1) {
      log::info("{}: stopping", ::strsignal(signal));
      stopping_.set();
    } else {
      log::warn("{} again: the children are killed", ::strsignal(signal));
      for (const Child* child : children()) {
        if (child->pid != 0) ::kill(child->pid, SIGKILL);
      }
    }
  }
}

asio::awaitable<void> Supervisor::reload() {
  reloading_ = true;
  while (std::exchange(reload_again_, false) && !stopping_.is_set()) {
    log::info("SIGHUP: reloading the configuration");
    tell_reloading();
    std::string request = config::encode_cp_request(config::ReloadRequest{});
    const auto line = co_await cp::ask(runtime_dir_ / "cp.sock", std::move(request), kReloadWithin);
    const auto report =
        line ? config::decode_reload_reply(*line) : base::Result<config::ReloadReport>(line.error());
    // The changes stand in the control plane's own log.
    std::string outcome =
        report ? fmt::format("the configuration was reloaded: {} changes", report->changes.size())
               : fmt::format("the configuration was not reloaded: {}", report.error().message);
    if (report && !report->note.empty()) outcome += "; " + report->note;
    if (report) {
      log::info("{}", outcome);
    } else {
      log::error("{}", outcome);
    }
    ::sd_notifyf(0, "READY=1\nSTATUS=%s", outcome.substr(0, outcome.find('\n')).c_str());
  }
  reloading_ = false;
}

base::Result<void> Supervisor::start(Child& child) {
  child.started = std::chrono::steady_clock::now();
  child.ready = false;
  const auto pid = spawn(child.program, notify_path_);
  if (!pid) return pid.error();
  child.pid = *pid;
  child.ended.reset();
  log::debug("{} started, pid {}", child.program.name, child.pid);
  return {};
}

void Supervisor::reap() {
  for (Child* child : children()) {
    if (child->pid == 0 || ::waitpid(child->pid, &child->wait_status, WNOHANG) != child->pid) continue;
    child->pid = 0;
    child->ended.set();
  }
}

void Supervisor::fail(std::string sentence) {
  outcome_ = base::Error{base::ErrorCode::system, std::move(sentence)};
  stopping_.set();
}

}  // namespace sluice::cli
