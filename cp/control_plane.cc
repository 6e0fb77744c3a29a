#include "cp/control_plane.h"

#include <chrono>
#include <csignal>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "cp/cli_server.h"
#include "cp/controller.h"
#include "cp/dp_link.h"
#include "cp/health_checks.h"
#include "cp/rethrow.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;

/// A check holds a descriptor while it runs, and thousands may run at once.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) base::log::warn("the limit of open files could not be raised");
}

std::size_t count_servers(const config::Config& config) {
  std::size_t count = 0;
  for (const config::Service& service : config.services) count += service.servers.size();
  return count;
}

}  // namespace

base::Result<void> run_control_plane(config::Config config, const std::string& config_name,
                                     const std::filesystem::path& runtime_dir) {
  try {
    raise_descriptor_limit();
    asio::io_context io(1);
    const std::size_t services = config.services.size();
    const std::size_t servers = count_servers(config);

    // Before there is a socket that a signal could leave behind.
    asio::signal_set signals(io, SIGTERM, SIGINT);
    signals.async_wait([&io](const boost::system::error_code& error, int) {
      if (!error) io.stop();
    });
    auto cli = CliServer::listen(io.get_executor(), runtime_dir / "cp.sock");
    if (!cli) return cli.error();

    Controller controller(std::move(config), std::chrono::steady_clock::now());
    DpLink link(io.get_executor(), runtime_dir / "dp.sock", controller);
    HealthChecks checks(io.get_executor(), controller, link);
    ProcessView process;
    process.version = SLUICE_VERSION;
    process.config_file = config_name;
    process.pid = static_cast<std::uint64_t>(::getpid());

    asio::co_spawn(io, link.run(), rethrow);
    asio::co_spawn(io, cli->run(controller, link, std::move(process)), rethrow);
    checks.start();

    base::log::info("{} services, {} servers, {} of them with a check; listening on {}", services, servers,
                    controller.checked_servers().size(), (runtime_dir / "cp.sock").string());
    ::sd_notifyf(0, "READY=1\nSTATUS=%zu services, %zu servers", services, servers);
    io.run();
    ::sd_notify(0, "STOPPING=1");
    base::log::info("stopping");
    return {};
  } catch (const std::exception& error) {
    return base::Error{base::ErrorCode::system, fmt::format("control plane: {}", error.what())};
  }
}

}  // namespace sluice::cp
