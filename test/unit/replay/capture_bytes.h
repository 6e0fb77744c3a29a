#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Captures for tests, byte by byte, in either byte order.
namespace sluice::replay::test {

using Bytes = std::vector<std::byte>;

class CaptureBytes {
 public:
  explicit CaptureBytes(bool big_endian = false) : big_endian_(big_endian) {}

  CaptureBytes& number(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      bytes_.push_back(static_cast<std::byte>(value >> (8 * (big_endian_ ? size - 1 - i : i))));
    }
    return *this;
  }
  CaptureBytes& u16(std::uint16_t value) { return number(value, 2); }
  CaptureBytes& u32(std::uint32_t value) { return number(value, 4); }
  CaptureBytes& text(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  CaptureBytes& pad() {
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
    return *this;
  }

  // pcap.
  CaptureBytes& file_header(std::uint32_t magic, std::uint32_t link_type = 1) {
    return u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65'535).u32(link_type);
  }
  CaptureBytes& record(std::uint32_t seconds, std::uint32_t fraction, std::string_view frame,
                       std::uint32_t original = 0) {
    const auto size = static_cast<std::uint32_t>(frame.size());
    return u32(seconds).u32(fraction).u32(size).u32(original == 0 ? size : original).text(frame);
  }

  // pcapng.
  CaptureBytes& block(std::uint32_t type, const CaptureBytes& body) {
    const auto length = static_cast<std::uint32_t>(body.bytes_.size() + 12);
    u32(type).u32(length);
    bytes_.insert(bytes_.end(), body.bytes_.begin(), body.bytes_.end());
    return u32(length);
  }
  CaptureBytes& section() { return block(0x0a0d0d0a, same().u32(0x1a2b3c4d).u16(1).u16(0).number(~0ULL, 8)); }
  CaptureBytes& interface(const std::string& name, std::uint32_t snap = 0,
                          const CaptureBytes* more = nullptr) {
    CaptureBytes body = same();
    body.u16(1).u16(0).u32(snap);
    if (!name.empty()) body.u16(2).u16(static_cast<std::uint16_t>(name.size())).text(name).pad();
    if (more != nullptr) body.bytes_.insert(body.bytes_.end(), more->bytes_.begin(), more->bytes_.end());
    return block(1, body.u32(0));
  }
  CaptureBytes& enhanced(std::uint32_t interface, std::uint64_t stamp, std::string_view frame) {
    const auto size = static_cast<std::uint32_t>(frame.size());
    CaptureBytes body = same();
    body.u32(interface).u32(static_cast<std::uint32_t>(stamp >> 32)).u32(static_cast<std::uint32_t>(stamp));
    return block(6, body.u32(size).u32(size).text(frame).pad());
  }

  /// Empty, of the same byte order.
  [[nodiscard]] CaptureBytes same() const { return CaptureBytes(big_endian_); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

 private:
  bool big_endian_;
  Bytes bytes_;
};

}  // namespace sluice::replay::test
