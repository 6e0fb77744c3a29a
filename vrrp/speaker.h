#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "vrrp/messages.h"
#include "vrrp/speaker_instance.h"
#include "vrrp/sync_group.h"

/// Theory of operation. The speaker is the thread that hears and sends adverts: all that has to be in time.
/// It does nothing that may wait for somebody else: no netlink, no joining of groups (both wait for the
/// kernel's RTNL lock, which others hold for seconds), no mutex, no log, no allocation between a timer and
/// its advert. What it wants of the kernel it writes into each instance's Orders and wakes the kernel side;
/// what is to be said about it goes to main in a ring. Its sockets are opened by the kernel side and given to
/// it.
///
/// A timer that is served in time sends first and looks at what was received afterwards. One that is late,
/// as after SIGSTOP, looks first: else a backup would take its own absence for the master's.
namespace sluice::vrrp {

class Speaker {
 public:
  struct Boxes {
    SpeakerBox& from_main;
    FootingBox& from_kernel;
    NoteBox& notes;
    ReturnBox& returns;
    const Wake& kernel;  ///< rung after orders have changed
  };

  /// Thread: any, before run(). Errors: no descriptors.
  static base::Result<std::unique_ptr<Speaker>> create(Boxes boxes);
  Speaker(const Speaker&) = delete;
  Speaker& operator=(const Speaker&) = delete;
  ~Speaker();

  /// Serves until finish(). Thread: the speaker's.
  void run();
  /// Thread: any.
  void finish() noexcept { loop_->stop(); }

 private:
  struct Listener {
    base::Family family = base::Family::v4;
    base::Fd fd;
    base::EventLoop::TimerId rest{};  ///< until the end of a rest(); none: it is being watched
    std::vector<SpeakerInstance*> instances;
  };
  using Instance = SpeakerInstance;
  /// At most so many notes of one kind about one instance in this time; of refusals and errors: one.
  static constexpr Duration kNotePause = std::chrono::seconds(10);
  static constexpr std::uint32_t kNotesPerPause = 5;
  /// Packets of one socket that are taken before the others, and the timers, have their turn.
  static constexpr int kPacketsPerTurn = 64;
  /// All that a socket's buffer can hold, before a late timer acts.
  static constexpr int kPacketsWhenLate = 4'096;

  /// Members of a sync group; both lists are in the same order.
  struct Group {
    std::vector<SpeakerInstance*> members;
    std::vector<const VirtualRouter*> routers;
  };

  Speaker(std::unique_ptr<base::EventLoop> loop, Boxes boxes) noexcept;
  void take_from_main();
  void take_from_kernel();
  void on(std::monostate&) noexcept {}
  void on(Adopt& message);
  void on(Change& message);
  void on(Dismiss& message);
  void on(Regroup& message);
  void on(TrackerVerdict& message);
  void on(OperatorSays& message);
  void on(FillStatus& message);
  void on(StopAll& message);
  void on(ListenerSocket& message);
  void on(Footing& message);

  void on_timer(Instance& instance);
  /// Takes what has arrived, but at most so much. True: it took so much, and there may be more.
  bool receive(Listener& listener, int packets);
  void rest(Listener& listener);
  void receive_one(Listener& listener, const ReceivedPacket& packet, Time now);
  void take_advert(Instance& instance, const ReceivedPacket& packet, Time now);
  void refuse(Instance& instance, const ReceivedPacket& packet, Refusal refusal, Time now) noexcept;
  void remember(Instance& instance, const ReceivedPacket& packet, const Advert& advert, Time now) noexcept;

  /// Hands an event to the machine, carries out what comes of it, and has the sync group follow.
  void handle(Instance& instance, const Event& event, Time now, const base::IpAddress* peer = nullptr);
  void step(Instance& instance, const Event& event, Time now, const base::IpAddress* peer);
  void follow_group(const Group& group, Time now);
  void perform(Instance& instance, const Effects& effects, Time now, const base::IpAddress* peer);
  void send(Instance& instance, std::uint8_t priority, Time now) noexcept;
  void encode_ready(Instance& instance) noexcept;
  void judge(Instance& instance, bool link_came_up, Time now);
  void aim(Instance& instance) noexcept;
  void arm(Instance& instance) noexcept;
  void attach(Instance& instance);
  void detach(Instance& instance) noexcept;
  void note(const SpeakerNote& note) noexcept;
  /// How often that has been since it was last noted; 0: it is to be counted only, not noted.
  static std::uint64_t worth_a_note(Instance& instance, SpeakerNote::Kind kind, Time now) noexcept;
  [[nodiscard]] Instance* find(InstanceId id) noexcept;

  std::unique_ptr<base::EventLoop> loop_;
  Boxes boxes_;
  Outbox<ReturnBox> returns_;
  std::unordered_map<InstanceId, std::unique_ptr<Instance>> instances_;
  std::unordered_map<ListenerId, Listener> listeners_;
  std::unordered_map<std::uint32_t, Group> groups_;
  std::vector<std::byte> buffer_;  ///< of receive()
  std::uint64_t unknown_vrid_ = 0;
  std::uint64_t notes_lost_ = 0;
  bool stopping_ = false;
};

}  // namespace sluice::vrrp
