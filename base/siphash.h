#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice::base {

/// 128 secret bits.
struct SipKey {
  std::uint64_t low = 0, high = 0;
};

/// SipHash-2-4: a keyed hash of which nobody without the key can foretell a value, however many others he has
/// seen. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. Thread: any.
[[nodiscard]] inline std::uint64_t siphash(const SipKey& key, std::span<const std::byte> message) noexcept {
  static_assert(std::endian::native == std::endian::little);
  std::array<std::uint64_t, 4> v{key.low ^ 0x736f6d6570736575U, key.high ^ 0x646f72616e646f6dU,
                                 key.low ^ 0x6c7967656e657261U, key.high ^ 0x7465646279746573U};
  const auto rounds = [&v](int n) {
    for (int i = 0; i < n; ++i) {
      v[0] += v[1];
      v[2] += v[3];
      v[1] = std::rotl(v[1], 13) ^ v[0];
      v[3] = std::rotl(v[3], 16) ^ v[2];
      v[0] = std::rotl(v[0], 32) + v[3];
      v[2] += v[1];
      v[1] = std::rotl(v[1], 17) ^ v[2];
      v[3] = std::rotl(v[3], 21) ^ v[0];
      v[2] = std::rotl(v[2], 32);
    }
  };
  const auto take = [&](std::uint64_t word) {
    v[3] ^= word;
    rounds(2);
    v[0] ^= word;
  };
  std::uint64_t last = std::uint64_t{message.size()} << 56;
  for (; message.size() >= sizeof(std::uint64_t); message = message.subspan(sizeof(std::uint64_t))) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data(), sizeof(word));
    take(word);
  }
  for (std::size_t i = 0; i < message.size(); ++i) last |= static_cast<std::uint64_t>(message[i]) << (8 * i);
  take(last);
  v[2] ^= 0xff;
  rounds(4);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

}  // namespace sluice::base
