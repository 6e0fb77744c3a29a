#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <unistd.h>

#include <systemd/sd-daemon.h>

namespace {

/// Appends one line to the file `events` beside the program; the test reads it.
void tell(const std::filesystem::path& self, const std::string& event) {
  std::ofstream(self.parent_path() / "events", std::ios::app)
      << self.filename().string() + " " + event + "\n";
}

}  // namespace

/// Behaves as the file "<program>.behaviour" says: "ready" (gets ready, stops at SIGTERM), "stubborn" (ready,
/// ignores SIGTERM), "fail" (exit 1 at once).
int main(int, char** argv) {
  const std::filesystem::path self(argv[0]);
  std::string behaviour;
  std::ifstream(self.string() + ".behaviour") >> behaviour;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  if (behaviour == "fail") {
    std::cerr << "fake: interface \"nope\" does not exist" << std::endl;
    return 1;
  }
  tell(self, "start " + std::to_string(getpid()));
  sd_notify(0, "READY=1\nSTATUS=fake");
  int signal = 0;
  do {
    sigwait(&stop, &signal);
    tell(self, "SIGTERM");
  } while (behaviour == "stubborn");
  tell(self, "end");
  return 0;
}
