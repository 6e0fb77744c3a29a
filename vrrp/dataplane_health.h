#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/report.h"
#include "vrrp/virtual_router.h"

namespace sluice::vrrp {

/// Whether the local data plane forwards, judged by its answers alone. A connection that ends is believed at
/// once. Silence, and workers that do not advance, count only as time in which the question was really out:
/// while this process itself was stopped or starved, nothing is held against the data plane. Pure. Thread:
/// any.
class DataplaneHealth {
 public:
  /// Longer than this between two calls of look() is this process's own lateness.
  static constexpr Duration kOwnLateness = std::chrono::milliseconds(500);

  explicit DataplaneHealth(Time now) noexcept : last_look_(now), heard_(now) {}

  void connected(Time now);
  /// `why`: a sentence.
  void disconnected(std::string why);
  void answered(const config::AliveReport& report, Time now);
  /// To be called several times a second.
  void look(Time now) noexcept;

  /// Another question is asked from now on: what the last answer said is not about it.
  void asks_anew() noexcept { answered_ = false; }

  [[nodiscard]] bool known_gone() const noexcept { return !why_gone_.empty(); }
  /// Connected and answered at least once, or known not to be there, or silent for too long for an answer to
  /// be waited for.
  [[nodiscard]] bool known(Duration timeout, Time now) const noexcept {
    return !why_gone_.empty() || answered_ || (connected_ && now - heard_ > timeout);
  }
  /// What is wrong with it, as a sentence, for someone who bears with `timeout` of silence; nothing: it
  /// forwards.
  [[nodiscard]] std::optional<std::string> trouble(Duration timeout, Time now) const;
  /// Servers of a service that are given connections; nothing: not known.
  [[nodiscard]] std::optional<std::uint32_t> usable(const std::string& service) const;

 private:
  struct Worker {
    std::uint64_t rounds = 0;
    Time advanced{};
  };
  std::string why_gone_;
  bool connected_ = false, answered_ = false;
  Time last_look_;
  Time heard_;  ///< last answer, or the connection
  std::map<std::uint16_t, Worker> workers_;
  std::vector<std::string> ports_down_;
  std::map<std::string, std::uint32_t> usable_;
};

}  // namespace sluice::vrrp
