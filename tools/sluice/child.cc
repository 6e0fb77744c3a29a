#include "tools/sluice/child.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "base/fd.h"

namespace sluice::cli {
namespace {

/// Our environment without what our own service manager meant for us, and with the child's notification
/// socket.
std::vector<std::string> child_environment(const std::filesystem::path& notify_socket) {
  constexpr std::array<std::string_view, 6> kOurs{
      "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES="};
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    bool ours = false;
    for (const std::string_view name : kOurs) ours = ours || text.starts_with(name);
    if (!ours) environment.emplace_back(text);
  }
  environment.push_back("NOTIFY_SOCKET=" + notify_socket.string());
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Between fork and exec: async-signal-safe calls only. Reports errno through `report` when it cannot go on.
[[noreturn]] void become(const char* file, char* const* arguments, char* const* environment, pid_t parent,
                         int report) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // the parent died before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(file, arguments, environment);
  const int error = errno;
  if (::write(report, &error, sizeof(error)) < 0) ::_exit(126);
  ::_exit(127);
}

}  // namespace

base::Result<pid_t> spawn(const Program& program, const std::filesystem::path& notify_socket) {
  std::vector<std::string> arguments{program.file.string()};
  arguments.insert(arguments.end(), program.arguments.begin(), program.arguments.end());
  std::vector<std::string> environment = child_environment(notify_socket);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(environment);

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return base::system_error(fmt::format("{}: pipe", program.name), errno);
  const base::Fd ours(ends[0]);
  base::Fd theirs(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return base::system_error(fmt::format("{}: fork", program.name), errno);
  if (pid == 0) become(argv[0], argv.data(), envp.data(), parent, theirs.get());
  theirs.reset();

  // exec closes the pipe: the end of the stream is success.
  int error = 0;
  ssize_t length = 0;
  do {
    length = ::read(ours.get(), &error, sizeof(error));
  } while (length < 0 && errno == EINTR);
  if (length != static_cast<ssize_t>(sizeof(error))) return pid;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return base::system_error(fmt::format("{}: \"{}\" cannot be executed", program.name, program.file.string()),
                            error);
}

std::string end_text(int wait_status) {
  if (WIFEXITED(wait_status)) return fmt::format("exited with status {}", WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  return fmt::format("was killed by signal {} ({})", signal, ::strsignal(signal));
}

base::Result<std::filesystem::path> find_sibling(const std::string& name,
                                                 const std::filesystem::path& libexec_dir) {
  std::vector<std::filesystem::path> places;
  std::error_code error;
  if (!libexec_dir.empty()) {
    places.push_back(libexec_dir / name);
  } else {
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    const std::string part = name.substr(name.find('-') + 1);  // "sluice-dp" is built in dp/
    places = {self / name, self / ".." / ".." / part / name, self / ".." / "libexec" / "sluice" / name};
  }
  std::string tried;
  for (const auto& place : places) {
    if (::access(place.c_str(), X_OK) == 0 && !std::filesystem::is_directory(place, error)) {
      return place.lexically_normal();
    }
    tried += fmt::format("{}\"{}\"", tried.empty() ? "" : ", ", place.lexically_normal().string());
  }
  return base::Error{
      base::ErrorCode::not_found,
      fmt::format("the program {} is missing; looked for {}; build or install it, or name its directory "
                  "with --libexec-dir",
                  name, tried)};
}

}  // namespace sluice::cli
