#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "vrrp/kernel_side.h"
#include "vrrp/messages.h"
#include "vrrp/realtime.h"
#include "vrrp/speaker.h"

namespace sluice::vrrp {

/// The speaker and the kernel side with their threads, and what leads to them and back. Thread: main.
class Threads {
 public:
  /// Errors: no descriptors, no netlink, no raw sockets. Without the right to real-time scheduling or locked
  /// memory they run all the same, and the log says what that costs.
  static base::Result<std::unique_ptr<Threads>> start();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  /// Ends both.
  ~Threads();

  void put(ToSpeaker&& message);
  /// Sent by flush(), once all is sent that was put for the speaker before it.
  void put(ToKernel&& message);
  /// Sends what waits; false: call it again a little later.
  bool flush();
  [[nodiscard]] NoteBox& notes() noexcept { return *notes_; }
  [[nodiscard]] ReturnBox& returns() noexcept { return *returns_; }
  [[nodiscard]] NewsBox& news() noexcept { return *news_; }
  [[nodiscard]] bool realtime() const noexcept { return realtime_; }
  [[nodiscard]] bool memory_locked() const noexcept { return memory_locked_; }

 private:
  Threads() = default;

  std::unique_ptr<SpeakerBox> speaker_box_;
  std::unique_ptr<FootingBox> footing_;
  std::unique_ptr<NoteBox> notes_;
  std::unique_ptr<ReturnBox> returns_;
  std::unique_ptr<KernelBox> kernel_box_;
  std::unique_ptr<NewsBox> news_;
  std::optional<Wake> orders_;
  std::optional<Outbox<SpeakerBox>> to_speaker_;
  std::optional<Outbox<KernelBox>> to_kernel_;
  std::unique_ptr<Speaker> speaker_;
  std::unique_ptr<KernelSide> kernel_;
  std::optional<Thread> speaker_thread_, kernel_thread_;
  bool realtime_ = false, memory_locked_ = false;
};

}  // namespace sluice::vrrp
