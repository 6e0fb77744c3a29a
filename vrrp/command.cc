#include "vrrp/command.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace sluice::vrrp {
namespace {

/// How a child is to start: signals as at the start of any process, a group of its own, ordinary scheduling,
/// no descriptors.
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

}  // namespace

std::string Commands::End::text(std::chrono::milliseconds limit) const {
  if (timed_out)
    return fmt::format("took longer than {:.1f} s and was killed",
                       std::chrono::duration<double>(limit).count());
  return exit_code < 0 ? std::string("was ended by a signal") : fmt::format("exited with {}", exit_code);
}

Commands::~Commands() {
  for (auto& [id, child] : children_) {
    loop_.cancel(child.limit);
    loop_.remove(child.pidfd.get());
  }
}

base::Result<Commands::Id> Commands::start(const std::vector<std::string>& command,
                                           std::chrono::milliseconds limit, Ended ended) {
  std::vector<std::string> texts = command;
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path.data(), nullptr};
  const SpawnRules rules;
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, arguments.front(), &rules.actions, &rules.attributes,
                                  arguments.data(), environment);
  if (error != 0) return base::system_error(command.front(), error);
  // glibc 2.36 declares its pidfd_open() for C alone.
  base::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  const Id id{++last_};
  base::Result<void> watched =
      pidfd ? loop_.add(pidfd.get(), EPOLLIN, [this, id](std::uint32_t) { reap(id); })
            : base::Result<void>(base::system_error(command.front() + ": pidfd_open", errno));
  if (!watched) {
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return watched.error();
  }
  Child& child = children_[id];
  child.pid = pid;
  child.pidfd = std::move(pidfd);
  child.ended = std::move(ended);
  child.limit = loop_.after(limit, [this, id] {
    Child& late = children_.at(id);
    late.limit = base::EventLoop::TimerId::none;
    late.timed_out = true;
    ::kill(-late.pid, SIGKILL);
  });
  return id;
}

void Commands::cancel(Id id) {
  const auto found = children_.find(id);
  if (found == children_.end()) return;
  found->second.ended = nullptr;
  ::kill(-found->second.pid, SIGKILL);  // it is reaped like any other
}

void Commands::reap(Id id) {
  const auto found = children_.find(id);
  siginfo_t info{};
  // No such child: the kernel has reaped it, since who started us ignores SIGCHLD. It has ended all the same.
  const bool reaped = ::waitid(P_PID, static_cast<id_t>(found->second.pid), &info, WEXITED | WNOHANG) == 0;
  if (reaped ? info.si_pid == 0 : errno != ECHILD) return;
  Child child = std::move(found->second);
  loop_.cancel(child.limit);
  loop_.remove(child.pidfd.get());
  children_.erase(found);
  if (child.ended) child.ended({child.timed_out, info.si_code == CLD_EXITED ? info.si_status : -1});
}

}  // namespace sluice::vrrp
