#include "cp/control_plane.h"

#include <chrono>
#include <csignal>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "cp/cli_server.h"
#include "cp/controller.h"
#include "cp/dp_link.h"
#include "cp/dp_watch.h"
#include "cp/health_checks.h"
#include "cp/io_loop.h"
#include "cp/log_writer.h"
#include "cp/reload.h"
#include "cp/reports.h"
#include "cp/rethrow.h"
#include "cp/side_thread.h"
#include "cp/state_keeper.h"

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

asio::awaitable<void> go_on_with_slow_starts(asio::steady_timer& timer, Controller& controller) {
  for (;;) {
    const auto due = controller.next_tick();
    timer.expires_at(due.value_or(TimePoint::max()));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    const TimePoint now = std::chrono::steady_clock::now();
    const auto next = controller.next_tick();
    if (next && *next <= now) controller.tick(now);
  }
}

asio::awaitable<void> reload_on_hangup(asio::signal_set& hangups, Reload& reload) {
  for (;;) {
    co_await hangups.async_wait(asio::as_tuple(asio::use_awaitable));
    // Its outcome is in the log.
    static_cast<void>(co_await reload.run());
  }
}

/// Coroutines end with it, however run() ends: while all that they refer to is still there.
class EndOfCoroutines {
 public:
  EndOfCoroutines(IoLoop& io, SideThread& duties, SideThread& views)
      : io_(io), duties_(duties), views_(views) {}
  EndOfCoroutines(const EndOfCoroutines&) = delete;
  EndOfCoroutines& operator=(const EndOfCoroutines&) = delete;
  ~EndOfCoroutines() {
    duties_.end();
    views_.end();
    io_.abandon();
  }

 private:
  IoLoop& io_;
  SideThread& duties_;
  SideThread& views_;
};

/// What the data plane and a state file know comes before what checks find: none begins earlier.
asio::awaitable<void> check_once_met(DpLink& link, HealthChecks& checks) {
  co_await link.met();
  checks.start();
}

}  // namespace

base::Result<void> run_control_plane(config::Config config, const std::string& config_name,
                                     const std::filesystem::path& runtime_dir) {
  try {
    raise_descriptor_limit();
    auto prepared = prepare_checks(config);
    if (!prepared) return prepared.error();
    IoLoop io;
    const std::size_t services = config.services.size();
    const std::size_t servers = count_servers(config);

    // Before there is a socket that a signal could leave behind.
    asio::signal_set signals(io, SIGTERM, SIGINT);
    signals.async_wait([&io](const boost::system::error_code& error, int) {
      if (!error) io.stop();
    });
    asio::signal_set hangups(io, SIGHUP);
    auto cli = CliServer::listen(io.get_executor(), runtime_dir / "cp.sock", Access::admin);
    if (!cli) return cli.error();
    auto lookers = CliServer::listen(io.get_executor(), runtime_dir / "cp-read.sock", Access::read_only);
    if (!lookers) return lookers.error();

    Controller controller(std::move(config), std::chrono::steady_clock::now());
    SideThread duties, views;
    DpLink link(io.get_executor(), runtime_dir / "dp.sock", controller, duties, views);
    LogWriter log(io.get_executor(), controller, link);
    DpWatch watch(io.get_executor(), controller, link);
    HealthChecks checks(io.get_executor(), controller);
    checks.adopt(*std::move(prepared));
    StateKeeper keeper(io.get_executor(), controller, duties, runtime_dir / "state.json");
    Reload reload(controller, link, config_name, runtime_dir,
                  [&](PreparedChecks prepared) { checks.adopt(std::move(prepared)); });
    Waiting waiting(io.get_executor(), controller, link);
    asio::steady_timer ticks(io.get_executor());
    keeper.restore();
    controller.on_change([&] {
      link.wake();
      log.wake();
      keeper.wake();
      waiting.wake();
      ticks.cancel();
      for (const ServerId id : controller.take_hurried()) checks.hurry(id);
    });
    ProcessView process;
    process.version = SLUICE_VERSION;
    process.config_file = config_name;
    process.pid = static_cast<std::uint64_t>(::getpid());
    Reports reports(io.get_executor(), controller, link);
    Requests requests(controller, link, reload, keeper, reports, views, checks.lateness(),
                      std::move(process));

    {
      const EndOfCoroutines end(io, duties, views);
      asio::co_spawn(io, link.run(), rethrow);
      asio::co_spawn(io, log.run(), rethrow);
      asio::co_spawn(io, keeper.run(), rethrow);
      asio::co_spawn(io, watch.watch_failures(), rethrow);
      asio::co_spawn(io, watch.watch_generation(), rethrow);
      asio::co_spawn(io, go_on_with_slow_starts(ticks, controller), rethrow);
      asio::co_spawn(io, reload_on_hangup(hangups, reload), rethrow);
      asio::co_spawn(io, cli->run(requests, waiting), rethrow);
      asio::co_spawn(io, lookers->run(requests, waiting), rethrow);
      asio::co_spawn(io, check_once_met(link, checks), rethrow);

      base::log::info("{} services, {} servers; listening on {}", services, servers,
                      (runtime_dir / "cp.sock").string());
      ::sd_notifyf(0, "READY=1\nSTATUS=%zu services, %zu servers", services, servers);
      io.run();
    }
    log.flush();
    keeper.save_at_end();
    ::sd_notify(0, "STOPPING=1");
    base::log::info("stopping");
    return {};
  } catch (const std::exception& error) {
    return base::Error{base::ErrorCode::system, fmt::format("control plane: {}", error.what())};
  }
}

}  // namespace sluice::cp
