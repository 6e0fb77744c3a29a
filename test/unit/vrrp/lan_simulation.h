#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "test/fuzz/choices.h"
#include "test/unit/vrrp/router_fixture.h"

/// Hosts that share virtual routers, on a clock of their own. Each host has one instance on each segment, in
/// one sync group if there are several; adverts take their time, may be lost or overtake each other; hosts
/// die, stop, freeze, fail, yield and are reconfigured. What must hold is checked after every event:
///
///  - an instance holds the addresses exactly while it is master;
///  - two masters hear of each other within one interval, and one of them ceases;
///  - somebody is master again within the longest Master_Down_Interval, if anybody can be.
///
/// The last two hold from the last disturbance on: an advert that was lost, or anything done to a host.
namespace sluice::test {

struct LanSetup {
  const char* name;
  std::vector<Parameters> hosts;  ///< the later, the higher their address
  std::size_t segments = 1;
  Duration max_delay = 2ms;
};

class Lan {
 public:
  Lan(LanSetup setup, std::uint64_t seed);

  /// Does something at random, then lets time pass.
  void step();
  /// Everybody runs and is well, nothing is lost; time passes until all is settled.
  void settle();
  /// The only master of a segment; nothing: none, or several.
  [[nodiscard]] std::optional<std::size_t> master(std::size_t segment) const;
  [[nodiscard]] std::uint8_t priority(std::size_t host) const { return setup_.hosts[host].priority; }
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  [[nodiscard]] std::uint64_t changes_of_master() const noexcept { return changes_; }
  [[nodiscard]] std::string describe() const;

 private:
  struct Packet {
    Time at{};
    std::size_t to = 0, segment = 0;
    AdvertReceived advert;
  };
  struct Instance {
    VirtualRouter router;
    bool holds = false;
  };
  struct Host {
    std::vector<Instance> instances;
    bool running = false, frozen = false, yielded = false;
    std::vector<bool> faulty;      ///< a segment each
    std::vector<Packet> unread{};  ///< arrived while frozen
  };
  struct Watch {
    std::optional<Time> none_since{}, several_since{};
  };

  void pass(Duration duration);
  void handle(std::size_t host, std::size_t segment, const vrrp::Event& event);
  void perform(std::size_t host, std::size_t segment, const vrrp::Effects& effects);
  void send(std::size_t host, std::size_t segment, std::uint8_t priority);
  void serve(std::size_t host, std::size_t segment);
  void check();
  void fail(const std::string& what);
  void disturb() { quiet_since_ = now_; }

  void boot(std::size_t host);
  void kill(std::size_t host);
  void stop(std::size_t host);
  void thaw(std::size_t host);
  void set_fault(std::size_t host, std::size_t segment, bool faulty);
  void set_yield(std::size_t host, bool yield);
  [[nodiscard]] bool able(const Host& host) const;

  LanSetup setup_;
  Dice dice_;
  Time now_{1'000s};
  Time quiet_since_{now_};
  std::vector<Host> hosts_;
  std::vector<Packet> wire_;
  std::vector<std::uint32_t> loss_percent_;
  std::vector<Watch> watches_;
  Duration longest_interval_{}, longest_silence_{};
  std::uint64_t changes_ = 0;
  std::string failure_, last_action_;
};

}  // namespace sluice::test
