#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// The order in which a `roundrobin` service gives its servers new connections: a ring that a worker walks,
/// one entry per connection. All the arithmetic is done here, when servers or weights change.
namespace sluice::dp {

/// Longest order. Weights that would need a longer one are rounded.
inline constexpr std::size_t kMaxRoundRobinLength = 16'384;

struct RoundRobin {
  std::vector<std::uint16_t> order;      ///< repeats
  std::vector<std::uint16_t> first_lap;  ///< of the same length, before it; empty: does not differ
};

/// The repeating order of server indexes for `weights`: server i stands in it weights[i] / gcd times, evenly
/// spread; equal weights take turns in the order given; weight 0 never appears. Empty when no weight is above
/// 0.
///
/// It is the order of HAProxy's `roundrobin`, entry by entry, as HAProxy 2.6.12 repeats it. HAProxy starts
/// over about every sixteenth time round the ring, and there, as at its start, the first time round may
/// differ from the fifteen that follow: weights 3,2,3,3 begin 0 2 3 0 2 3 1 0 2 3 0, and then repeat 1 2 3 0
/// 2 3 1 0 2 3 0. `order` is the one repeated: only that one holds each server exactly as often as its weight
/// says.
///
/// When the sum of weights / gcd is above kMaxRoundRobinLength, weights are scaled down to fit; none that is
/// above 0 becomes 0. The length is then never above kMaxRoundRobinLength, unless there are more servers than
/// that. Pre: at most 65,536 weights. Cost: O(length * log(servers)); not for a packet worker. Thread: any.
[[nodiscard]] RoundRobin build_round_robin(std::span<const std::uint32_t> weights);

}  // namespace sluice::dp
