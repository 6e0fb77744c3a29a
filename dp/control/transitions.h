#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/report.h"
#include "dp/server_load.h"
#include "dp/snapshot.h"

namespace sluice::dp {

/// What stood at a server, and what of it moved, when it last began or ceased to get new connections. Whoever
/// tells of such a change afterwards needs the numbers of that moment: connections may be ended because of
/// it, and SYNs wait elsewhere. Thread: control.
class Transitions {
 public:
  /// To be called before `after`, of `generation`, is published; workers run `before` (null: nothing) until
  /// then. A SYN that joins a queue between the two is not counted. Of the slots in `fresh`, which have
  /// another holder than before, nothing is known.
  void note(const ServiceTables* before, const ServiceTables& after, std::span<const std::uint16_t> fresh,
            const Load& load, std::uint64_t generation);

  /// Of the server that has the slot; generation 0: there was none.
  [[nodiscard]] config::Transition of(std::uint16_t slot) const {
    return slot < transitions_.size() ? transitions_[slot] : config::Transition{};
  }

 private:
  std::vector<config::Transition> transitions_;  ///< by slot
};

}  // namespace sluice::dp
