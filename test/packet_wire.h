#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "test/packet_builder.h"

/// Bytes of packets, big-endian, as the builder writes them.
namespace sluice::test {

// IANA protocol numbers.
inline constexpr std::uint8_t kHopByHop = 0, kIcmp = 1, kTcp = 6, kUdp = 17, kRouting = 43, kFragment = 44,
                              kIcmp6 = 58, kNoNext = 59, kDestOpts = 60, kReserved = 255;
inline constexpr std::size_t kEthLength = 14, kIp4Length = 20, kIp6Length = 40, kFragmentLength = 8;

/// A row that cannot be meant: says why, and aborts.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "packet_builder: %s\n", what);
  std::abort();
}

inline void put8(Bytes& out, std::size_t value) {
  out.push_back(static_cast<std::byte>(value & 0xff));
}
inline void put16(Bytes& out, std::size_t value) {
  put8(out, value >> 8);
  put8(out, value);
}
inline void put32(Bytes& out, std::size_t value) {
  put16(out, value >> 16);
  put16(out, value);
}
inline void put(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
inline void put(Bytes& out, std::span<const std::uint8_t> bytes) {
  put(out, std::as_bytes(bytes));
}

inline void set16(Bytes& out, std::size_t offset, std::size_t value) {
  out.at(offset) = static_cast<std::byte>(value >> 8 & 0xff);
  out.at(offset + 1) = static_cast<std::byte>(value & 0xff);
}

inline std::size_t get16(const Bytes& bytes, std::size_t offset) {
  return std::to_integer<std::size_t>(bytes.at(offset)) << 8 |
         std::to_integer<std::size_t>(bytes.at(offset + 1));
}

/// RFC 1071 §1, word by word.
inline std::uint16_t rfc1071(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << 8;
    if (i + 1 < bytes.size()) sum += std::to_integer<std::uint32_t>(bytes[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace sluice::test
