#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

/// Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
/// §3.4): a table of slots, filled by the backends taking turns, each claiming the next free slot of a
/// permutation of its own. A key's hash modulo the table's size names a slot, and so a backend. Shares follow
/// the weights closely, and a backend that comes or goes moves few keys but its own.
namespace sluice::dp {

/// Slots of a table, a prime; the paper's size for some hundreds of backends.
inline constexpr std::uint32_t kMaglevSlots = 65'537;

struct MaglevBackend {
  /// What the backend's permutation comes from. The same text gives the same permutation on every host and in
  /// every service; two backends of one table must differ in it to get shares of their own.
  std::string_view identity;
  /// Share of the turns, relative to the other backends; 0 takes none.
  std::uint32_t weight = 0;
};

/// The table: for each slot the index into `backends` of the backend that owns it. Empty when no weight is
/// above 0. The result follows from identities and weights alone, not from the backends' order nor from the
/// machine. Each backend's slots differ from its exact share by two at most; when there are more backends
/// than slots, some have none. Pre: `slots` is prime and <= 2^31; at most 65,536 backends. Cost: about 1 ms
/// for 65,537 slots (test/bench/maglev_bench.cc); not for a packet worker. Thread: any.
[[nodiscard]] std::vector<std::uint16_t> build_maglev(std::span<const MaglevBackend> backends,
                                                      std::uint32_t slots = kMaglevSlots);

}  // namespace sluice::dp
