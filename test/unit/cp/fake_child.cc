#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <systemd/sd-daemon.h>

namespace {

/// Appends one line to the file `events` beside the program; the test reads it.
void tell(const std::filesystem::path& self, const std::string& event) {
  std::ofstream(self.parent_path() / "events", std::ios::app)
      << self.filename().string() + " " + event + "\n";
}

int listen_on(const std::filesystem::path& path) {
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  unlink(path.c_str());
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  return listen(listener, 8) == 0 ? listener : -1;
}

/// Answers each line of each client, one after the other, for ever.
void answer_requests(int listener) {
  std::string reply =
      R"({"ok":true,"changes":[{"kind":"changed","object":"service \"web\"","detail":"x"}],"note":"it was a fake"})"
      "\n";
  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) return;
    char byte = 0;
    while (read(client, &byte, 1) == 1 && byte != '\n') {
    }
    if (write(client, reply.data(), reply.size()) < 0) return;
    close(client);
    reply = "{\"ok\":false,\"error\":\"no second time\"}\n";
  }
}

}  // namespace

/// Behaves as the file "<program>.behaviour" says: "ready" (gets ready, stops at SIGTERM), "stubborn" (ready,
/// ignores SIGTERM), "fail" (exit 1 at once), "reload" (ready, and answers requests on cp.sock: the first
/// with a reload's report, others with an error).
int main(int argc, char** argv) {
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
  const std::vector<std::string> words(argv, argv + argc);
  const auto option = std::find(words.begin(), words.end(), "--runtime-dir");
  const bool answers = behaviour == "reload" && words.end() - option > 1;
  if (answers) std::thread(answer_requests, listen_on(std::filesystem::path(option[1]) / "cp.sock")).detach();
  sd_notify(0, "READY=1\nSTATUS=fake");
  int signal = 0;
  do {
    sigwait(&stop, &signal);
    tell(self, "SIGTERM");
  } while (behaviour == "stubborn");
  if (answers) unlink((std::filesystem::path(option[1]) / "cp.sock").c_str());
  tell(self, "end");
  return 0;
}
