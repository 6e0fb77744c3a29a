#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/event_loop.h"
#include "base/fd.h"
#include "base/result.h"
#include "vrrp/kernel/address_keeper.h"
#include "vrrp/kernel/announcer.h"
#include "vrrp/kernel/interfaces.h"
#include "vrrp/messages.h"

/// Theory of operation. The kernel side is the thread that may wait for the kernel. It mirrors interfaces and
/// addresses, and has one job, settle(): compare what is wanted (KernelWork from main, Orders from the
/// speaker) with what there is, and do what is missing. Whatever happens, an order, a change of an interface,
/// an address that someone took away, it only marks the picture as changed and settle() follows; so there are
/// no special cases for interfaces that come, go, come back or are renamed.
///
/// What an instance stands on is told to the speaker as a whole (Footing): faulty, or sound with a socket
/// that belongs to the interface as it is now. Nothing that happens to the network ends it.
namespace sluice::vrrp {

class KernelSide {
 public:
  struct Boxes {
    KernelBox& from_main;
    const Wake& orders;  ///< rung by the speaker
    FootingBox& to_speaker;
    NewsBox& to_main;
  };

  /// Thread: any, before run(); its network namespace is the one that is looked after. Errors: no netlink, no
  /// right to send frames.
  static base::Result<std::unique_ptr<KernelSide>> create(Boxes boxes);
  KernelSide(const KernelSide&) = delete;
  KernelSide& operator=(const KernelSide&) = delete;
  ~KernelSide();

  /// Serves until finish(). Thread: the kernel side's.
  void run();
  /// Thread: any.
  void finish() noexcept { loop_->stop(); }

 private:
  struct Instance {
    KernelInstance work;
    Orders::View seen;
    bool holds = false;
    Time left_over_until{};  ///< what an earlier process left behind stays so long for the speaker to judge
    std::optional<config::VrrpTrouble> trouble{};
    bool told = false;           ///< the speaker knows of it
    bool link_was_away = false;  ///< since it was sound; also if something else was missing afterwards
    bool new_mac = false;  ///< an interface of its addresses has another MAC address since the last look
    std::uint32_t sender_index = 0;
    std::optional<base::IpAddress> source{};  ///< of the sender
    Time sender_retry{}, vmac_retry{};
    std::uint32_t vmac_configured = 0;  ///< index of the macvlan whose settings have been made
    std::string vmac_failure;
    std::uint64_t announcements = 0, announce_errors = 0;
    std::map<std::string, int> announce_error{};  ///< by interface: of the last announcement
    Time repeat_not_before{};                     ///< bursts of a settled master, one after another
    Time repeat_told{};                           ///< the last of them that the log tells of
    std::uint64_t repeats = 0;                    ///< since then
  };
  struct Listener {
    ListenerSpec spec;
    std::uint32_t index = 0;  ///< of the interface that it is open on; 0: closed
    base::Fd fd{};            ///< the speaker's socket, a second time
    bool rejoin = false;      ///< the kernel may have forgotten its group, or the switch
    std::string failure{};
    Time retry{};
  };

  KernelSide(std::unique_ptr<base::EventLoop> loop, Boxes boxes) noexcept;
  void take_from_main();
  void on(std::monostate&) noexcept {}
  void on(KernelWork& message);
  void on(FillKernelStatus& message);
  void on(Finish& message);
  void on_event(const InterfaceEvent& event);

  void settle();
  void settle_once(Time now, std::optional<Time>& next);
  void tell_keeper(const Instance& instance);
  [[nodiscard]] std::string network_of(const config::VrrpInstance& wanted,
                                       const base::IpAddress& address) const;
  void place_implied(Instance& instance);
  void read_orders(Time now, std::optional<Time>& next);
  void remove_unwanted_macvlans();
  void settle_vmac(Instance& instance, Time now, std::optional<Time>& next);
  void settle_listener(ListenerId id, Listener& listener, Time now, std::optional<Time>& next);
  void fail(Listener& listener, const base::Error& error, Time now);
  void judge(Instance& instance, Time now, std::optional<Time>& next);
  [[nodiscard]] std::optional<config::VrrpTrouble> find_trouble(const Instance& instance, Time now) const;
  [[nodiscard]] std::optional<base::IpAddress> choose_source(const Instance& instance,
                                                             const Interface& interface) const;
  static bool places_on(const Instance& instance, const std::string& interface);
  void repeat_burst(Instance& instance, std::uint16_t repeat, Time now);
  void burst(Instance& instance, std::uint16_t repeat, std::uint64_t told = 1);
  void announce(Instance& instance, const base::IpAddress& address, std::uint32_t index, std::uint16_t repeat,
                std::uint64_t told = 1);
  void tell_tracked();
  [[nodiscard]] bool of_interest(const std::string& interface) const;
  void log(base::log::Level level, std::string line);
  void log_order(const Instance& instance, std::string line);
  void log(KernelLine line);
  void wake_at(std::optional<Time> next);

  std::unique_ptr<base::EventLoop> loop_;
  Boxes boxes_;
  Outbox<FootingBox> to_speaker_;
  Outbox<NewsBox> to_main_;
  std::unique_ptr<Interfaces> interfaces_;
  std::optional<AddressKeeper> keeper_;
  std::optional<Announcer> announcer_;
  std::map<InstanceId, Instance> instances_;
  std::map<ListenerId, Listener> listeners_;
  std::map<std::string, std::optional<TrackedInterface>> tracked_;
  std::set<std::string> macvlans_;  ///< those that we, or a process before us, made
  bool has_worked_ = false;         ///< main has said once what there is to do
  bool changed_ = false;            ///< since settle() began
  bool finishing_ = false;
  std::uint64_t lines_lost_ = 0;  ///< since main last had room for one
  base::EventLoop::TimerId timer_ = base::EventLoop::TimerId::none;
};

}  // namespace sluice::vrrp
