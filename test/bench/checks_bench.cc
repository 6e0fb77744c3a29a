/// 5,000 health checks a second against listeners of another process, as cp runs them: what they cost, and
/// how punctual they are. Prints one line; fails only where no check passes.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/check/check_target.h"
#include "cp/controller.h"
#include "cp/health_checks.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kServers = 5'000;
constexpr std::size_t kPerService = 50;
constexpr auto kWarmUp = 2s;

/// A process that listens on all of 127/8, and accepts and answers where `answers`; ends with us.
std::pair<pid_t, std::uint16_t> start_listener(bool answers) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, generic, length) != 0 || ::listen(listener, 4096) != 0 ||
      ::getsockname(listener, generic, &length) != 0) {
    std::perror("listener");
    std::exit(1);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    constexpr char kAnswer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    char request[4096];
    while (answers) {
      const int client = ::accept(listener, nullptr, nullptr);
      if (client < 0) continue;
      if (::read(client, request, sizeof(request)) > 0 && ::write(client, kAnswer, sizeof(kAnswer) - 1) < 0)
        std::perror("write");
      ::close(client);
    }
    for (;;) ::pause();
  }
  ::close(listener);
  return {child, ntohs(address.sin_port)};
}

config::Config make_config(config::CheckType type, std::uint16_t port) {
  config::Config config;
  for (std::size_t i = 0; i < kServers; ++i) {
    if (i % kPerService == 0)
      config.services.emplace_back().name = "service" + std::to_string(i / kPerService);
    config::Server& server = config.services.back().servers.emplace_back();
    server.name = "server" + std::to_string(i % kPerService);
    const auto low = static_cast<std::uint32_t>(i);
    server.endpoint = {base::Ipv4::from_host(0x7f010001 + low), port};
    server.check.type = type;
    server.check.interval = 1s;
  }
  return config;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int measure(const char* name, config::CheckType type, std::chrono::seconds time) {
  const auto [child, port] = start_listener(type == config::CheckType::http);
  boost::asio::io_context io(1);
  config::Config config = make_config(type, port);
  auto prepared = cp::prepare_checks(config);
  if (!prepared) {
    std::fprintf(stderr, "%s\n", prepared.error().message.c_str());
    return 1;
  }
  cp::Controller controller(std::move(config), Clock::now());
  cp::HealthChecks checks(io.get_executor(), controller);
  checks.adopt(*std::move(prepared));
  checks.start();

  io.run_for(kWarmUp);
  const std::uint64_t before = checks.lateness().summary(Clock::now()).count;
  const double cpu = cpu_seconds();
  const auto begin = Clock::now();
  io.run_for(time);
  const double wall = std::chrono::duration<double>(Clock::now() - begin).count();
  const double share = (cpu_seconds() - cpu) / wall * 100;
  ::kill(child, SIGKILL);

  std::size_t up = 0;
  for (const cp::ServerId id : controller.servers()) up += controller.find(id)->is_up() ? 1U : 0U;
  const cp::Lateness::Summary late = checks.lateness().summary(Clock::now());
  const auto ms = [](std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1000; };
  std::printf(
      "%s: %zu servers (%zu up), %.0f checks/s, %.1f %% of a core; late by ms: p50 %.2f, p99 %.2f, max "
      "%.2f\n",
      name, kServers, up, static_cast<double>(late.count - before) / wall, share, ms(late.median),
      ms(late.p99), ms(late.most));
  return up == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  // What is late is told of the last minute.
  const std::chrono::seconds time(std::clamp(argc > 1 ? std::atoi(argv[1]) : 10, 1, 50));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  const int tcp = measure("tcp", config::CheckType::tcp, time);
  const int http = measure("http", config::CheckType::http, time);
  return tcp + http;
}
