#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>

#include "test/packet/world.h"

/// What must hold of a balancer whatever has come in.
namespace sluice::test {

/// What holds of tables and counters at any time: each flow is found by both of its keys, and shares none;
/// what is on lease, taken, stored, kept or counted agrees with the flows that there are.
void expect_sound(Balancer& balancer);
/// After hours of silence nothing is left of any flow, stored SYN or datagram.
void expect_all_ends(Balancer& balancer);

/// A flow as long as it lasts: no two begin in one record at one time.
struct FlowName {
  unsigned worker;
  Family family;
  std::uint32_t record, created;
  friend auto operator<=>(const FlowName&, const FlowName&) = default;
};

/// The flows that there are, and the counters of those that were ended by sluice itself.
class Census {
 public:
  enum class Kind : std::uint8_t {
    connection,  ///< of TCP, not closed
    attempt,     ///< likewise, whose SYN is tried again when it fails
    killed,      ///< likewise, that is to end as soon as its RSTs can be sent
    other,
    kCount,
  };
  struct Change {
    std::uint64_t killed, timed_out;  ///< counted since
    std::array<std::uint64_t, static_cast<std::size_t>(Kind::kCount)> gone;
    [[nodiscard]] std::uint64_t gone_of(Kind kind) const { return gone[static_cast<std::size_t>(kind)]; }
  };

  explicit Census(Balancer& balancer);
  [[nodiscard]] Change since(const Census& before) const;

 private:
  std::map<FlowName, Kind> flows_;
  std::uint64_t killed_ = 0, timed_out_ = 0;
};

}  // namespace sluice::test
