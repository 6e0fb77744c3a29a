#include "dp/flow/tcp_options.h"

#include <algorithm>
#include <initializer_list>

namespace sluice::dp {
namespace {

using base::at;

enum class Kind : std::uint8_t {
  end = 0,
  nop = 1,
  mss = 2,
  window_scale = 3,
  sack_permitted = 4,
  sack = 5,
  timestamps = 8,
  md5 = 19,
  ao = 29
};

/// Calls f(kind, offset, length) for each option with a length byte until it says false; offsets are from the
/// start of the segment, lengths include kind and length bytes.
template <typename F>
void each_option(std::span<const std::byte> segment, F&& f) noexcept {
  const auto* tcp = at<base::TcpHdr>(segment, 0);
  if (tcp == nullptr) return;
  const std::size_t end = std::min(tcp->header_length(), segment.size());
  for (std::size_t offset = sizeof(base::TcpHdr); offset < end;) {
    const auto kind = Kind{static_cast<std::uint8_t>(segment[offset])};
    if (kind == Kind::end) return;
    if (kind == Kind::nop) {
      ++offset;
      continue;
    }
    if (offset + 1 >= end) return;
    const auto length = static_cast<std::size_t>(segment[offset + 1]);
    if (length < 2 || offset + length > end) return;
    if (!f(kind, offset, length)) return;
    offset += length;
  }
}

/// Writes one byte; checksums add up over aligned 16-bit words, so the delta is that of the word it lies in.
void put(std::span<std::byte> segment, std::size_t offset, std::byte value,
         base::ChecksumDelta& delta) noexcept {
  auto* word = at<base::Be16>(segment, offset & ~std::size_t{1});
  const base::Be16 before = *word;
  segment[offset] = value;
  delta.replace(before, *word);
}

}  // namespace

std::optional<std::uint8_t> window_scale(std::span<const std::byte> segment) noexcept {
  std::optional<std::uint8_t> shift;
  each_option(segment, [&](Kind kind, std::size_t offset, std::size_t length) {
    if (kind != Kind::window_scale || length != 3) return true;
    shift = std::min<std::uint8_t>(static_cast<std::uint8_t>(segment[offset + 2]), 14);
    return false;
  });
  return shift;
}

SynOptions syn_options(std::span<const std::byte> segment, std::uint16_t default_mss) noexcept {
  SynOptions options{.mss = default_mss, .window_scale = window_scale(segment), .sack = false};
  each_option(segment, [&](Kind kind, std::size_t offset, std::size_t length) {
    if (kind == Kind::mss && length == 4) {
      options.mss = static_cast<std::uint16_t>(static_cast<unsigned>(segment[offset + 2]) << 8U |
                                               static_cast<unsigned>(segment[offset + 3]));
    }
    if (kind == Kind::sack_permitted && length == 2) options.sack = true;
    return true;
  });
  return options;
}

SynOptionBytes encode(const SynOptions& options) noexcept {
  SynOptionBytes out;
  const auto put_bytes = [&out](std::initializer_list<unsigned> values) {
    for (const unsigned value : values) out.bytes[out.size++] = static_cast<std::byte>(value);
  };
  const auto kind = [](Kind k) { return static_cast<unsigned>(k); };
  const unsigned mss = options.mss;
  put_bytes({kind(Kind::mss), 4, mss >> 8U, mss & 0xffU});
  if (options.window_scale) put_bytes({kind(Kind::nop), kind(Kind::window_scale), 3, *options.window_scale});
  if (options.sack) put_bytes({kind(Kind::nop), kind(Kind::nop), kind(Kind::sack_permitted), 2});
  return out;
}

bool is_signed(std::span<const std::byte> segment) noexcept {
  bool found = false;
  each_option(segment, [&](Kind kind, std::size_t, std::size_t) {
    found = kind == Kind::md5 || kind == Kind::ao;
    return !found;
  });
  return found;
}

base::ChecksumDelta clamp_mss(std::span<std::byte> segment, std::uint16_t limit) noexcept {
  base::ChecksumDelta delta;
  each_option(segment, [&](Kind kind, std::size_t offset, std::size_t length) {
    if (kind != Kind::mss || length != 4) return true;
    if (at<base::Be16>(segment, offset + 2)->host() <= limit) return true;
    put(segment, offset + 2, std::byte(limit >> 8U), delta);
    put(segment, offset + 3, std::byte(limit & 0xffU), delta);
    return true;
  });
  return delta;
}

base::ChecksumDelta strip_timestamps(std::span<std::byte> segment) noexcept {
  base::ChecksumDelta delta;
  each_option(segment, [&](Kind kind, std::size_t offset, std::size_t length) {
    if (kind != Kind::timestamps) return true;
    for (std::size_t i = 0; i < length; ++i) put(segment, offset + i, std::byte{1}, delta);
    return false;
  });
  return delta;
}

base::ChecksumDelta strip_options(std::span<std::byte> segment) noexcept {
  base::ChecksumDelta delta;
  const std::size_t end = at<base::TcpHdr>(segment, 0)->header_length();
  for (std::size_t i = sizeof(base::TcpHdr); i < end; ++i) put(segment, i, std::byte{1}, delta);
  return delta;
}

base::ChecksumDelta shift_sack(std::span<std::byte> segment, std::uint32_t shift) noexcept {
  base::ChecksumDelta delta;
  each_option(segment, [&](Kind kind, std::size_t offset, std::size_t length) {
    if (kind != Kind::sack) return true;
    for (std::size_t edge = offset + 2; edge + 4 <= offset + length; edge += 4) {
      const std::uint32_t value = at<base::Be32>(segment, edge)->host() + shift;
      for (unsigned i = 0; i < 4; ++i) put(segment, edge + i, std::byte(value >> (24 - 8 * i)), delta);
    }
    return true;
  });
  return delta;
}

}  // namespace sluice::dp
