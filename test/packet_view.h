#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

/// How check() and describe() read a packet: plain offsets, every read checked.
namespace sluice::test {

/// A part of a packet. Reading past its end gives zeros: callers ask has() first where it matters.
class View {
 public:
  View() = default;
  explicit View(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool has(std::size_t n) const { return bytes_.size() >= n; }
  [[nodiscard]] unsigned u8(std::size_t at) const {
    return at < bytes_.size() ? std::to_integer<unsigned>(bytes_[at]) : 0;
  }
  [[nodiscard]] unsigned u16(std::size_t at) const { return u8(at) << 8 | u8(at + 1); }
  [[nodiscard]] std::uint32_t u32(std::size_t at) const { return std::uint32_t{u16(at)} << 16 | u16(at + 2); }
  [[nodiscard]] View from(std::size_t at) const { return View(bytes_.subspan(std::min(at, bytes_.size()))); }
  [[nodiscard]] View first(std::size_t n) const { return View(bytes_.first(std::min(n, bytes_.size()))); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// An IPv4 or IPv6 packet taken apart as far as its headers go.
struct IpView {
  enum class Flaw : std::uint8_t { none, short_header, version, header_length, total_length, extension };
  Flaw flaw = Flaw::none;
  bool v6 = false;
  View header;                ///< IPv4 with options, IPv6 without extension headers
  View l4;                    ///< what the length field covers behind all headers, as far as it is there
  std::size_t l4_length = 0;  ///< as the length field has it: more than l4.size() when cut short
  unsigned protocol = 0;      ///< of l4
  bool fragment = false;      ///< not whole: more to come, or an offset
  bool more = false;
  std::size_t offset = 0;  ///< of the fragment, in bytes
  std::uint32_t fragment_id = 0;
  bool fragment_header = false;  ///< IPv6
  bool routed = false;           ///< a routing header with segments left
  std::size_t trailer = 0;       ///< bytes behind the packet
};

/// `quoted`: the packet may end before its length field says.
[[nodiscard]] IpView read_ip(View packet, bool v6, bool quoted);

/// Ethernet and tags of a frame; `payload` is what follows.
struct EthView {
  bool whole = false;
  View tags;  ///< 4 bytes each, beginning with the TPID
  unsigned type = 0;
  View payload;
};
[[nodiscard]] EthView read_eth(View frame);

}  // namespace sluice::test
