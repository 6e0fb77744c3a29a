#pragma once

#include <array>
#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>

namespace sluice::base {

/// An unsigned integer as it stands on the wire (network byte order), alignment 1, so that wire structs may
/// overlay any byte of a packet. Host values go in by the constructor and come out by host(); the two never
/// mix.
template <std::unsigned_integral T>
class Be {
 public:
  constexpr Be() noexcept = default;
  constexpr explicit Be(T host) noexcept : bytes_(std::bit_cast<Bytes>(swap(host))) {}

  [[nodiscard]] constexpr T host() const noexcept { return swap(std::bit_cast<T>(bytes_)); }
  /// The bytes as they lie in memory, read as a native integer: for sums, hashes and comparison only.
  [[nodiscard]] constexpr T raw() const noexcept { return std::bit_cast<T>(bytes_); }
  [[nodiscard]] static constexpr Be from_raw(T raw) noexcept {
    Be be;
    be.bytes_ = std::bit_cast<Bytes>(raw);
    return be;
  }

  friend constexpr bool operator==(Be a, Be b) noexcept { return a.raw() == b.raw(); }
  friend constexpr auto operator<=>(Be a, Be b) noexcept { return a.host() <=> b.host(); }

 private:
  using Bytes = std::array<unsigned char, sizeof(T)>;
  static constexpr T swap(T value) noexcept {
    if constexpr (sizeof(T) == 1 || std::endian::native == std::endian::big) {
      return value;
    } else if constexpr (sizeof(T) == 2) {
      return __builtin_bswap16(value);
    } else if constexpr (sizeof(T) == 4) {
      return __builtin_bswap32(value);
    } else {
      return __builtin_bswap64(value);
    }
  }
  Bytes bytes_{};
};

using Be16 = Be<std::uint16_t>;
using Be32 = Be<std::uint32_t>;
using Be64 = Be<std::uint64_t>;
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);

}  // namespace sluice::base
