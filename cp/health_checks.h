#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <random>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cp/check/check_target.h"
#include "cp/check/command_slots.h"
#include "cp/controller.h"
#include "cp/lateness.h"

namespace sluice::cp {

/// Checks every server that has a check, and asks every agent, one coroutine each: wait, probe, tell the
/// controller. The first checks are spread; each following delay counts from the end of the check before, and
/// is varied by global.spread_checks. A check in maintenance is left out, its pace goes on. Thread: the
/// io_context's one. The controller must outlive the io_context's run.
class HealthChecks {
 public:
  HealthChecks(boost::asio::any_io_executor executor, Controller& controller);

  /// Takes the checks of the configuration that the controller has now: at the start, and after each
  /// Controller::replace(). Once started, checks are begun, changed and ended accordingly; one that runs for
  /// a server that is gone, or is checked otherwise now, ends unheard.
  void adopt(PreparedChecks prepared);
  /// Begins. Pre: adopt() was called.
  void start();
  /// The next check of this server comes after fast_interval at the latest.
  void hurry(ServerId server);

  /// How much later than due checks and questions to agents began.
  [[nodiscard]] const Lateness& lateness() const noexcept { return lateness_; }

 private:
  /// What is done for one server again and again; shared with the coroutine that does it.
  struct Watch {
    Watch(const boost::asio::any_io_executor& executor, ServerId server) : id(server), pause(executor) {}
    ServerId id;
    boost::asio::steady_timer pause;
    TimePoint due{};
    bool running = false;
    bool stopped = false;
    unsigned version = 0;                       ///< counts what makes a running check's result void
    std::shared_ptr<const CheckTarget> target;  ///< of health checks
    config::Agent agent;                        ///< of agents
    base::Endpoint agent_endpoint;
  };
  using Watches = std::map<ServerId, std::shared_ptr<Watch>>;

  void sync_checks(TimePoint now);
  void sync();
  [[nodiscard]] std::shared_ptr<const CheckTarget> target_of(std::size_t service, std::size_t server) const;
  void sync_agents(TimePoint now);
  /// Ends those of servers that are not in `kept`, and puts `kept` in their place.
  static void replace(Watches& watches, Watches kept);
  /// Lets a watch do its work at `due`, if that is sooner than it would.
  static void bring_forward(Watch& watch, TimePoint due);

  boost::asio::awaitable<void> check(std::shared_ptr<Watch> watch);
  boost::asio::awaitable<void> ask(std::shared_ptr<Watch> watch);
  boost::asio::awaitable<void> wait(Watch& watch);
  /// The watch, which is due, begins what it is for.
  void begin(Watch& watch);
  [[nodiscard]] config::Milliseconds varied(config::Milliseconds delay);

  boost::asio::any_io_executor executor_;
  Controller& controller_;
  CommandSlots commands_;
  PreparedChecks prepared_;
  bool started_ = false;
  Watches checks_, agents_;
  std::minstd_rand random_;
  Lateness lateness_;
};

/// `delay` changed by up to `percent` in either direction; `random` in 0..1 says how far.
config::Milliseconds spread(config::Milliseconds delay, unsigned percent, double random) noexcept;

}  // namespace sluice::cp
