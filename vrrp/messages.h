#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/vrrp.h"
#include "config/vrrp_report.h"
#include "vrrp/mailbox.h"
#include "vrrp/orders.h"
#include "vrrp/virtual_router.h"

/// What the three threads say to each other.
namespace sluice::vrrp {

/// Of two moments at which something is to be done, the earlier one.
inline void sooner(std::optional<Time>& next, Time when) noexcept {
  if (!next || when < *next) next = when;
}

/// Of an instance, for the life of the process; never used twice.
enum class InstanceId : std::uint32_t {};
/// Of a pair (interface, family) on which adverts are heard; never used twice.
enum class ListenerId : std::uint32_t {};

struct SpeakerInstance;
struct SpeakerSettings;
struct SpeakerStatus;

// --- main -> speaker ---------------------------------------------------------------------------------------

/// A new instance. It takes part once both verdicts about it are there.
struct Adopt {
  std::unique_ptr<SpeakerInstance> instance;
};
/// The instance has other settings from now on; the old ones come back.
struct Change {
  InstanceId id{};
  std::unique_ptr<SpeakerSettings> settings;
};
/// The instance stops, and comes back.
struct Dismiss {
  InstanceId id{};
};
/// What the trackers make of it.
struct TrackerVerdict {
  InstanceId id{};
  bool faulty = false;
  std::uint8_t priority = 100;
};
/// An operator's word.
struct OperatorSays {
  InstanceId id{};
  bool yield = false;
};
/// Comes after the changes of a reload: each sync group looks anew at who is in it. Until then nobody acts on
/// a group of which only some members have changed.
struct Regroup {};
/// To be filled in, and given back.
struct FillStatus {
  std::unique_ptr<SpeakerStatus> status;
};
/// All instances stop, for good; answered with AllStopped.
struct StopAll {};
using ToSpeaker = std::variant<std::monostate, Adopt, Change, Dismiss, Regroup, TrackerVerdict, OperatorSays,
                               FillStatus, StopAll>;

// --- kernel side -> speaker --------------------------------------------------------------------------------

/// The socket of a listener, or none while its interface is missing.
struct ListenerSocket {
  ListenerId id{};
  base::Family family = base::Family::v4;
  base::Fd fd;
};
/// What an instance stands on: faulty, or sound and with a socket to send from.
struct Footing {
  InstanceId id{};
  bool faulty = false;
  bool link_came_up = false;
  bool new_sender = false;  ///< the rest is there; else all of it is as before
  base::Fd sender{};
  base::IpAddress source{};
  std::uint32_t index = 0;  ///< of the interface that `sender` sends out of
};
using KernelToSpeaker = std::variant<std::monostate, ListenerSocket, Footing>;

// --- speaker -> main ---------------------------------------------------------------------------------------

/// Something worth a line in the log. May be lost when thousands come at once (the losses are counted).
struct SpeakerNote {
  enum class Kind : std::uint8_t {
    state,
    sent_stop,  ///< priority 0
    lower_priority,
    higher_priority,
    priority_zero,
    interval,
    preempt_delay,
    other_addresses,  ///< the advert's are not exactly ours
    refused,
    send_error,
    late,  ///< a timer was served so late that a backup may have taken over
  };
  Kind kind = Kind::state;
  InstanceId id{};
  State from = State::init, state = State::init;
  Reason reason = Reason::started;
  std::uint8_t theirs = 0, ours = 0;  ///< priorities
  Refusal refusal = Refusal::length;
  int error = 0;           ///< errno of send_error
  base::IpAddress peer{};  ///< who sent the advert
  Duration duration{};     ///< of `interval`: theirs; of `late`: how late; of `state`: Master_Down_Interval
  std::uint64_t repeated = 0;  ///< how many since the last note of it, this one included; 0: not counted
};
inline constexpr std::size_t kNoteKinds = 11;
/// What main lent comes back, in the order in which it was asked for.
struct Dismissed {
  std::unique_ptr<SpeakerInstance> instance;
};
struct Changed {
  std::unique_ptr<SpeakerSettings> settings;
};
struct StatusFilled {
  std::unique_ptr<SpeakerStatus> status;
};
/// A listener's socket that is not heard any more. Not the speaker's to close: who leaves a multicast group
/// waits for the RTNL lock (ip_mc_drop_socket()).
struct Retired {
  base::Fd fd;
};
struct AllStopped {};
using SpeakerReturn = std::variant<std::monostate, Dismissed, Changed, StatusFilled, Retired, AllStopped>;

// --- main -> kernel side -----------------------------------------------------------------------------------

/// An instance as far as the kernel is concerned.
struct KernelInstance {
  InstanceId id{};
  ListenerId listener{};
  config::VrrpInstance config;
  std::shared_ptr<const Orders> orders;
};
struct ListenerSpec {
  std::string interface;
  base::Family family = base::Family::v4;
};
/// All that there is to do, in place of what was said before.
struct KernelWork {
  std::vector<KernelInstance> instances;
  std::map<ListenerId, ListenerSpec> listeners;
  std::set<std::string> tracked;  ///< interfaces whose state main wants to know
};
struct FillKernelStatus {};
/// Answered with KernelDone once nothing is left to do.
struct Finish {};
using ToKernel = std::variant<std::monostate, KernelWork, FillKernelStatus, Finish>;

// --- kernel side -> main -----------------------------------------------------------------------------------

/// A line for the log.
struct KernelLine {
  /// Of a line that tells how an order is carried out.
  struct Order {
    InstanceId instance{};
    bool hold = false;
  };
  base::log::Level level = base::log::Level::info;
  std::string text;
  std::optional<Order> order{};
};
/// What stands in the way of an instance, as far as the kernel knows; none: nothing.
struct KernelTrouble {
  InstanceId id{};
  std::optional<config::VrrpTrouble> trouble;
};
/// A tracked interface.
struct TrackedInterface {
  std::string name;
  bool exists = false, up = false, running = false;
};
/// What the kernel side knows of an instance beyond the above.
struct KernelInstanceStatus {
  std::string source;
  std::vector<std::string> addresses;  ///< each with the interface that it is for
  std::vector<std::string> missing;
  std::uint64_t repaired = 0, announcements = 0, announce_errors = 0;
};
struct KernelStatus {
  std::map<InstanceId, KernelInstanceStatus> instances;
};
struct KernelDone {};
using FromKernel =
    std::variant<std::monostate, KernelLine, KernelTrouble, TrackedInterface, KernelStatus, KernelDone>;

// --- the boxes ---------------------------------------------------------------------------------------------

using SpeakerBox = Mailbox<ToSpeaker, 256>;
using FootingBox = Mailbox<KernelToSpeaker, 256>;
using NoteBox = Mailbox<SpeakerNote, 4096>;
using ReturnBox = Mailbox<SpeakerReturn, 1024>;
using KernelBox = Mailbox<ToKernel, 16>;
using NewsBox = Mailbox<FromKernel, 1024>;

}  // namespace sluice::vrrp
