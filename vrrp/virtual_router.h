#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "base/address.h"
#include "vrrp/advert.h"

/// The state machine of one virtual router (RFC 9568 §6.4, RFC 3768 §6.4, with keepalived's extensions): a
/// pure function,
///   state, event, now -> state, effects
/// without clock, sockets, allocation or log. The caller sends, adds, removes and writes what the effects
/// say, in their order, and calls again with Timeout when `deadline()` has come.
///
///   init --Start--> backup --Master_Down_Timer--> master --higher priority, Yield--> backup
///   backup, master --FaultChanged--> fault --all is well again--> backup;  any --Stop--> init
///
/// Order within a change: who becomes master sends the advert first, so that no other backup follows, then
/// takes the addresses, then announces them. Who ceases to be master gives the addresses up first, so that it
/// does not answer for them any more, then sends priority 0. A Timeout that is late is only handled after the
/// adverts that arrived meanwhile: else a backup that was stopped would take its own absence for the
/// master's.
namespace sluice::vrrp {

using Time =
    std::chrono::steady_clock::time_point;  ///< CLOCK_MONOTONIC: steps of the wall clock do not exist here
using Duration = std::chrono::steady_clock::duration;

enum class State : std::uint8_t { init, fault, backup, master };

/// What the machine goes by, from config::VrrpInstance; holds for the life of the instance, or until a
/// reload.
struct Parameters {
  std::uint8_t version = 2;
  std::uint8_t priority = 100;   ///< configured; 255: owner
  bool start_as_master = false;  ///< with priority 255: master at once
  Duration advert_int = std::chrono::seconds(1);
  std::uint8_t down_timer_adverts = 3;
  bool preempt = true;
  Duration preempt_delay{0};
  Duration startup_delay{0};
  bool lower_prio_no_advert = false;
  bool higher_prio_send_advert = false;
  Duration announce_delay = std::chrono::seconds(5);
  Duration announce_refresh{0};
  Duration lower_prio_announce_delay = std::chrono::seconds(5);
  bool in_group = false;  ///< of a sync group: becomes master only by GroupBecame, see wants_master()
};

/// Skew_Time: the higher the priority, the earlier it acts. v2: (256 - priority) / 256 s (RFC 3768 §6.1); v3:
/// × Master_Adver_Interval (RFC 9568 §6.1).
[[nodiscard]] Duration skew_time(std::uint8_t version, std::uint8_t priority,
                                 Duration master_advert_int) noexcept;
/// Master_Down_Interval: `adverts` × Master_Adver_Interval + Skew_Time.
[[nodiscard]] Duration master_down_interval(std::uint8_t version, std::uint8_t priority,
                                            Duration master_advert_int, std::uint8_t adverts) noexcept;

/// The instance is to take part: its interface, source address and trackers are as they should be, or not
/// (`faulty`). A backup it becomes; an owner with start_as_master: master. Only in state init.
struct Start {
  bool faulty = false;
};
/// An advert of this virtual router that was accepted. `source_is_higher`: numerically, than our own (the
/// tie-break).
struct AdvertReceived {
  std::uint8_t priority = 0;
  Duration advert_int{};  ///< v3: Max_Advertise_Interval
  bool source_is_higher = false;
};
/// deadline() has come. Earlier calls do nothing.
struct Timeout {};
/// Something that the instance cannot do without is missing (true), or all is there again.
struct FaultChanged {
  bool faulty = false;
  /// startup_delay counts from now, also through other faults: switches and bonds need their time.
  bool link_came_up = false;
};
/// What trackers make of the configured priority, 1..254; an owner keeps 255.
struct PriorityChanged {
  std::uint8_t effective = 100;
};
/// An operator gives the addresses away until Resume: as priority 0 to the others, and never master.
struct Yield {};
struct Resume {};
/// What the sync group makes of this member (sync_group.h). master: become it, all want to. backup: cease to
/// be master; recover, if only the group was faulty. fault: another member is.
struct GroupBecame {
  State state = State::backup;
};
/// The process, or the instance by a reload, ends.
struct Stop {};
/// A reload changed the parameters; the state stays, and what trackers added to the priority, too (unless
/// one of the priorities is an owner's: PriorityChanged follows).
struct Reconfigure {
  Parameters parameters;
};
using Event = std::variant<Start, AdvertReceived, Timeout, FaultChanged, PriorityChanged, Yield, Resume,
                           GroupBecame, Stop, Reconfigure>;

/// What the caller is to do.
struct Effect {
  enum class Kind : std::uint8_t {
    send_advert,     ///< with `priority`
    take_addresses,  ///< add them to the kernel
    release_addresses,
    announce,              ///< gratuitous ARP / neighbour advertisements for all addresses, as `burst` says
    tell_state,            ///< the reason has changed, and the state if it is not `from`: log, notify, report
    tell_lower_priority,   ///< heard, and not obeyed: log; of a master: notify_master_rx_lower_pri
    tell_higher_priority,  ///< a master heard it, and gives way: log
    tell_priority_zero,
    tell_interval,       ///< v3: the master's interval is not ours (adopted)
    tell_preempt_delay,  ///< preempt_delay begins to run: log
  };
  enum class Burst : std::uint8_t { full, refresh, lower_priority };
  Kind kind = Kind::send_advert;
  std::uint8_t priority = 0;
  Burst burst = Burst::full;
  State from = State::init;
  friend bool operator==(const Effect&, const Effect&) = default;
};

/// Why the machine is in its state.
enum class Reason : std::uint8_t {
  started,
  startup_delay,
  owner,            ///< priority 255
  master_silent,    ///< Master_Down_Timer
  master_stopped,   ///< priority 0, then Skew_Time
  higher_priority,  ///< another master, with more
  equal_priority,   ///< another master, with as much and a higher address
  tracker,          ///< FaultChanged; the caller knows which
  recovered,        ///< from a fault
  yielded,
  resumed,  ///< after a yield
  group,    ///< the sync group
  stopped,
};

/// At most this many effects of one event.
class Effects {
 public:
  static constexpr std::size_t kMax = 12;
  /// Pre: room.
  void push(Effect effect) noexcept;
  [[nodiscard]] std::span<const Effect> all() const noexcept { return {effects_.data(), size_}; }

 private:
  std::array<Effect, kMax> effects_{};
  std::size_t size_ = 0;
};

class VirtualRouter {
 public:
  VirtualRouter(const Parameters& parameters, Time now) noexcept;

  /// The only way to change it.
  [[nodiscard]] Effects handle(const Event& event, Time now) noexcept;

  /// When it wants a Timeout; nothing while it waits for events only.
  [[nodiscard]] std::optional<Time> deadline() const noexcept;
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  [[nodiscard]] Time since() const noexcept { return since_; }
  [[nodiscard]] bool yielded() const noexcept { return yielded_; }
  /// Its own fault, not the group's.
  [[nodiscard]] bool faulty() const noexcept { return faulty_; }
  /// Another member of its sync group is faulty.
  [[nodiscard]] bool group_faulty() const noexcept { return group_faulty_; }
  /// A backup in a sync group that would be master if it were alone: its Master_Down_Timer has fired, and no
  /// advert that it would obey has come since.
  [[nodiscard]] bool wants_master() const noexcept { return wants_master_; }
  /// A backup that leaves the addresses to another: to a master that it hears, or since an operator said so.
  [[nodiscard]] bool defers() const noexcept {
    return state_ == State::backup && (yielded_ || hears_master_);
  }
  [[nodiscard]] const Parameters& parameters() const noexcept { return parameters_; }
  [[nodiscard]] std::uint8_t effective_priority() const noexcept { return effective_; }
  /// Master_Adver_Interval: the master's own in v3 (RFC 9568 §6.1), else ours.
  [[nodiscard]] Duration master_advert_int() const noexcept { return master_advert_; }
  [[nodiscard]] Duration master_down() const noexcept;

 private:
  [[nodiscard]] bool owner() const noexcept { return parameters_.priority == kPriorityOwner; }
  void clear_timers() noexcept;
  void become(State state, Reason reason, Time now, Effects& effects) noexcept;
  void become_backup(Reason reason, Time now, Effects& effects) noexcept;
  void contend(Reason reason, Time now, Effects& effects) noexcept;
  void claim(Reason reason, Time now, Effects& effects) noexcept;
  void become_master(Reason reason, Time now, Effects& effects) noexcept;
  void give_up(Effects& effects) noexcept;
  void become_fault(Reason reason, Time now, Effects& effects) noexcept;
  void send_advert(Time now, Effects& effects) noexcept;
  void answer(Time now, Effects& effects) noexcept;
  void adopt_interval(Duration interval, Effects& effects) noexcept;
  void set_second_burst(Effect::Burst burst, Duration delay, Time now) noexcept;

  void on(const Start& event, Time now, Effects& effects) noexcept;
  void on(const AdvertReceived& event, Time now, Effects& effects) noexcept;
  void backup_received(const AdvertReceived& event, Time now, Effects& effects) noexcept;
  void master_received(const AdvertReceived& event, Time now, Effects& effects) noexcept;
  void on(const Timeout& event, Time now, Effects& effects) noexcept;
  void on(const FaultChanged& event, Time now, Effects& effects) noexcept;
  void on(const PriorityChanged& event, Time now, Effects& effects) noexcept;
  void on(const Yield& event, Time now, Effects& effects) noexcept;
  void on(const Resume& event, Time now, Effects& effects) noexcept;
  void on(const GroupBecame& event, Time now, Effects& effects) noexcept;
  void on(const Stop& event, Time now, Effects& effects) noexcept;
  void on(const Reconfigure& event, Time now, Effects& effects) noexcept;

  State state_ = State::init;
  Reason reason_ = Reason::started;
  Time since_;
  bool yielded_ = false;
  bool faulty_ = false;
  bool group_faulty_ = false;
  bool wants_master_ = false;
  bool hears_master_ = false;  ///< as a backup that obeys it; master_advert_ is then that master's
  std::uint8_t effective_;
  Reason claim_ = Reason::master_silent;  ///< what becoming master will be put down to
  Duration master_advert_;
  Parameters parameters_;
  // Timers: none while unset.
  std::optional<Time> advert_timer_{}, master_down_timer_{}, startup_timer_{};
  std::optional<Time>
      startup_until_{};  ///< end of startup_delay, whatever the state; stays when it has passed
  std::optional<Time> second_burst_timer_{}, refresh_timer_{};
  Effect::Burst second_burst_ = Effect::Burst::full;
  std::optional<Time> last_sent_{}, last_lower_burst_{};
  /// Until then lower-priority adverts are obeyed; asks for no Timeout, and stays when it has passed.
  std::optional<Time> preempt_from_{};
};

}  // namespace sluice::vrrp
