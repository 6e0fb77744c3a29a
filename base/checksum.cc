#include "base/checksum.h"

#include <cstring>

namespace sluice::base {
namespace {

/// Ones'-complement addition in 64 bits: the carry comes in again at the low end (RFC 1071 §2 (A), (C)).
constexpr std::uint64_t add_carry(std::uint64_t sum, std::uint64_t word) noexcept {
  sum += word;
  return sum + (sum < word ? 1U : 0U);
}

std::uint64_t load(const std::byte* from) noexcept {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// Sums address words of 32 bits, which fold like the pairs of 16-bit words that they are.
std::uint64_t sum_address(const Ipv6& address) noexcept {
  const auto bytes = std::as_bytes(std::span{address.bytes});
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    sum += word;
  }
  return sum;
}

std::uint64_t sum_trailer(IpProto proto, std::uint32_t length) noexcept {
  return std::uint64_t{Be32{length}.raw()} + Be16{static_cast<std::uint8_t>(proto)}.raw();
}

}  // namespace

std::uint64_t sum_bytes(std::span<const std::byte> bytes, std::uint64_t initial) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t even = initial;  // two chains, so that one add need not wait for the other's carry
  std::uint64_t odd = 0;
  for (; left >= 16; at += 16, left -= 16) {
    even = add_carry(even, load(at));
    odd = add_carry(odd, load(at + 8));
  }
  if (left >= 8) {
    even = add_carry(even, load(at));
    at += 8;
    left -= 8;
  }
  if (left != 0) {
    std::uint64_t last = 0;  // zero bytes behind the end: the padding of RFC 1071 §4.1
    std::memcpy(&last, at, left);
    odd = add_carry(odd, last);
  }
  const std::uint64_t sum = add_carry(even, odd);
  return (sum & 0xffffffffU) + (sum >> 32);  // 33 bits: whoever adds to it cannot lose a carry
}

std::uint64_t pseudo_header_sum(Ipv4 src, Ipv4 dst, IpProto proto, std::uint32_t length) noexcept {
  return std::uint64_t{src.value.raw()} + dst.value.raw() + sum_trailer(proto, length);
}

std::uint64_t pseudo_header_sum(const Ipv6& src, const Ipv6& dst, IpProto proto,
                                std::uint32_t length) noexcept {
  return sum_address(src) + sum_address(dst) + sum_trailer(proto, length);
}

Be16 ipv4_checksum(std::span<const std::byte> header) noexcept {
  return Be16::from_raw(static_cast<std::uint16_t>(~fold(sum_bytes(header))));
}

void ChecksumDelta::replace(const Ipv6& from, const Ipv6& to) noexcept {
  // ~m of four 32-bit words, all at once: 4 * 0xffffffff - sum, and each term of the difference is
  // non-negative.
  sum_ += 4 * std::uint64_t{0xffffffff} - sum_address(from) + sum_address(to);
}

}  // namespace sluice::base
