#pragma once

#include <bit>
#include <cstdint>

#include "dp/flow/flow.h"

namespace sluice::dp {

/// Keyed hash of flow keys. The key is random and secret: with a fixed or linear hash (CRC, Toeplitz) anyone
/// can craft 5-tuples that collide. Multiply-and-fold of key-masked words, as in NH (UMAC, RFC 4418 §5.2.2):
/// without the key no collision can be found better than by chance. Thread: any; immutable after
/// construction.
class FlowHash {
 public:
  struct Seed {
    std::uint64_t a, b, c, d;
  };
  explicit constexpr FlowHash(const Seed& seed) noexcept : seed_(seed) {}

  /// Bits 0–31 choose the bucket, 32–46 are the tag, 48–63 the shard of a fragmented datagram: independent of
  /// one another.
  [[nodiscard]] std::uint64_t operator()(const FlowKey<base::Family::v4>& key) const noexcept {
    const std::uint64_t addresses = std::uint64_t{key.src.value.raw()} << 32 | key.dst.value.raw();
    return finish(fold(addresses + seed_.a, ports(key) + seed_.b));
  }
  [[nodiscard]] std::uint64_t operator()(const FlowKey<base::Family::v6>& key) const noexcept {
    const auto src = std::bit_cast<Words>(key.src.bytes);
    const auto dst = std::bit_cast<Words>(key.dst.bytes);
    const std::uint64_t h =
        fold(src.low + seed_.a, src.high + seed_.b) ^ fold(dst.low + seed_.c, dst.high + seed_.d);
    return finish(fold(h + seed_.b, ports(key) + seed_.c));
  }

  /// Of the client's end alone, which is the same in both keys of a flow that keeps it (mode dnat): chooses
  /// the worker, by bits 48–63.
  [[nodiscard]] std::uint64_t of_client(const base::Ipv4& address, base::Be16 port,
                                        base::IpProto proto) const noexcept {
    return finish(fold(address.value.raw() + seed_.d, end(port, proto) + seed_.a));
  }
  [[nodiscard]] std::uint64_t of_client(const base::Ipv6& address, base::Be16 port,
                                        base::IpProto proto) const noexcept {
    const auto words = std::bit_cast<Words>(address.bytes);
    const std::uint64_t h = fold(words.low + seed_.a, words.high + seed_.b);
    return finish(fold(h + seed_.b, end(port, proto) + seed_.c));
  }

 private:
  struct Words {
    std::uint64_t low, high;
  };
  template <base::Family F>
  static constexpr std::uint64_t ports(const FlowKey<F>& key) noexcept {
    return std::uint64_t{key.src_port.raw()} << 32 | std::uint64_t{key.dst_port.raw()} << 8 |
           static_cast<std::uint64_t>(key.proto);
  }
  static constexpr std::uint64_t end(base::Be16 port, base::IpProto proto) noexcept {
    return std::uint64_t{port.raw()} << 8 | static_cast<std::uint64_t>(proto);
  }
  static constexpr std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  [[nodiscard]] constexpr std::uint64_t finish(std::uint64_t h) const noexcept {
    return fold(h ^ seed_.c, seed_.d | 1);
  }

  Seed seed_;
};

/// The worker that owns what this is the hash of. Every worker computes the same.
[[nodiscard]] constexpr std::uint8_t owner_of_hash(std::uint64_t hash, unsigned workers) noexcept {
  return static_cast<std::uint8_t>(((hash >> 48) * workers) >> 16);
}
/// The worker that owns a source port, and so the flows that use it.
[[nodiscard]] constexpr std::uint8_t owner_of_port(base::Be16 local_port, unsigned workers) noexcept {
  return static_cast<std::uint8_t>(local_port.host() % workers);
}

}  // namespace sluice::dp
