#include "cp/check/external_probe.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

#include "base/result.h"
#include "config/names.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
/// A shell's exit code where a command cannot be run; HAProxy's is the same in a byte.
constexpr int kCannotRun = 255;

std::vector<std::string> arguments_of(const CheckTarget& target) {
  return {target.check.command, target.vip.address.to_string(), std::to_string(target.vip.port),
          target.endpoint.address.to_string(), std::to_string(target.endpoint.port)};
}

std::vector<std::string> environment_of(const CheckTarget& target) {
  return {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HAPROXY_PROXY_NAME=" + target.service,
      fmt::format("HAPROXY_PROXY_ID={}", target.service_position),
      "HAPROXY_PROXY_ADDR=" + target.vip.address.to_string(),
      fmt::format("HAPROXY_PROXY_PORT={}", target.vip.port),
      "HAPROXY_SERVER_NAME=" + target.server,
      fmt::format("HAPROXY_SERVER_ID={}", target.server_position),
      "HAPROXY_SERVER_ADDR=" + target.endpoint.address.to_string(),
      fmt::format("HAPROXY_SERVER_PORT={}", target.endpoint.port),
      // What an unlimited server has there in HAProxy.
      "HAPROXY_SERVER_MAXCONN=" + (target.maxconn == 0 ? std::string() : std::to_string(target.maxconn)),
      "HAPROXY_SERVER_SSL=0",
      fmt::format("HAPROXY_SERVER_PROTO={}", config::name_of(target.protocol)),
  };
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (std::string& string : strings) list.push_back(string.data());
  list.push_back(nullptr);
  return list;
}

/// How the child is to start: signals as at the start of any process, a group of its own, no descriptors.
class SpawnRules {
 public:
  SpawnRules() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setflags(&attributes,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  }
  SpawnRules(const SpawnRules&) = delete;
  SpawnRules& operator=(const SpawnRules&) = delete;
  ~SpawnRules() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_t actions{};
};

/// A command that runs. Killed, with its group, when destroyed before it was reaped.
class Child {
 public:
  Child(asio::any_io_executor executor, pid_t pid, int pidfd)
      : pid_(pid), ended_(std::move(executor), pidfd) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)), ended_(std::move(other.ended_)) {}
  Child& operator=(Child&&) = delete;
  ~Child() { kill(); }

  /// Until it is reaped, the number is its own and its group's.
  void kill() const noexcept {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
  }
  /// Ready to be read when the child has ended.
  Descriptor& ended() noexcept { return ended_; }
  /// The exit code; -1 where a signal ended it, as HAProxy has it. Pre: it has ended.
  int reap() noexcept {
    siginfo_t info{};
    const pid_t pid = std::exchange(pid_, 0);
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return -1;
    return info.si_code == CLD_EXITED ? info.si_status : -1;
  }

 private:
  pid_t pid_;
  Descriptor ended_;
};

base::Result<Child> start(const asio::any_io_executor& executor, const CheckTarget& target) {
  std::vector<std::string> arguments = arguments_of(target);
  std::vector<std::string> environment = environment_of(target);
  const SpawnRules rules;
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, target.check.command.c_str(), &rules.actions, &rules.attributes,
                                  pointers(arguments).data(), pointers(environment).data());
  if (error != 0) return base::system_error(target.check.command, error);
  // glibc 2.36 declares its pidfd_open() for C alone.
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U));
  if (pidfd < 0) {
    const int number = errno;
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return base::system_error("pidfd_open", number);
  }
  return Child(executor, pid, pidfd);
}

/// Waits for a killed child, which holds its place until then: what cannot die blocks nobody else.
asio::awaitable<void> bury(Child child, [[maybe_unused]] CommandSlots::Slot slot) {
  co_await child.ended().async_wait(Descriptor::wait_read, kAsTuple);
  child.reap();
}

}  // namespace

asio::awaitable<CheckResult> probe_external(std::shared_ptr<const CheckTarget> target,
                                            CommandSlots commands) {
  using asio::experimental::awaitable_operators::operator||;
  const auto executor = co_await asio::this_coro::executor;
  CommandSlots::Slot slot = co_await commands.acquire();
  const auto started = std::chrono::steady_clock::now();
  CheckResult result;
  auto child = start(executor, *target);
  if (!child) {
    result.status = CheckStatus::process_error;
    result.answer_code = kCannotRun;
    result.info = shortened(child.error().message);
    co_return result;
  }
  asio::steady_timer deadline(executor, target->timeout);
  auto first =
      co_await (child->ended().async_wait(Descriptor::wait_read, kAsTuple) || deadline.async_wait(kAsTuple));
  if (first.index() == 0) {
    result.answer_code = child->reap();
    result.status = result.answer_code == 0 ? CheckStatus::process_ok : CheckStatus::process_error;
  } else {
    child->kill();
    asio::co_spawn(executor, bury(*std::move(child), std::move(slot)), asio::detached);
    result.status = CheckStatus::process_timeout;
  }
  const auto spent = std::chrono::steady_clock::now() - started;
  result.duration = std::chrono::duration_cast<config::Milliseconds>(spent);
  co_return result;
}

}  // namespace sluice::cp
