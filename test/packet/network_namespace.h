#pragma once

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/fd.h"

namespace sluice::test {

/// Puts the calling process into a network namespace of its own, for the life of one test: REQUIRES root.
/// Nothing that is done there reaches the host's network, and all of it goes with the last socket in it.
class OwnNamespace {
 public:
  OwnNamespace()
      : before_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)), entered_(unshare(CLONE_NEWNET) == 0) {
    if (entered_) run("ip link set lo up");
  }
  ~OwnNamespace() {
    if (entered_) {
      EXPECT_EQ(setns(before_.get(), CLONE_NEWNET), 0);
    }
  }
  OwnNamespace(const OwnNamespace&) = delete;
  OwnNamespace& operator=(const OwnNamespace&) = delete;
  [[nodiscard]] bool entered() const { return entered_; }
  /// Runs a shell command there; it is to succeed.
  static void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

 private:
  base::Fd before_;
  bool entered_;
};

/// A second network namespace, the far end of a veth pair; held by a child that dies with this object.
class FarNamespace {
 public:
  FarNamespace() {
    int ready[2] = {-1, -1};
    if (pipe(ready) != 0) return;
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool fine = getppid() == parent && unshare(CLONE_NEWNET) == 0 && write(ready[1], "y", 1) == 1;
      while (fine) pause();
      _exit(1);
    }
    close(ready[1]);
    char answer = 0;
    entered_ = read(ready[0], &answer, 1) == 1;
    close(ready[0]);
  }
  ~FarNamespace() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  FarNamespace(const FarNamespace&) = delete;
  FarNamespace& operator=(const FarNamespace&) = delete;

  [[nodiscard]] bool entered() const { return entered_; }
  /// For `ip link set X netns …`.
  [[nodiscard]] std::string name() const { return std::to_string(pid_); }
  void run(const std::string& command) const { OwnNamespace::run("nsenter -t " + name() + " -n " + command); }

 private:
  pid_t pid_ = -1;
  bool entered_ = false;
};

}  // namespace sluice::test
