#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/vrrp.h"
#include "vrrp/messages.h"
#include "vrrp/speaker_instance.h"
#include "vrrp/tracking.h"
#include "vrrp/trouble_counts.h"

namespace sluice::vrrp {

/// An instance as main knows it.
struct Member {
  InstanceId id{};
  ListenerId listener{};
  config::VrrpInstance config;
  std::shared_ptr<Orders> orders;
  bool yielded = false;
  std::optional<config::VrrpTrouble> kernel_trouble{};
  Verdict verdict;  ///< of the trackers, as the speaker was told last
  bool judged = false;
  State state = State::init;  ///< as the speaker said last
  Reason reason = Reason::started;
  TroubleCounts trouble_counts{};
};

/// Which instances there are, and what a new configuration makes of them. Thread: main.
class Roster {
 public:
  /// What is to be sent.
  struct Plan {
    std::vector<ToSpeaker> to_speaker;
    KernelWork to_kernel;
    std::vector<std::unique_ptr<Member>> gone;  ///< those that stop
  };
  /// Takes `wanted` over. An instance that keeps its name, interface, router id, version, family and kind of
  /// MAC address goes on as it is; any other is a new one. Who is not in it any more has not yielded, should
  /// it ever come again. Errors: no descriptors; nothing has changed then.
  base::Result<Plan> replace(const std::vector<config::VrrpInstance>& wanted);

  /// Has the instance yield, or take part again: for whoever has its name, also after a reload.
  ToSpeaker yield(Member& member, bool yielded);
  /// Names of those that have yielded, in this process or the one before.
  [[nodiscard]] const std::set<std::string>& yielded() const noexcept { return yielded_; }
  void recall(std::set<std::string> yielded) { yielded_ = std::move(yielded); }

  [[nodiscard]] Member* find(InstanceId id) noexcept;
  [[nodiscard]] Member* find(std::string_view name) noexcept;
  /// In the order of the configuration.
  [[nodiscard]] std::vector<std::unique_ptr<Member>>& members() noexcept { return members_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Member>>& members() const noexcept { return members_; }

 private:
  ListenerId listener_of(const config::VrrpInstance& instance);
  std::optional<std::uint32_t> group_of(const config::VrrpInstance& instance);
  std::unique_ptr<SpeakerSettings> settings_of(const config::VrrpInstance& instance);

  std::vector<std::unique_ptr<Member>> members_;
  std::map<std::pair<std::string, base::Family>, ListenerId> listeners_;
  std::map<std::string, std::uint32_t> groups_;
  std::set<std::string> yielded_;
  std::uint32_t last_instance_ = 0, last_listener_ = 0;
};

/// What a plan does, for people: "VRRP instances: 1 changed, 1 new"; empty: nothing.
[[nodiscard]] std::string told_of(const Roster::Plan& plan);

/// What the machine goes by.
[[nodiscard]] Parameters parameters_of(const config::VrrpInstance& instance);

}  // namespace sluice::vrrp
